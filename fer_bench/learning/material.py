"""What the engine is given for a block of cells, and what it gives back for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.meter import Meter

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What training on one fold gave.

    Attributes:
        probabilities: (n_test, c) float32, rows sum to 1.
        trained_parameters: numbers that were trained.
        head_parameters: numbers of the head.
        converged: whether the stopping rule was met; a gradient phase has none and counts as converged.
        seconds: this fold's share of the time.
        history: one row a phase, or an epoch of it.
    """

    probabilities: Array
    trained_parameters: int
    head_parameters: int
    converged: bool
    seconds: float
    history: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Material:
    """What a plan works on.

    Attributes:
        labels: (n,) int.
        classes: number of classes, c.
        features: gives the features of the frozen backbone; computed or read when they are needed.
        inputs: (stages that are frozen, whether mirrored images are needed) -> what the stages after them take.
        backbone: builds the backbone; None is with its weights, a seed starts afresh.
        begin: called with the name of a phase and the samples that it will see at most.
        advance: called with the number of samples that a training step saw.
        checkpoint: where the training of a fold, by its number, is kept after every epoch; by default nowhere.
        soft_labels: (n, c) float32, or None where the data set has none.
        class_names: of the task; needed by an AnswerPhase alone, as is the next.
        answers: expressions that the backbone knows itself; see `fer_bench.networks.answers`.
        meter: is told what predicting takes.
    """

    labels: Array
    classes: int
    features: Callable[[], Outputs]
    inputs: Callable[[int, bool], Inputs]
    backbone: Callable[[int | None], Backbone]
    begin: Callable[[str, int], None]
    advance: Callable[[int], None]
    checkpoint: Callable[[int], Checkpoint] = lambda number: Checkpoint(None)
    soft_labels: Callable[[], Array | None] = lambda: None
    class_names: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    meter: Meter = field(default_factory=Meter)

    def targets(self, kind: Literal["hard", "soft"]) -> Array:
        """Return the probability of each class, (n, c) float32: one-hot, or the soft labels.

        Raises:
            ValueError: there are no soft labels.
        """
        if kind == "hard":
            return np.eye(self.classes, dtype=np.float32)[self.labels]
        if (soft := self.soft_labels()) is None:
            raise ValueError("labels=soft needs a data set with soft labels")
        return soft
