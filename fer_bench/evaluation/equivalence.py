"""How probable it is that methods differ by more than what makes no practical difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.difference import Difference

NOISE = (np.arange(200) + 0.5) / 200
"""Shares of noise in the variance between scores, on a board of ``REFERENCE`` units: equally probable before the scores
are seen."""
ENOUGH_UNITS = 20
"""Of fewer subjects or samples no probability is given: with ten, what had 95 % or more was true in 91.5 %."""
REFERENCE = 200
"""Units of the board for which the prior is made: how much methods truly differ does not depend on how few people were
tested."""


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """How probable it is that two methods differ by more than a margin.

    Attributes:
        less: probability that second minus first is below -rope; likewise ``same``, within rope, and ``more``.
        rope: half the width of the region of practical equivalence, in the metric's unit.
    """

    less: float
    same: float
    more: float
    rope: float


def weigh_equivalence(difference: Difference, units: int, rope: float) -> Equivalence | None:
    """Return how probable it is that the difference lies below, within and above a region of practical equivalence.

    The region is that of A. Benavoli, G. Corani, J. Demšar and M. Zaffalon, "Time for a change: a tutorial for
    comparing multiple classifiers through Bayesian analysis" (JMLR 18, 2017). The prior is that of ``weigh_behind``, of
    two rows: under a flat one, what had a probability of 95 % or more was true in 81 % (20 subjects, 400 draws).

    Args:
        difference: as ``compare_estimates`` returns it.
        units: how many subjects or samples there are, before any were merged.
        rope: from 0, in the metric's unit: differences up to it do not matter.

    Returns:
        None of fewer units than ``ENOUGH_UNITS``.

    Raises:
        ValueError: rope is negative or not finite.
    """
    if not (rope >= 0 and math.isfinite(rope)):
        raise ValueError(f"rope is {rope}; expected a number from 0, such as 0.01 (one point)")
    if units < ENOUGH_UNITS:
        return None
    squares = difference.value**2 / 2
    more, less = (_exceed(2, squares, [one], units, rope)[0] for one in (difference, _turn(difference)))
    return Equivalence(less=less, same=max(0.0, 1 - less - more), more=more, rope=rope)


def weigh_behind(scores: Array, behind: Sequence[Difference], units: int, rope: float) -> list[float] | None:
    """Return how probable it is that each row is worse than the first of its board by more than rope, 0 to 1.

    The first of a board is partly first by luck, so observed differences to it are too large. The true scores of the
    rows are therefore taken to be draws from a normal distribution whose variance is learned from the board: where
    scores differ no more than noise explains, differences shrink towards 0 (G. Corani, A. Benavoli, J. Demšar,
    F. Mangili and M. Zaffalon, "Statistical comparison of classifiers through Bayesian hierarchical modelling", Machine
    Learning 106, 2017). The prior of that variance is uniform in the share of noise (M. J. Daniels, "A prior for the
    variance in hierarchical models", Canadian Journal of Statistics 27, 1999), on a board of ``REFERENCE`` units: with
    the noise of the board itself, 20 people made larger differences probable than 200 do, and what had 95 % or more was
    true in 91.5 % over simulated boards, in 96.5 % with this prior. More units have the prior of their own noise.
    Under a flat prior 15 % of the rows of boards of six equal methods (20 subjects, 150 simulated boards) had a
    probability of 95 % or more. Calibration: docs/statistics.md.

    Args:
        scores: (m,) float of all rows, the first among them.
        behind: of each row that is asked about, by how much it is worse than the first.
        units: how many subjects or samples there are, before any were merged.
        rope: from 0, in the metric's unit.

    Returns:
        None of fewer units than ``ENOUGH_UNITS``.
    """
    if units < ENOUGH_UNITS:
        return None
    return _exceed(len(scores), float(((scores - scores.mean()) ** 2).sum()), behind, units, rope)


def _turn(difference: Difference) -> Difference:
    return replace(difference, value=-difference.value)


def _exceed(m: int, squares: float, differences: Sequence[Difference], units: int, rope: float) -> list[float]:
    """Return how probable it is that each difference is above rope.

    Args:
        m: how many scores there are.
        squares: sum of squares of the scores around their mean.
        differences: with their standard errors.
        units: before any were merged.
        rope: in the metric's unit.
    """
    values, errors, by_units, df = (
        np.array([getattr(one, name) for one in differences]) for name in ("value", "error", "unit_error", "df")
    )
    beyond = np.where(values > rope, 1.0, 0.0)
    noise = float((errors**2).mean()) / 2 if len(errors) else 0.0
    if not noise:
        return beyond.tolist()
    expected = float((by_units**2).mean()) / 2 * min(1.0, units / REFERENCE) or noise
    true = expected * (1 - NOISE) / NOISE  # variance of the true scores
    # Of m scores the sum of squares over (variance of the true scores + noise) is chi-squared with m - 1 degrees.
    likelihood = -(m - 1) / 2 * np.log(true + noise) - squares / (2 * (true + noise))
    weights = np.exp(likelihood - likelihood.max())
    error = np.where(errors > 0, errors, 1.0)[:, None]
    shrinkage = 2 * true / (2 * true + error**2)
    chances = special.stdtr(df[:, None], (shrinkage * values[:, None] - rope) / (error * np.sqrt(shrinkage))) @ weights
    return np.where(errors > 0, chances / weights.sum(), beyond).tolist()
