"""The worst of several scores of a method, and the largest gap between two of them, against those of another method.

The scores are of groups of people, or of kinds of corrupted images. The lowest of several measured scores is mostly
below the lowest true one, the more so the more of them are nearly as low. So a method that is equally good everywhere
looks worse than one with a single weak group, though their weakest groups are equally good: a difference of the two
measured worst scores is biased, and an interval that takes both choices as given leaves out the truth too often. Here
the interval holds for every choice of the truly worst score. V. Chernozhukov, S. Lee and A. M. Rosen, "Intersection
bounds: estimation and inference" (Econometrica 81, 2013), section 1, describe the problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate, pair_series
from fer_bench.evaluation.flips import FEWEST_UNITS


@dataclass(frozen=True, kw_only=True)
class ExtremeDifference:
    """The difference of two methods in their worst score or their largest gap.

    Attributes:
        value: second minus first, in the metric's unit.
        low: lower end of the interval; likewise ``high``. Both are infinite where the interval excludes nothing, and of
            fewer than ``FEWEST_UNITS`` units.
        p_value: two-sided; at most 1 - level exactly where the interval leaves out 0.
    """

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class SeveralScores:
    """Scores of one method, such as one for each group of people.

    Attributes:
        estimates: g of them, of the same metric, units, seeds and splits.
        freedom: (g,) float, degrees of freedom of the variance of each over units.
    """

    estimates: Sequence[Estimate]
    freedom: Array

    def weigh(self, weights: Array, what: Callable[[Estimate], Array | float]) -> Array:
        """Return (m, …) combinations of something of each score, with (m, g) weights."""
        return weights @ np.array([what(one) for one in self.estimates])


def gather(estimates: Sequence[Estimate]) -> SeveralScores:
    """Return scores that are of all units, such as one for each kind of corrupted images."""
    return SeveralScores(estimates, np.array([one.unit_freedom for one in estimates]))


def compare_worst(first: SeveralScores, second: SeveralScores, *, level: float = 0.95) -> ExtremeDifference:
    """Return by how much the worst score of the second method is above that of the first.

    Args:
        first: scores of one method.
        second: those of the other method, of the same groups and units.
        level: of the interval.
    """
    higher = first.estimates[0].metric.higher_is_better
    lowest = _compare_lowest(first, second, np.eye(len(first.estimates)) * (1 if higher else -1), level)
    return lowest if higher else _negate(lowest)


def compare_gaps(first: SeveralScores, second: SeveralScores, *, level: float = 0.95) -> ExtremeDifference:
    """Return by how much the largest difference between two scores of the second method is above that of the first.

    Args:
        first: as of `compare_worst`, two scores or more.
        second: likewise.
        level: of the interval.
    """
    pairs, each = np.array(list(permutations(range(len(first.estimates)), 2))), np.eye(len(first.estimates))
    weights = each[pairs[:, 0]] - each[pairs[:, 1]]
    return _negate(_compare_lowest(first, second, weights, level))


def _compare_lowest(first: SeveralScores, second: SeveralScores, weights: Array, level: float) -> ExtremeDifference:
    """Return by how much the lowest combination of scores of the second method is above that of the first.

    Let a_i be the combinations of the first method, b_j those of the second, and j the truly lowest of these: then the
    difference b_j - min a_i = max (b_j - a_i) is at least the largest of the lower bounds of b_j - a_i, if these hold
    together for all i. Which j is truly the lowest is unknown: the smallest of these numbers over j holds in any case.
    The upper end likewise. Bounds are Student's, at a level that holds for all i together (Bonferroni).

    Args:
        first: scores of one method.
        second: of the other.
        weights: (m, g) float, of the g scores in each combination.
        level: of the interval.
    """
    values, errors, freedom = _contrast(first, second, weights)
    lowest = [method.weigh(weights, lambda one: one.value).min() for method in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(values / errors, posinf=math.inf, neginf=-math.inf)
    reach = errors * special.stdtrit(freedom, 1 - (1 - level) / 2 / len(weights))
    low = float((values - reach).max(axis=0).min())
    high = float((values + reach).min(axis=1).max())
    above = special.stdtr(freedom, -ratio).min(axis=0).max()
    below = special.stdtr(freedom, ratio).min(axis=1).max()
    metric, p_value = first.estimates[0].metric, min(1, 2 * len(weights) * min(above, below))
    span = metric.highest - metric.lowest
    low, high = max(low, -span), min(high, span)
    if first.estimates[0].n < FEWEST_UNITS or (low, high) == (-span, span):
        low, high, p_value = -math.inf, math.inf, 1
    return ExtremeDifference(
        value=float(lowest[1] - lowest[0]),
        low=low,
        high=high,
        p_value=float(p_value),
    )


def _contrast(first: SeveralScores, second: SeveralScores, weights: Array) -> tuple[Array, Array, Array]:
    """Return b_j - a_i of all combinations, their standard errors and the degrees of freedom of these, each (m, m).

    The variance over units and that over seeds add up, with the degrees of freedom of F. E. Satterthwaite, "An
    approximate distribution of estimates of variance components" (Biometrics Bulletin 2, 1946); see
    `fer_bench.evaluation.difference`.
    """
    a, b = (method.weigh(weights, lambda one: one.value) for method in (first, second))
    n = first.estimates[0].n
    adds = [method.weigh(weights, lambda one: one.influence) for method in (first, second)]
    by_units = _measure_distances(*adds) * n / (n - 1)
    least = [np.where(weights != 0, method.freedom, np.inf).min(axis=1) for method in (first, second)]
    by_seeds, seed_freedom = _measure_seeds(first, second, weights)
    total, freedom = by_units + by_seeds, np.minimum(least[0][:, None], least[1])
    spread = by_units**2 / freedom + by_seeds**2 / seed_freedom
    return b - a[:, None], np.sqrt(total), np.where(spread > 0, total**2 / np.where(spread > 0, spread, 1), freedom)


def _measure_seeds(first: SeveralScores, second: SeveralScores, weights: Array) -> tuple[Array, int]:
    """Return the variance over seeds of all b_j - a_i, (m, m), and its degrees of freedom; 0 where each has one seed.

    A method with a single seed is taken to vary as the other does.
    """
    series = [method.weigh(weights, lambda one: one.series) for method in (first, second)]
    series = [one - one.mean(axis=1, keepdims=True) for one in series]
    k, other = (one.shape[1] for one in series)
    if k == other == 1:
        return np.zeros((len(weights),) * 2), 1
    if len(pair_series(first.estimates[0], second.estimates[0])) == 1:
        return _measure_distances(*series) / (k * (k - 1)), k - 1
    many = [own if own.shape[1] > 1 else replacing for own, replacing in zip(series, series[::-1], strict=True)]
    one, two = (
        (part**2).sum(axis=1) / ((part.shape[1] - 1) * own.shape[1]) for part, own in zip(many, series, strict=True)
    )
    return one[:, None] + two, min(part.shape[1] for part in many) - 1


def _measure_distances(first: Array, second: Array) -> Array:
    """Return the sum of squares of second_j - first_i, (m, m), of two (m, n) arrays."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    return np.maximum(squares - 2 * first @ second.T, 0)


def _negate(one: ExtremeDifference) -> ExtremeDifference:
    return ExtremeDifference(value=-one.value, low=-one.high, high=-one.low, p_value=one.p_value)
