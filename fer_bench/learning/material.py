"""What a plan works on, and what training on a fold gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from jax.stages import Lowered

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning import prediction
from fer_bench.learning.calibration import Scaling
from fer_bench.learning.lowered import Sample
from fer_bench.learning.prediction import Mirrored
from fer_bench.learning.trials import ChosenTrial
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.meter import Meter
from fer_bench.specs import Plan
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.windows import WINDOWS


@dataclass(frozen=True, eq=False)
class Learned:
    """What training on one fold gave beside probabilities: all that predicts other images, without the backbone.

    Attributes:
        start: position of the first stage that predicts from what `fer_bench.keeping.outputs.Inputs` gives; None where
            the features do.
        table: arrays by name. Of a head and stages ``head/kernel`` (f, c), ``head/bias`` (c,) and the parameters and
            statistics that differ from the backbone's, as ``stage/path``, or the factors of a low-rank difference, as
            ``stage/path/left`` (m, r) and ``stage/path/right`` (r, n); of an estimator ``readout/features`` (n, f)
            and ``readout/labels`` (n,), which it is fitted on; of a finished classifier nothing.
    """

    start: int | None
    table: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What training on one fold gave.

    Attributes:
        probabilities: (n_test, c), rows sum to 1; float32, or float64 where they are calibrated.
        trained_parameters: numbers that were trained.
        head_parameters: numbers of the head.
        converged: whether the stopping rule was met; a gradient phase has none and counts as converged.
        seconds: this fold's share of the time.
        history: one row a phase, or an epoch of it.
        learned: returns what predicts other images.
        predictor: from other images of the same samples to what the model says of some of them; see
            `Material.average_views`.
        scaling: how the probabilities were calibrated; None where they are as the model gives them.
        chosen: settings that a search chose, and how; None where nothing was searched.
    """

    probabilities: Array
    trained_parameters: int
    head_parameters: int
    converged: bool
    seconds: float
    history: pd.DataFrame
    learned: Callable[[], Learned]
    predictor: Predictor
    scaling: Scaling | None = None
    chosen: ChosenTrial | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """What a plan works on.

    Attributes:
        labels: (n,) int.
        classes: number of classes, c.
        features: gives the features of the frozen backbone, of mirrored images, too, if the plan predicts them;
            computed or read when they are needed.
        inputs: (stages that are frozen, whether mirrored images are needed) -> what the stages after them take.
        backbone: builds the backbone; None is with its weights, a seed draws new ones.
        begin: called with the name of a phase, and the samples that it will see at most; with 100 for heads.
        advance: called with the number of samples that a training step saw, or with percent of the way of heads.
        soft_labels: (n, c) float32, or None where the data set has none.
        class_names: of the task; only an AnswerPhase needs it, and the next.
        answers: expressions that the backbone knows itself; see `fer_bench.networks.answers`.
        meter: is told what predicting takes.
        sequences: (n,) int, equal for the images of a sequence, -1 for an image of none; needed by a plan that
            aggregates.
        early: is given what traces programs that are needed after the frozen stages; returns what waits for them.
        through: name of one of `WINDOWS` -> this, of images that are cut down to it; only a plan with crops needs it.
    """

    labels: Array
    classes: int
    features: Callable[[], Outputs]
    inputs: Callable[[int, bool], Inputs]
    backbone: Callable[[int | None], Backbone]
    begin: Callable[[str, int], None]
    advance: Callable[[int], None]
    soft_labels: Callable[[], Array | None] = lambda: None
    class_names: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    meter: Meter = field(default_factory=Meter)
    sequences: Callable[[], Array] | None = None
    through: Callable[[str], Material] | None = None
    early: Callable[[Callable[[Sample], Iterable[Lowered]]], Callable[[], None]] = lambda _: lambda: None

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

    def views(self, plan: Plan, inputs: Callable[[Material, bool], Inputs]) -> list[Inputs]:
        """Return the views of the images that a plan predicts.

        Args:
            plan: says which.
            inputs: returns what the model takes of a material's images, where asked for also mirrored.
        """
        if plan.views == "crops":
            assert self.through is not None, "windows need images"
            return [inputs(self.through(window), False) for window in WINDOWS]
        own = inputs(self, plan.views == "mirror")
        return [own, Mirrored(own)] if plan.views == "mirror" else [own]

    def average_views(
        self, plan: Plan, inputs: Callable[[Material, bool], Inputs], predict: Callable[[Inputs, Array], Array]
    ) -> Callable[[Array], Array]:
        """Return a function of samples, (k,) int, that gives the mean over views of their probabilities, (k, c).

        Args:
            plan: says which views.
            inputs: as for `views`.
            predict: returns the probabilities of some samples from one view, (k, c) float32.
        """
        views = self.views(plan, inputs)
        return lambda rows: prediction.mean_of([predict(view, rows) for view in views])

    def answer(self, plan: Plan, fold: Fold, predict: Callable[[Array], Array]) -> tuple[Array, Scaling | None]:
        """Return what `fer_bench.learning.prediction.answer` makes of what a model predicts."""
        with self.meter.count("evaluate"):
            return prediction.answer(plan, predict, fold, self.labels, self.sequence_codes())

    def sequence_codes(self) -> Array:
        """Return the sequence of each sample, (n,) int; -1 for all where sequences do not count."""
        return np.full(len(self.labels), -1) if self.sequences is None else self.sequences()


Predictor = Callable[[Material], Callable[[Array], Array]]
"""From images to a function of samples that gives what a model says of them; see `Material.average_views`."""
