"""Many pairs of methods as one question: p-values that hold together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate, measure_parts, measure_seed_variances
from fer_bench.evaluation.flips import EQUAL, draw_flips

CHUNK = 100_000
"""Statistics that are computed at once: so few stay in a processor's cache."""


def adjust_steps(estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> Array:
    """Return p-values of pairs of methods, adjusted for asking them all, (pairs,) float.

    A pair differs where its value is alpha or less. Step-down max-T: the p-value of the most significant pair is the
    share of outcomes in which any pair is as significant; the next pair is compared with the pairs that are left
    (J. P. Romano and M. Wolf, "Exact and approximate stepdown methods for multiple hypothesis testing", Journal of the
    American Statistical Association 100, 2005). An outcome flips the signs of the same subjects in all pairs at once,
    so that methods that err on the same people count as less than as many questions. Unlike Holm's correction it does
    not ask more of ten subjects than ten can show: the least p-value of n units is 1 / 2^(n - 1), with any number
    of pairs.

    Where seeds differ, an outcome also draws new scores of the seeds from normal distributions with each method's
    variance, and the difference is divided by its standard error, as in ``compare_estimates``. How significant an
    outcome is for a pair is how few outcomes of this pair are as large, so that no pair counts for more than another
    because a few subjects, or few seeds, decide it.

    Args:
        estimates: of one metric, with the same units and seeds.
        pairs: of their indices.

    Raises:
        ValueError: units or seeds differ.
    """
    if len({estimate.n for estimate in estimates}) > 1 or any(
        not np.array_equal(estimate.seeds, estimates[0].seeds) for estimate in estimates
    ):
        raise ValueError("the methods have different units or seeds; expected the same ones for all")
    if not pairs:
        return np.zeros(0)
    if estimates[0].n < 2:
        return np.ones(len(pairs))
    significance = _rank_outcomes(_draw_outcomes(estimates, pairs))
    order = np.argsort(-significance[:, 0], kind="stable")
    left = significance[order]
    np.maximum.accumulate(left[::-1], axis=0, out=left[::-1])  # of a pair and those that are less significant
    adjusted = np.empty(len(pairs))
    adjusted[order] = np.maximum.accumulate((left >= left[:, :1]).mean(axis=1))
    return adjusted


def _draw_outcomes(estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> Array:
    """Return the sizes of the differences of pairs of methods, (pairs, outcomes); the first outcome was seen."""
    first, second = np.array(pairs).T
    own = [estimate.own for estimate in estimates if estimate.own is not None]
    if whole := len(own) == len(estimates):  # flips of few methods say what flips of many pairs do
        parts = np.stack(own)[second] - np.stack(own)[first]
        flipped = draw_flips(parts.shape[1]) @ np.stack(own).T
    else:
        parts = np.stack([measure_parts(estimates[a], estimates[b]) for a, b in pairs])
        flipped = draw_flips(parts.shape[1]) @ parts.T
    scores = np.stack([estimate.series for estimate in estimates])
    differences, (n, k), count = scores[second] - scores[first], (parts.shape[1], scores.shape[1]), len(estimates)
    noise = measure_seed_variances(differences) if k > 1 else np.zeros(len(differences))
    spread = np.sqrt([estimate.seed_variance or 0.0 for estimate in estimates])
    together = np.hypot(spread[first], spread[second])
    scale = np.divide(np.sqrt(noise), together, out=np.zeros(len(noise)), where=together > 0)
    power, rng = (parts**2).sum(axis=1), np.random.default_rng(0)
    sizes, size = np.empty((len(pairs), len(flipped))), max(1, CHUNK // max(len(pairs), count * k))
    for start in range(0, len(flipped), size):
        outcome = flipped[start : start + size]
        outcome = _subtract(outcome, first, second) if whole else outcome
        if noise.any():
            drawn = rng.normal(size=(len(outcome), k, count)) * spread
            means = drawn.mean(axis=1)
            shift = _subtract(means, first, second) * scale
            spreads = _measure_spreads(drawn - means[:, None], first, second) * (scale**2 / k)
            if start == 0:
                shift[0], spreads[0] = 0.0, noise / k
            error = np.sqrt(np.maximum(power - outcome**2 / n, 1e-9 * power) * (n / (n - 1)) + spreads)
            outcome = np.divide(outcome + shift, error, out=np.zeros_like(error), where=error > 0)
        sizes[:, start : start + size] = np.abs(outcome).T
    return sizes


def _subtract(values: Array, first: Array, second: Array) -> Array:
    """Return second - first of each pair, (outcomes, pairs), from (outcomes, methods)."""
    return values.take(second, axis=1) - values.take(first, axis=1)


def _measure_spreads(centred: Array, first: Array, second: Array) -> Array:
    """Return the variance over seeds of the differences of pairs of methods, (outcomes, pairs) float32.

    It follows from the covariances of the methods, of which there are fewer than pairs; they are drawn independently,
    so that float32 loses nothing that counts.

    Args:
        centred: (outcomes, k, methods), each less its mean over the k seeds.
        first: (pairs,) int, which method is the first of each pair.
        second: likewise.
    """
    outcomes, k, count = centred.shape
    centred = centred.astype(np.float32)
    products = centred.transpose(0, 2, 1) @ centred
    products /= k - 1
    own = np.einsum("oii->oi", products)
    together = products.reshape(outcomes, -1).take(first * count + second, axis=1)
    return np.maximum(own.take(first, axis=1) + own.take(second, axis=1) - 2 * together, 0)


def _rank_outcomes(sizes: Array) -> Array:
    """Return how significant each outcome is for each pair, (pairs, outcomes) float32, more is rarer.

    Minus the number of this pair's outcomes that are as large; where that is equal for two pairs, as for the largest of
    each, the larger in units of the pair's 99 % quantile counts as rarer.
    """
    significance, outcomes = np.empty(sizes.shape, np.float32), sizes.shape[1]
    usual, as_large_as = int(0.99 * (outcomes - 1)), np.arange(outcomes, 0.0, -1)
    for pair, drawn in enumerate(sizes):
        order = drawn.argsort()
        ordered: Array = drawn[order]
        slack, as_large = EQUAL * float(ordered[-1]), as_large_as
        tied = (ordered[1:] - ordered[:-1] <= slack).nonzero()[0] + 1
        if len(tied):
            as_large = as_large_as.copy()
            as_large[tied] = outcomes - ordered.searchsorted(ordered[tied] - slack)
        ratio = ordered / (ordered[usual] or 1.0)
        significance[pair, order] = (ratio / (1 + ratio)).round(6) - as_large
    return significance
