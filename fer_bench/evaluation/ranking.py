"""A leaderboard that does not print noise as rank: tiers, rank intervals, the chance of being best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy
from scipy import special

from fer_bench.evaluation.folds import adjust_holm
from fer_bench.evaluation.paired import permutation_test

Array = np.ndarray[Any, Any]


def compare_pairs(
    true: Array,
    predictions: Sequence[Array],
    groups: Array | None = None,
    *,
    metric: Literal["accuracy", "uar"] = "uar",
    resamples: int = 10_000,
    seed: int = 0,
) -> Array:
    """Return p-values of ``permutation_test`` between all methods, (m, m) symmetric, 1 on the diagonal, not adjusted.

    Args:
        true: (n,) int labels.
        predictions: (n,) int labels of each method, on the same samples.
        groups: (n,) names of subjects, see ``permutation_test``, as for the rest.
        metric: of whose differences.
        resamples: of each pair.
        seed: of the resamples.
    """
    p = np.ones((len(predictions), len(predictions)))
    for first in range(len(predictions)):
        for second in range(first):
            found = permutation_test(
                true, predictions[first], predictions[second], groups, metric=metric, resamples=resamples, seed=seed
            )
            p[first, second] = p[second, first] = found.p_value
    return p


def compare_resampled(estimates: Array, values: Array, units: int) -> Array:
    """Return p-values between all methods from bootstrap values of any metric, (m, m) symmetric, 1 on the diagonal.

    The difference over its bootstrap standard error, against Student's distribution with ``units`` - 1 degrees of
    freedom (B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", 1993, chapter 12): for metrics whose
    difference is not a sum over samples, which ``permutation_test`` cannot take.

    Args:
        estimates: (m,) the metric of each method on all samples.
        values: (m, resamples) of the same resamples, see ``resample_metric``.
        units: how many were resampled.
    """
    estimates, values = np.asarray(estimates, dtype=np.float64), np.asarray(values, dtype=np.float64)
    p = np.ones((len(estimates), len(estimates)))
    for first in range(len(estimates)):
        for second in range(first):
            difference = abs(estimates[first] - estimates[second])
            error = (values[first] - values[second]).std(ddof=1)
            if difference > 1e-12:
                t = difference / error if error > 1e-12 else np.inf
                p[first, second] = p[second, first] = 2 * special.stdtr(units - 1, -t)
    return p


def adjust_pairs(p_values: Array) -> Array:
    """Return a (m, m) symmetric table of p-values adjusted by Holm over all its pairs; the diagonal becomes 1.

    Raises:
        ValueError: it is not square and symmetric with numbers from 0 to 1.
    """
    p = _check_pairs(p_values)
    upper = np.triu_indices(len(p), 1)
    adjusted = np.ones_like(p)
    adjusted[upper] = adjust_holm(p[upper])
    adjusted.T[upper] = adjusted[upper]
    return adjusted


def find_tiers(
    scores: Array, p_values: Array, *, higher_is_better: bool = True, alpha: float = 0.05
) -> list[list[int]]:
    """Return the groups of methods that cannot be told apart, best first; a method may be in several.

    Two methods share a group exactly where their adjusted p-value is alpha or more, and no group lies within another: a
    compact letter display (H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
    Journal of Computational and Graphical Statistics 13, 2004), found by covering alike pairs with groups, best first.

    Args:
        scores: (m,) float, one a method.
        p_values: (m, m) symmetric, adjusted (see ``adjust_pairs``).
        higher_is_better: the metric's direction.
        alpha: below it two methods differ.

    Returns:
        Indices of methods, in each group best first.
    """
    scores, p = _check_scores(scores, p_values)
    order = np.argsort(-scores if higher_is_better else scores, kind="stable").tolist()
    alike = p >= alpha
    np.fill_diagonal(alike, True)
    covered = np.zeros_like(alike)
    tiers = []
    for place, first in enumerate(order):
        for second in order[place:]:
            if alike[first, second] and not covered[first, second]:
                tier = _grow_tier([first, second], order, alike)
                covered[np.ix_(tier, tier)] = True
                tiers.append(tier)
    kept = [tier for tier in tiers if not any(set(tier) < set(other) for other in tiers)]
    return sorted(kept, key=lambda tier: [order.index(method) for method in tier])


def name_tiers(tiers: list[list[int]], methods: int) -> list[str]:
    """Return the letters of each method, such as ``a``, ``ab``; the 27th group is ``(27)``."""
    names = [chr(ord("a") + index) if index < 26 else f"({index + 1})" for index in range(len(tiers))]
    return [
        "".join(name for name, tier in zip(names, tiers, strict=True) if method in tier) for method in range(methods)
    ]


def find_rank_intervals(
    scores: Array, p_values: Array, *, higher_is_better: bool = True, alpha: float = 0.05
) -> list[tuple[int, int]]:
    """Return the best and worst rank that each method may have, from 1: as many are above it as are shown to be better.

    Since the p-values are adjusted over all pairs, all intervals hold together with probability 1 - alpha
    (D. Al Mohamad, J. J. Goeman and E. W. van Zwet, "Simultaneous confidence intervals for ranks with application to
    ranking institutions", Biometrics 78, 2022). The arguments are those of ``find_tiers``.
    """
    scores, p = _check_scores(scores, p_values)
    strength = scores if higher_is_better else -scores
    better = (p < alpha) & (strength[:, None] > strength[None, :])
    return [
        (1 + int(better[:, method].sum()), len(scores) - int(better[method].sum())) for method in range(len(scores))
    ]


def measure_best(values: Array, *, higher_is_better: bool = True) -> Array:
    """Return the share of resamples in which each method is best, (m,) float that sums to 1; equals share it.

    Args:
        values: (m, resamples) of the same resamples, see ``resample_metric``.
        higher_is_better: the metric's direction.
    """
    strength = np.round(np.asarray(values if higher_is_better else -values, dtype=np.float64), 12)
    best = strength == strength.max(axis=0)
    return (best / best.sum(axis=0)).mean(axis=1)


def resampled_ranks(values: Array, *, higher_is_better: bool = True, level: float = 0.95) -> Array:
    """Return the quantiles of each method's rank over resamples, (m, 2) float from 1; equals share their rank.

    A description of the resamples, not a confidence interval: of equal methods it is too narrow. The arguments are
    those of ``measure_best``.
    """
    ranks = scipy.stats.rankdata(-np.asarray(values) if higher_is_better else values, axis=0)
    return np.quantile(ranks, [(1 - level) / 2, (1 + level) / 2], axis=1, method="closest_observation").T


def _grow_tier(start: list[int], order: list[int], alike: Array) -> list[int]:
    """Return the start and, best first, every method that is alike to all taken so far; in order."""
    tier = set(start)
    for method in order:
        if alike[method, list(tier)].all():
            tier.add(method)
    return [method for method in order if method in tier]


def _check_pairs(p_values: Array) -> Array:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1]:
        raise ValueError(f"p-values have shape {p.shape}; expected (methods, methods)")
    off = p[~np.eye(len(p), dtype=bool)]
    if not ((off >= 0) & (off <= 1)).all() or not np.array_equal(np.triu(p, 1), np.tril(p, -1).T):
        raise ValueError("p-values of pairs are not all from 0 to 1, or differ between (i, j) and (j, i)")
    return p


def _check_scores(scores: Array, p_values: Array) -> tuple[Array, Array]:
    scores, p = np.asarray(scores, dtype=np.float64), _check_pairs(p_values)
    if scores.shape != (len(p),) or not np.isfinite(scores).all():
        raise ValueError(f"scores are {scores.tolist()}; expected a finite number for each of {len(p)} methods")
    return scores, p
