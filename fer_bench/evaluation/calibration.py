"""Metrics of probabilities: proper scores, calibration, agreement with soft labels.

``true`` is (n,) int labels from 0 and ``probabilities`` (n, c) float throughout.
"""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_distributions, check_predictions, fix, remember_last
from fer_bench.evaluation.classification import find_confidence, measure_hits, read_answers

FLOOR = 2.0**-23
"""Probabilities below this count as this in logarithms: the step of float32, in which they are stored. A sample that
was given no chance at all so costs 15.9 nats, not infinity."""


def sample_nll(true: Array, probabilities: Array) -> Array:
    """Return -ln of the probability of the true class, (n,) float nats, 0 to 15.95; see ``FLOOR``."""
    true, probabilities = check_predictions(true, probabilities)
    return -np.log(np.clip(probabilities[np.arange(len(true)), true], FLOOR, 1.0))


def sample_brier(true: Array, probabilities: Array) -> Array:
    """Return the squared distance from the one-hot truth, summed over classes, (n,) float in 0 to 2."""
    true, probabilities = check_predictions(true, probabilities)
    return ((probabilities - np.eye(probabilities.shape[1])[true]) ** 2).sum(axis=1)


def nll(true: Array, probabilities: Array) -> float:
    """Return the mean negative log-likelihood in nats, 0 is perfect; probabilities are at least ``FLOOR``."""
    return float(sample_nll(true, probabilities).mean())


def brier(true: Array, probabilities: Array) -> float:
    """Return the Brier score over all classes, 0 to 2; 0 is perfect.

    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950),
    equation 2. For two classes it is twice the score that is usual for a binary event.
    """
    return float(sample_brier(true, probabilities).mean())


def ece(true: Array, probabilities: Array, bins: int = 15) -> float:
    """Return the expected calibration error of the top label over bins of equal width, 0 to 1; 0 is perfect.

    Bin m holds confidences in ((m - 1) / bins, m / bins]. C. Guo et al., "On calibration of modern neural networks"
    (ICML 2017), equation 3.
    """
    return float(part_ece(true, probabilities, np.zeros(len(probabilities), np.int64), bins)[0])


def adaptive_ece(true: Array, probabilities: Array, bins: int = 15) -> float:
    """Return the expected calibration error of the top label over bins of equal mass, 0 to 1; 0 is perfect.

    The binning of J. Nixon et al., "Measuring calibration in deep learning" (CVPR workshops 2019), on the
    top label and weighted by the bins' mass. Samples of equal confidence share a bin, so that the order of samples
    does not matter.
    """
    return float(part_adaptive_ece(true, probabilities, np.zeros(len(probabilities), np.int64), bins)[0])


def part_ece(true: Array, probabilities: Array, part: Array, bins: int = 15) -> Array:
    """Return ``ece`` of each part of the rows, (p,) float; ``part`` is (n,) int from 0, and no part is empty."""
    confidence, right = _top(true, probabilities, bins)
    return _gaps(confidence, right, np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1), part, bins)


def part_adaptive_ece(true: Array, probabilities: Array, part: Array, bins: int = 15) -> Array:
    """Return ``adaptive_ece`` of each part of the rows, (p,) float; ``part`` is (n,) int from 0, and none is empty."""
    confidence, right = _top(true, probabilities, bins)
    sizes = np.bincount(part)
    ascending = _sort(confidence)
    order = ascending[np.argsort(part.astype(np.min_scalar_type(len(sizes)))[ascending], kind="stable")]
    ordered, parts = confidence[order], part[order]
    starts_run = np.r_[True, (ordered[1:] != ordered[:-1]) | (parts[1:] != parts[:-1])]
    first = np.maximum.accumulate(np.where(starts_run, np.arange(len(order)), 0))  # of equals, the first
    rank = np.empty(len(order), np.int64)
    rank[order] = first - (np.cumsum(sizes) - sizes)[parts]
    return _gaps(confidence, right, rank * bins // sizes[part], part, bins)


def soft_accuracy(soft: Array, probabilities: Array) -> float:
    """Return the mean share of annotators who gave the predicted label, 0 to 1.

    It is the probability that an annotator drawn at random agrees; where annotators disagree, no method reaches 1.

    Args:
        soft: (n, c) shares of annotators, rows sum to 1.
        probabilities: (n, c).
    """
    soft, probabilities = _soft(soft, probabilities)
    rows, labels, weights = read_answers(probabilities)
    return float((weights * soft[rows, labels]).sum() / len(soft))


def soft_kl(soft: Array, probabilities: Array) -> float:
    """Return the mean Kullback-Leibler divergence KL(soft || probabilities) in nats; 0 is perfect.

    Predicted probabilities are clipped from below by ``FLOOR``; a label that nobody gave adds nothing.
    """
    soft, probabilities = _soft(soft, probabilities)
    logs = np.log(np.where(soft > 0, soft, 1.0)) - np.log(np.clip(probabilities, FLOOR, 1.0))
    return float((soft * logs).sum(axis=1).mean())


def _top(true: Array, probabilities: Array, bins: int) -> tuple[Array, Array]:
    """Return confidence and correctness of the top label, both (n,) float."""
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected 1 or more")
    true, probabilities = check_predictions(true, probabilities)
    return find_confidence(probabilities), measure_hits(true, probabilities)


@remember_last
def _sort(confidence: Array) -> Array:
    return fix(np.argsort(confidence, kind="stable"))


def _gaps(confidence: Array, right: Array, bin_of: Array, part: Array, bins: int) -> Array:
    """Return for each part the sum over bins of |accuracy - confidence|, weighted by mass."""
    sizes = np.bincount(part)
    gaps = np.bincount(part * bins + bin_of, weights=right - confidence, minlength=len(sizes) * bins)
    return np.abs(gaps.reshape(-1, bins)).sum(axis=1) / sizes


def _soft(soft: Array, probabilities: Array) -> tuple[Array, Array]:
    soft = check_distributions("soft labels", soft)
    probabilities = check_distributions("probabilities", probabilities)
    if soft.shape != probabilities.shape:
        raise ValueError(
            f"soft labels have shape {soft.shape} and probabilities {probabilities.shape}; expected the same"
        )
    return soft, probabilities
