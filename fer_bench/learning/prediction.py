"""From what a trained model says of single views of images to the answer that is scored.

Every strategy predicts in this way, and so does a kept model: the mean over the views of an image, then one answer for
the images of a sequence, then calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning.calibration import Scaling, fit, scale
from fer_bench.specs import Plan
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.windows import WINDOWS

READ_AT_ONCE = 1024
"""Images that an estimator predicts between two reports of its progress: a whole number of scikit-learn's chunks of 256
neighbours, so that they change no number."""
FLOOR = 2.0**-23
"""Probabilities below it count as it in logarithms, as in the scores of a board: one image of a sequence does not rule
out a class."""


@dataclass(frozen=True, eq=False)
class Mirrored:
    """The mirror images of some inputs.

    Attributes:
        inputs: that have both variants.
    """

    inputs: Inputs

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return the inputs of some samples with the image mirrored left to right, or as it is for ``variant`` 1."""
        return self.inputs.take(rows, 1 - np.asarray(variant))


def read_out(
    estimator: Any, classes: int, features: Inputs, rows: Array, tell: Callable[[int], None] = lambda _: None
) -> Array:
    """Return the probabilities of some samples, (k, c) float32, by a fitted classifier of scikit-learn.

    Args:
        estimator: knows some of the classes.
        classes: their number, c.
        features: of all samples.
        rows: (k,) int.
        tell: called with the number of samples of each piece that is done.
    """
    probabilities = np.zeros((len(rows), classes), np.float32)
    for start in range(0, len(rows), READ_AT_ONCE):
        piece = slice(start, start + READ_AT_ONCE)
        probabilities[piece, np.asarray(estimator.classes_)] = estimator.predict_proba(features.take(rows[piece]))
        tell(len(rows[piece]))
    return probabilities


def count(plan: Plan, fold: Fold) -> int:
    """Return how many images `answer` asks for, each view of them counted."""
    views = {"mirror": 2, "crops": len(WINDOWS)}.get(plan.views, 1)
    return views * int(fold.test.sum() + (fold.valid.sum() if plan.calibrate != "none" else 0))


def answer(
    plan: Plan, predict: Callable[[Array], Array], fold: Fold, labels: Array, sequences: Array
) -> tuple[Array, Scaling | None]:
    """Return the probabilities of the test part of a fold, and how they were calibrated on its validation part.

    Args:
        plan: says how.
        predict: returns the mean over views of the probabilities of some samples, (k, c) float32.
        fold: its parts.
        labels: (n,) int.
        sequences: (n,) int, equal within a sequence, -1 for an image of none.

    Returns:
        (n_test, c), rows sum to 1: float32, or float64 where they are calibrated, which leaves room for the way back.
    """
    tested, scaling = np.flatnonzero(fold.test), None
    if plan.calibrate != "none":
        valid = np.flatnonzero(fold.valid)
        probabilities = aggregate(predict(valid), sequences[valid], plan.aggregate)
        scaling = fit(probabilities, labels[valid], plan.calibrate == "bias")
    return finish(plan, predict(tested), sequences[tested], scaling), scaling


def finish(plan: Plan, probabilities: Array, sequences: Array, scaling: Scaling | None) -> Array:
    """Return the answers that follow from the mean over views: one for a sequence, then calibrated.

    Args:
        plan: says how.
        probabilities: (k, c) float32.
        sequences: (k,) int, as for `answer`.
        scaling: how they are calibrated; None leaves them as they are.
    """
    answers = aggregate(probabilities, sequences, plan.aggregate)
    return answers if scaling is None else scale(answers, scaling.temperature, scaling.biases)


def mean_of(views: Sequence[Array]) -> Array:
    """Return the mean of the probabilities of several views, each (k, c) float32."""
    if len(views) == 1:
        return views[0]
    return np.stack(views).mean(0, dtype=np.float64).astype(np.float32)


def aggregate(probabilities: Array, sequences: Array, how: str) -> Array:
    """Return probabilities that are equal for all images of a sequence.

    Args:
        probabilities: (k, c) float32.
        sequences: (k,) int, equal within a sequence, -1 for an image of none, which keeps its own.
        how: ``mean`` of the log-probabilities, scaled to sum to 1; ``majority``, the share of images whose most
            probable class it is; ``none`` leaves all as they are.

    Returns:
        (k, c) float32.
    """
    if how == "none":
        return probabilities
    alone = np.arange(len(sequences)) + sequences.max(initial=-1) + 1
    _, group = np.unique(np.where(sequences < 0, alone, sequences), return_inverse=True)
    sizes = np.bincount(group)[:, None]
    if how == "majority":
        each = np.eye(probabilities.shape[1])[probabilities.argmax(1)]
    else:
        each = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    sums = np.zeros((len(sizes), probabilities.shape[1]))
    np.add.at(sums, group, each)
    means = sums / sizes
    answers = softmax(means, axis=1) if how == "mean" else means
    spread = answers[group].astype(np.float32)
    spread[sequences < 0] = probabilities[sequences < 0]
    return spread
