"""Many pairs of methods as one question: p-values that hold together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate, measure_parts, measure_seed_variance
from fer_bench.evaluation.flips import EQUAL, draw_flips

CHUNK = 30_000
"""Statistics that are computed at once: so few stay in a processor's cache."""


def adjust_steps(estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> Array:
    """Return p-values of pairs of methods, adjusted for asking them all, (pairs,) float.

    A pair differs where its value is alpha or less. Step-down max-T: the p-value of the most significant pair is the
    share of outcomes in which any pair is as significant; the next pair is held against the pairs that are left
    (J. P. Romano and M. Wolf, "Exact and approximate stepdown methods for multiple hypothesis testing", Journal of the
    American Statistical Association 100, 2005). An outcome flips the signs of the same subjects in all pairs at once,
    so that methods that err on the same people count as less than as many questions. Unlike Holm's correction it does
    not ask more of ten subjects than ten can show: of n units the least p-value is 1 / 2^(n - 1), however many pairs.

    Where seeds differ, an outcome also draws the seeds' scores anew from normal distributions with each method's
    variance, and the difference is held against its standard error, as in ``compare_estimates``. How significant an
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
    order = np.argsort(-significance[0], kind="stable")
    left = np.maximum.accumulate(significance[:, order[::-1]], axis=1)[:, ::-1]
    adjusted = np.empty(len(pairs))
    adjusted[order] = np.maximum.accumulate((left >= left[0]).mean(axis=0))
    return adjusted


def _draw_outcomes(estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> Array:
    """Return the sizes of the differences of pairs of methods, (outcomes, pairs); the first outcome was seen."""
    first, second = np.array(pairs).T
    scores = np.stack([estimate.series for estimate in estimates])
    parts = np.stack([measure_parts(estimates[a], estimates[b]) for a, b in pairs])
    differences, (n, k) = scores[second] - scores[first], (parts.shape[1], scores.shape[1])
    outcomes = draw_flips(n) @ parts.T
    noise = np.array([measure_seed_variance(row) or 0.0 for row in differences])
    if not noise.any():
        return np.abs(outcomes)
    spread = np.sqrt([estimate.seed_variance or 0.0 for estimate in estimates])
    together = np.hypot(spread[first], spread[second])
    scale = np.divide(np.sqrt(noise), together, out=np.zeros(len(noise)), where=together > 0)
    power, rng, count = (parts**2).sum(axis=1), np.random.default_rng(0), len(estimates)
    flat, least = first * count + second, 1e-9 * power
    size = max(1, CHUNK // max(len(pairs), count * k))
    for start in range(0, len(outcomes), size):
        outcome = outcomes[start : start + size]
        by_units = np.maximum(power - outcome**2 / n, least)
        by_units *= n
        by_units /= n - 1
        drawn = rng.normal(size=(len(outcome), k, count)) * spread
        means = drawn.mean(axis=1)
        centred = drawn - means[:, None]
        products = centred.transpose(0, 2, 1) @ centred / (k - 1)
        # The variance of a difference from those of the methods: there are fewer methods than pairs.
        own = np.einsum("oii->oi", products)
        spreads = own.take(first, axis=1) + own.take(second, axis=1)
        spreads -= 2 * products.reshape(len(outcome), -1).take(flat, axis=1)
        spreads *= scale**2
        spreads /= k
        shift = means.take(second, axis=1) - means.take(first, axis=1)
        shift *= scale
        if start == 0:
            shift[0], spreads[0] = 0.0, noise / k
        error = np.sqrt(by_units + spreads)
        shift += outcome
        outcomes[start : start + size] = np.divide(shift, error, out=np.zeros_like(error), where=error > 0)
    return np.abs(outcomes)


def _rank_outcomes(sizes: Array) -> Array:
    """Return how significant each outcome is for each pair, (outcomes, pairs) float32, more is rarer.

    Minus the number of this pair's outcomes that are as large; where that is equal for two pairs, as for the largest of
    each, the larger in units of the pair's 99 % quantile counts as rarer.
    """
    significance = np.empty(sizes.shape[::-1], np.float32)
    by_pair: Array = np.ascontiguousarray(sizes.T)
    columns: list[Array] = list(by_pair)
    for pair, column in enumerate(columns):
        order = np.argsort(column)
        ordered: Array = column[order]
        slack = EQUAL * float(ordered[-1])
        as_large = len(column) - np.searchsorted(ordered, ordered - slack)
        ratio = ordered / (ordered[int(0.99 * (len(column) - 1))] or 1.0)
        significance[pair, order] = np.round(ratio / (1 + ratio), 6) - as_large
    return significance.T
