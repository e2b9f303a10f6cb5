"""A leaderboard that does not print noise as rank: tiers and rank intervals."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array


def find_tiers(
    scores: Array, p_values: Array, *, higher_is_better: bool = True, alpha: float = 0.05
) -> list[list[int]]:
    """Return the groups of methods that cannot be told apart, best first; a method may be in several.

    Two methods share a group exactly where their adjusted p-value is above alpha, and no group lies within another: a
    compact letter display (H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
    Journal of Computational and Graphical Statistics 13, 2004), found by covering alike pairs with groups, best first.

    Args:
        scores: (m,) float, one a method.
        p_values: (m, m) symmetric, adjusted, see ``adjust_steps``.
        higher_is_better: the metric's direction.
        alpha: at it and below two methods differ.

    Returns:
        Indices of methods, in each group best first.
    """
    scores, p = _check_scores(scores, p_values)
    order = np.argsort(-scores if higher_is_better else scores, kind="stable").tolist()
    alike = p > alpha
    np.fill_diagonal(alike, True)
    covered = np.zeros_like(alike)
    tiers: list[list[int]] = []
    for place, first in enumerate(order):
        for second in order[place:]:
            if alike[first, second] and not covered[first, second]:
                tier = _grow_tier([first, second], order, alike)
                covered[np.ix_(tier, tier)] = True
                tiers.append(tier)
    largest = [tier for tier in tiers if not any(set(tier) < set(other) for other in tiers)]
    return sorted(largest, key=lambda tier: [order.index(method) for method in tier])


def name_tiers(tiers: list[list[int]], methods: int) -> list[str]:
    """Return the letters of each method, such as ``a``, ``ab``; the 27th group is ``(27)``."""
    names = [chr(ord("a") + index) if index < 26 else f"({index + 1})" for index in range(len(tiers))]
    letters = [""] * methods
    for name, tier in zip(names, tiers, strict=True):
        for method in tier:
            letters[method] += name
    return letters


def find_rank_intervals(
    scores: Array, p_values: Array, *, higher_is_better: bool = True, alpha: float = 0.05
) -> list[tuple[int, int]]:
    """Return the best and worst rank that each method may have, from 1: as many are above it as are shown to be better.

    Since the p-values are adjusted over all pairs, all intervals hold together with probability 1 - alpha
    (D. Al Mohamad, J. J. Goeman and E. W. van Zwet, "Simultaneous confidence intervals for ranks with application to
    ranking institutions", Biometrics 78, 2022); so with that probability the best method is among those whose best rank
    is 1. The arguments are those of ``find_tiers``.
    """
    scores, p = _check_scores(scores, p_values)
    strength = scores if higher_is_better else -scores
    better = (p <= alpha) & (strength[:, None] > strength[None, :])
    return [
        (1 + int(better[:, method].sum()), len(scores) - int(better[method].sum())) for method in range(len(scores))
    ]


def _grow_tier(start: list[int], order: list[int], alike: Array) -> list[int]:
    """Return the start and, best first, every method that is alike to all taken so far; in order."""
    tier, fits = set(start), np.logical_and.reduce(alike[start])
    for method in order:
        if fits[method]:
            tier.add(method)
            fits &= alike[method]
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
