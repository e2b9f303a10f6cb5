"""Which labels are probably wrong, and how many of each class: confident learning on out-of-fold predictions.

C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset labels" (Journal of
Artificial Intelligence Research 70, 2021, arXiv:1911.00068), sections 3.1 and 3.2. It assumes that how often a label
is wrong depends on the true class only, and that no model trained on the images that it predicts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, group_codes

RESAMPLES = 500
ROUNDING = 1e-6
"""Probabilities that miss a threshold by less reach it, so that equal ones all do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelNoise:
    """What the predictions say of the labels of n samples of c classes.

    Attributes:
        joint: (c, c) float, the estimated share of samples that are labelled as the row and truly of the column; its
            rows sum to the shares of the labels, all to 1.
        suspects: (m,) int, the samples whose label is probably wrong, the clearest first.
        suggested: (m,) int, the class that each of them probably is of.
        margins: (m,) float in -1 to 1, probability of the label minus the largest of the other classes.
    """

    joint: Array
    suspects: Array
    suggested: Array
    margins: Array

    @property
    def wrong(self) -> float:
        """Estimated share of wrong labels."""
        return float(1 - np.trace(self.joint))

    @property
    def wrong_by_class(self) -> Array:
        """(c,) float, estimated share of wrong labels among those of each class; NaN for a class without labels."""
        return _wrong_by_class(self.joint)


def estimate_label_noise(labels: Array, probabilities: Array) -> LabelNoise:
    """Return which labels are probably wrong.

    A sample is confidently of a class if the class has at least the probability that it has on average in the samples
    that carry its label; of several such classes the most probable counts (equation 1 of the paper). Samples that are
    confidently of another class than their label are the suspects; their counts, scaled so that each label keeps as
    many samples as it has, are the joint distribution (equation 3).

    Args:
        labels: (n,) int, as they were given.
        probabilities: (n, c) float, predicted for each sample by a model that did not train on it.

    Raises:
        ValueError: labels or probabilities are not valid.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    joint, confident = _join(labels, probabilities, np.ones(len(labels)))
    suspects = np.flatnonzero((confident >= 0) & (confident != labels))
    others = probabilities[suspects].copy()
    others[np.arange(len(suspects)), labels[suspects]] = -np.inf
    margins = probabilities[suspects, labels[suspects]] - others.max(axis=1, initial=-np.inf)
    order = np.lexsort((suspects, margins))
    suspects = suspects[order]
    return LabelNoise(joint=joint, suspects=suspects, suggested=confident[suspects], margins=margins[order])


def bound_label_noise(
    labels: Array, probabilities: Array, units: Array | None = None, *, level: float = 0.95, seed: int = 0
) -> tuple[Array, Array]:
    """Return percentile intervals of the share of wrong labels, (2,) of all and (c, 2) of each class.

    Units are drawn with replacement, ``RESAMPLES`` times. The interval is for other people and given the predictions;
    it does not contain what the assumptions of the module miss. A class that no resample holds has NaN.

    Args:
        labels: (n,) int.
        probabilities: (n, c) float.
        units: (n,) names of subjects; None: each sample is a unit.
        level: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: the arguments are not valid.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    codes, n_units = group_codes(units, len(labels))
    rng = np.random.default_rng(seed)
    joints = [
        _join(labels, probabilities, rng.multinomial(n_units, np.full(n_units, 1 / n_units))[codes].astype(np.float64))[
            0
        ]
        for _ in range(RESAMPLES)
    ]
    values = np.array([[1 - np.trace(joint), *_wrong_by_class(joint)] for joint in joints])
    tails = [(1 - level) / 2, (1 + level) / 2]
    bounds = [
        np.quantile(column[~np.isnan(column)], tails) if not np.isnan(column).all() else np.full(2, np.nan)
        for column in values.T
    ]
    return bounds[0], np.array(bounds[1:])


def _join(labels: Array, probabilities: Array, weights: Array) -> tuple[Array, Array]:
    """Return the joint distribution, (c, c), and the class that each sample is confidently of, (n,), -1 for none.

    Args:
        labels: (n,) int.
        probabilities: (n, c) float.
        weights: (n,) float, how often each sample counts.
    """
    classes = probabilities.shape[1]
    totals = np.bincount(labels, weights, classes)
    own = np.bincount(labels, weights * probabilities[np.arange(len(labels)), labels], classes)
    thresholds = np.where(totals > 0, own / np.where(totals > 0, totals, 1), np.inf)
    likely = np.where(probabilities >= thresholds - ROUNDING, probabilities, -1.0)
    confident = np.where(likely.max(axis=1) < 0, -1, likely.argmax(axis=1))
    sure = confident >= 0
    counts = np.bincount(labels[sure] * classes + confident[sure], weights[sure], classes**2).reshape(classes, classes)
    counts[np.diag_indices(classes)] += (counts.sum(axis=1) == 0) & (totals > 0)  # nothing speaks against such labels
    rows = counts.sum(axis=1, keepdims=True)
    return counts / np.where(rows > 0, rows, 1) * (totals / totals.sum())[:, None], confident


def _wrong_by_class(joint: Array) -> Array:
    totals: Array = joint.sum(axis=-1)
    right = np.diagonal(joint)
    return np.where(totals > 0, 1 - right / np.where(totals > 0, totals, 1), np.nan)
