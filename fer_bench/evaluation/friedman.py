"""Tests over data sets."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy

from fer_bench.arrays import Array

OUTCOMES = 20_000
"""Permutations of ranks that Friedman's test looks at."""
FEWEST_SETS = 5
"""Fewer data sets carry no critical difference (J. Demšar 2006, section 3.2.2, asks for more than ten)."""


@dataclass(frozen=True, kw_only=True)
class FriedmanTest:
    """What Friedman's test found across data sets.

    Attributes:
        average_ranks: (methods,) float, 1 is best.
        chi2: Friedman's statistic, corrected for ties.
        p_value: of ``chi2``, from its permutation distribution.
        exact: whether all outcomes were counted; else p_value is from ``OUTCOMES`` random ones, and is never 0.
        critical_difference: of average ranks, by Nemenyi's test at ``alpha``; None below ``FEWEST_SETS`` data sets.
        alpha: of the critical difference.
    """

    average_ranks: Array
    chi2: float
    p_value: float
    exact: bool
    critical_difference: float | None
    alpha: float


def friedman_test(scores: Array, *, higher_is_better: bool = True, alpha: float = 0.05) -> FriedmanTest:
    """Test whether methods rank alike across data sets; with Nemenyi's critical difference of their average ranks.

    J. Demšar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 7, 2006), section 3.2.2. Equal
    scores share their ranks. The p-value is that of permuting each data set's ranks (M. Friedman, "The use of ranks to
    avoid the assumption of normality implicit in the analysis of variance", Journal of the American Statistical
    Association 32, 1937): exact for few data sets, where chi-squared and Iman and Davenport's F are far off: two data
    sets that agree on two methods give 0.5.

    Args:
        scores: (data sets, methods) float, at least two of each, none missing.
        higher_is_better: the metric's direction.
        alpha: of the critical difference.

    Raises:
        ValueError: of another shape, or a score that is not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise ValueError(f"scores have shape {scores.shape}; expected (data sets, methods), two or more of each")
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0].tolist()
        raise ValueError(f"score of method {column} on data set {row} is not finite; leave one of them out")
    n, k = scores.shape
    ranks = scipy.stats.rankdata(-scores if higher_is_better else scores, axis=1)
    average = ranks.mean(axis=0)
    spread = float(((ranks - (k + 1) / 2) ** 2).sum())
    chi2 = 0.0 if spread == 0 else float((k - 1) * n**2 * ((average - (k + 1) / 2) ** 2).sum() / spread)
    p_value, exact = _permute_ranks(ranks)
    return FriedmanTest(
        average_ranks=average,
        chi2=chi2,
        p_value=p_value,
        exact=exact,
        critical_difference=critical_difference(k, n, alpha) if n >= FEWEST_SETS else None,
        alpha=alpha,
    )


def _permute_ranks(ranks: Array) -> tuple[float, bool]:
    """Return how probable rank sums as uneven as these are, and whether that was counted in full."""
    observed = float((ranks.sum(axis=0) ** 2).sum()) - 1e-6
    outcomes, exact = _draw_rank_sums(tuple(sorted(tuple(row) for row in np.sort(ranks, axis=1).tolist())))
    reached = len(outcomes) - int(np.searchsorted(outcomes, observed))
    return (reached / len(outcomes), True) if exact else ((reached + 1) / OUTCOMES, False)


@functools.lru_cache(maxsize=8)
def _draw_rank_sums(ranks: tuple[tuple[float, ...], ...]) -> tuple[Array, bool]:
    """Return the sums of squared rank sums of permuted ranks, sorted, and whether they are all that there are.

    They depend on which ranks each data set gave and not on whom it gave them: without ties all tables of a shape share
    them, and neither the order of methods nor that of data sets matters.
    """
    rows, (n, k) = np.array(ranks), (len(ranks), len(ranks[0]))
    if math.lgamma(k + 1) * (n - 1) <= math.log(OUTCOMES):
        totals = rows[:1]  # the order of one data set can stay: only how the others agree with it counts
        orders = np.array(list(itertools.permutations(range(k))))
        for row in rows[1:]:
            totals = (totals[:, None] + row[orders]).reshape(-1, k)
        return np.sort((totals**2).sum(axis=1)), True
    rng, drawn = np.random.default_rng(0), list[Array]()
    left = OUTCOMES - 1
    while left:
        size = min(left, max(1, 1_000_000 // rows.size))
        totals = rng.permuted(np.broadcast_to(rows, (size, n, k)), axis=2).sum(axis=1)
        drawn.append((totals**2).sum(axis=1))
        left -= size
    return np.sort(np.concatenate(drawn)), False


def critical_difference(methods: int, datasets: int, alpha: float = 0.05) -> float:
    """Return by how much average ranks must differ to tell two methods apart (Nemenyi's test; Demšar 2006, 3.2.2)."""
    return _studentized_range(methods, alpha) * math.sqrt(methods * (methods + 1) / (12 * datasets))


@functools.cache
def _studentized_range(methods: int, alpha: float) -> float:
    """Return its upper quantile for infinite degrees of freedom; kept, since it takes scipy some 10 ms."""
    return float(scipy.stats.studentized_range.ppf(1 - alpha, methods, np.inf))
