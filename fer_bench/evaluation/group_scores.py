"""What a method scores on each group of people, as a comparison with another method needs it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.certificate import deal_blocks
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.extremes import SeveralScores
from fer_bench.evaluation.groups import find_worst_group
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.metrics import Metric

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupScores:
    """What a method scores on each group.

    Attributes:
        groups: name -> score of its people.
        over_all: the same scores over all people, of whom those of other groups add nothing.
        crossed: the folds, as for `algorithm_interval`; None where they do not train on each other.
    """

    groups: Mapping[str, Estimate]
    over_all: SeveralScores
    crossed: CrossValidation | None

    @property
    def lowest(self) -> str:
        """The group with the worst score; of equals the first."""
        return find_worst_group(self.metric, {name: one.value for name, one in self.groups.items()})[0]

    @property
    def metric(self) -> Metric:
        """What is measured."""
        return next(iter(self.groups.values())).metric

    def worst_interval(self) -> tuple[float, float]:
        """Return the ends of the interval of the score of the group that is truly the worst; nobody knows which it is.

        Each group has an interval at a level that holds for all groups at once (Bonferroni); where all of them hold,
        the worst score lies between the worst of the lower and of the upper ends.
        """
        level = 1 - (1 - LEVEL) / len(self.groups)
        each = [algorithm_interval(one, self.crossed, level=level) for one in self.groups.values()]
        pick = min if self.metric.higher_is_better else max
        return pick(one.low for one in each), pick(one.high for one in each)


def measure_group_scores(
    metric: Metric,
    true: Array,
    probabilities: Array,
    seeds: Array,
    units: Array,
    splits: Array,
    groups: Sequence[tuple[str, Array]],
    crossed: CrossValidation | None = None,
) -> GroupScores | None:
    """Return what a method scores on each group.

    Args:
        metric: any.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        seeds: (r,) int.
        units: (r,) int codes of the subjects.
        splits: (r,) int, the folds on which the seed of each row trained.
        groups: name and (r,) bool of each.
        crossed: as of `GroupScores`.

    Returns:
        None where a group has a single subject, or none in some seed.
    """
    blocks = deal_blocks(units)
    n, count = int(blocks.max()) + 1, len(np.unique(seeds))
    measured, over_all = dict[str, Estimate](), list[Estimate]()
    for name, member in groups:
        rows = np.flatnonzero(member)
        own_units = np.unique(blocks[rows])
        if len(own_units) < 2 or len(np.unique(seeds[rows])) < count:
            return None
        part = measure(metric, true[rows], probabilities[rows], seeds[rows], blocks[rows], splits=splits[rows])
        influences, shares = np.zeros((count, n)), np.zeros(n)
        # The variance over n units is then that over the units of the group.
        influences[:, own_units] = part.influences * math.sqrt(len(own_units) / (len(own_units) - 1) * (n - 1) / n)
        shares[own_units] = part.shares
        measured[name] = part
        over_all.append(replace(part, influences=influences, shares=shares, tables=None))
    freedom = np.array([one.unit_freedom for one in measured.values()])
    return GroupScores(groups=measured, over_all=SeveralScores(over_all, freedom), crossed=crossed)
