"""Is a class recognised as often in each group of people? The largest gap between two groups, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.certificate import deal_blocks, find_reach, find_seed_variance
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.metrics import Metric
from fer_bench.sizes import number_of


@dataclass(frozen=True, kw_only=True)
class GroupGap:
    """The largest difference between two groups, in the metric's unit.

    Attributes:
        lowest: name of the group with the lowest score; likewise ``highest``.
        value: the difference of their scores, 0 or more.
        low: lower end of the interval of the true largest difference, 0 or more; likewise ``high``.
    """

    lowest: str
    highest: str
    value: float
    low: float
    high: float


def measure_group_gap(
    metric: Metric,
    true: Array,
    probabilities: Array,
    seeds: Array,
    units: Array,
    groups: Sequence[tuple[str, Array]],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> GroupGap:
    """Return the largest difference between two groups, with an interval for the true largest difference.

    Bounds of the differences of every two groups hold together, see `find_reach`. If all hold, the true largest
    difference is at most the largest upper bound, and at least the largest lower bound. On the images of one class,
    with the accuracy, that is the equal opportunity of M. Hardt, E. Price and N. Srebro, "Equality of opportunity in
    supervised learning" (NeurIPS 29, 2016), section 2: how much the recall differs.

    Args:
        metric: any.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        seeds: (r,) int.
        units: (r,) int codes of the subjects.
        groups: name and (r,) bool of each, two or more. Each needs two units or more.
        alpha: error rate of the interval.
        seed: of the draws.

    Raises:
        ValueError: there are fewer than two groups, or one has fewer than two units.
    """
    if len(groups) < 2:
        raise ValueError(f"got {number_of(len(groups), 'group')}; expected two or more")
    blocks, parts = deal_blocks(units), list[Estimate]()
    adds, sizes = np.zeros((len(groups), int(blocks.max()) + 1)), np.zeros(len(groups))
    for place, (name, member) in enumerate(groups):
        rows = np.flatnonzero(member)
        own_units = np.unique(blocks[rows])
        if len(own_units) < 2:
            raise ValueError(f"group {name!r} has one subject; expected two or more")
        parts.append(measure(metric, true[rows], probabilities[rows], seeds[rows], blocks[rows]))
        adds[place, own_units], sizes[place] = parts[-1].influence, len(own_units)
    adds *= np.sqrt(sizes / (sizes - 1))[:, None]
    values = np.array([part.value for part in parts])
    pairs = list(combinations(range(len(groups)), 2))
    first, second = np.array(pairs).T
    contrasts, gaps = adds[first] - adds[second], np.abs(values[first] - values[second])
    by_seeds = np.array([find_seed_variance(parts[i], parts[j]) for i, j in pairs])
    freedom = np.array([part.unit_freedom for part in parts])
    reach = find_reach(contrasts, np.minimum(freedom[first], freedom[second]), alpha / 2, seed)
    reach = reach * np.sqrt((contrasts**2).sum(axis=1) + by_seeds)
    return GroupGap(
        lowest=groups[int(values.argmin())][0],
        highest=groups[int(values.argmax())][0],
        value=float(np.ptp(values)),
        low=max(0.0, float((gaps - reach).max())),
        high=min(float((gaps + reach).max()), metric.highest - metric.lowest),
    )
