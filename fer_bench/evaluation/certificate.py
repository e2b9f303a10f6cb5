"""Is any group of people served worse than all together? Bounds that hold for all groups at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import MOST_UNITS, Estimate, measure, measure_seed_variance
from fer_bench.evaluation.metrics import Metric

DRAWS = 20_000
"""Of the largest of all groups' errors; their 5 % point is off by some 1 % of itself."""
POWER = 0.8
"""With which a group that is no worse passes at the number of subjects that is needed."""
Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]


@dataclass(frozen=True, kw_only=True)
class GroupDifference:
    """A group against all people together.

    Attributes:
        name: of the group.
        units: subjects, or images where no subject is known; ``samples``: images.
        value: score of the group.
        difference: that minus the score of all, in the metric's unit.
        low: its lower bound, which holds for all groups at once; ``high``: likewise its upper bound.
        verdict: whether a shortfall of the margin is excluded, shown, or neither.
        needed: subjects of the group with which a group that is no worse passes with ``POWER``; None where it passes.
    """

    name: str
    units: int
    samples: int
    value: float
    difference: float
    low: float
    high: float
    verdict: Verdict
    needed: int | None


def compare_groups_to_all(
    metric: Metric,
    true: Array,
    probabilities: Array,
    seeds: Array,
    units: Array,
    groups: Sequence[tuple[str, Array]],
    *,
    margin: float,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[GroupDifference]:
    """Return how each group differs from all, with simultaneous bounds and a verdict on a shortfall of ``margin``.

    The error of a difference comes from what each unit adds to the group's score and to that of all (see
    `fer_bench.evaluation.influence`), plus the variance over seeds. The bounds are the largest of all groups' errors
    in draws from a normal distribution with their correlations, each over a chi-squared one with the degrees of freedom
    of its group: T. Hothorn, F. Bretz and P. Westfall, "Simultaneous inference in general parametric models"
    (Biometrical Journal 50, 2008), section 3.

    Args:
        metric: any; where lower is better, differences are turned round.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        seeds: (r,) int.
        units: (r,) int codes of the subjects.
        groups: name and (r,) bool of each; they may overlap. Each needs two units or more.
        margin: the shortfall that matters, above 0.
        alpha: error rate of all lower bounds together; likewise of all upper bounds.
        seed: of the draws.

    Raises:
        ValueError: there is no group, or one has fewer than two units.
    """
    if not groups or margin <= 0 or not 0 < alpha < 0.5:
        raise ValueError("expected a group or more, a margin above 0, and alpha between 0 and 0.5")
    blocks = deal_blocks(units)
    sign = 1.0 if metric.higher_is_better else -1.0
    whole = measure(metric, true, probabilities, seeds, blocks)
    counts = [len(np.unique(units[member])) for _, member in groups]
    if min(counts) < 2:
        raise ValueError(f"group {groups[int(np.argmin(counts))][0]!r} has one subject; expected two or more")
    rows = [np.flatnonzero(member) for _, member in groups]
    parts = [measure(metric, true[part], probabilities[part], seeds[part], blocks[part]) for part in rows]
    adds, errors = np.zeros((len(groups), len(whole.influence))), np.zeros(len(groups))
    for place, part in enumerate(parts):
        members = np.unique(blocks[rows[place]])
        adds[place, members] = part.influence
        adds[place] = sign * (adds[place] - whole.influence)
        by_units = float((adds[place] ** 2).sum()) * len(members) / max(len(members) - 1, 1)
        errors[place] = math.sqrt(by_units + find_seed_variance(part, whole))
    freedom = np.array([part.unit_freedom for part in parts])
    reach = find_reach(adds, freedom, alpha, seed)
    judged = zip(groups, parts, errors.tolist(), reach.tolist(), counts, strict=True)
    return [
        _judge(name, part, sign * (part.value - whole.value), error, bound, margin, (count, int(member.sum())))
        for (name, member), part, error, bound, count in judged
    ]


def _judge(
    name: str, part: Estimate, difference: float, error: float, reach: float, margin: float, sizes: tuple[int, int]
) -> GroupDifference:
    """Return a group with its verdict.

    Args:
        name: of the group.
        part: its score.
        difference: to that of all, above 0 where the group is better; ``error``: its standard error.
        error: likewise.
        reach: how many standard errors its bounds lie away.
        margin: the shortfall that matters.
        sizes: its subjects and samples.
    """
    low, high = difference - reach * error, difference + reach * error
    verdict: Verdict = "PASS" if low > -margin else "FAIL" if high < -margin else "UNDERPOWERED"
    times = ((reach + float(special.stdtrit(part.unit_freedom, POWER))) * error / margin) ** 2
    return GroupDifference(
        name=name,
        units=sizes[0],
        samples=sizes[1],
        value=part.value,
        difference=difference,
        low=low,
        high=high,
        verdict=verdict,
        needed=None if verdict == "PASS" else math.ceil(sizes[0] * times),
    )


def deal_blocks(units: Array) -> Array:
    """Return the unit of each row from 0, or the block of units where there are more than ``MOST_UNITS``."""
    codes = np.unique(units, return_inverse=True)[1]
    n = int(codes.max()) + 1
    return codes if n <= MOST_UNITS else np.random.default_rng(0).permutation(n)[codes] % MOST_UNITS


def find_seed_variance(part: Estimate, whole: Estimate) -> float:
    """Return the variance of the mean over seeds of the difference of two scores; 0 of one seed, which shows none."""
    if not np.array_equal(part.seeds, whole.seeds):
        return 0.0
    return (measure_seed_variance(part.series - whole.series) or 0.0) / len(whole.series)


def find_reach(adds: Array, freedom: Array, alpha: float, seed: int) -> Array:
    """Return for each difference how many standard errors its bound lies away, (g,) float, so that all bounds hold.

    Each bound is exceeded as often as another: they differ in their degrees of freedom.

    Args:
        adds: (g, n) float, what each unit adds to each difference.
        freedom: (g,) float, degrees of freedom of each standard error.
        alpha: share of cases in which any bound is exceeded.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    scale = np.sqrt((adds**2).sum(axis=1))
    directions = adds / np.where(scale > 0, scale, 1)[:, None]
    values, vectors = np.linalg.eigh(directions @ directions.T)
    normal = rng.standard_normal((DRAWS, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    ratio = normal / np.sqrt(rng.chisquare(freedom, (DRAWS, len(freedom))) / freedom)
    rarity: Array = special.stdtr(freedom, -ratio)
    rarest = float(np.quantile(rarity.min(axis=1), alpha))
    return -special.stdtrit(freedom, rarest)
