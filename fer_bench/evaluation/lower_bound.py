"""How far a method may have dropped: a lower bound of a difference over few and unequal units.

Student's bound on what each unit adds is wrong too often where units are few and unequal: at a nominal 5 % it lets a
drop of the margin pass in up to 10 % of simulated cases with 20 subjects, and in 8 % with 120. Three things repair it:

- the variance over units is worth fewer degrees of freedom than there are units (``measure_tails``);
- the quantile grows by what the skewness of losses asks for (N. J. Johnson, "Modified t tests and confidence intervals
  for asymmetrical populations", JASA 73, 1978, section 2; P. Hall, "On the removal of skewness by transformation",
  Journal of the Royal Statistical Society B 54, 1992, section 2);
- what was not seen is in no variance: where the answers of fewer than ``FEW_CHANGED`` units changed, or none of a
  class, there is a term by the rule of three, -ln(alpha) / n (J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong,
  is everything all right?", JAMA 249, 1983), n being the units that have samples of the class in which one counts most.

Other bounds that were measured, and why they are not here: docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.difference import Difference
from fer_bench.evaluation.estimate import Estimate, measure_parts
from fer_bench.evaluation.influence import measure_slope
from fer_bench.evaluation.power import MOST, count_least
from fer_bench.evaluation.variances import TAILS, count_freedom, measure_excess

FEW_CHANGED = 6
"""Units whose answers changed: with fewer, the lower bound has a term for changes that were not seen."""
SKEWNESS = 1.0
"""Of losses, at least: few units seldom show the skewness of those that they were drawn from."""
LIMITS = np.array([0.005, 0.96])
"""Upper shares of chi-squared for the least and the most variance. Wider than 5 and 95 %, since the kurtosis of few
units is uncertain too: the range of units needed then holds the true number in 9 of 10 cases (docs/statistics.md)."""
CHANGED = 1e-9
"""A unit's part of the difference above this is a change."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StepSizes:
    """By how much one unit's answers can move a difference, and how many units showed it.

    Attributes:
        sizes: (m,) float from 0, of all that a unit said, then of what it said of each class.
        changed: (m,) float, units in which that changed.
        enough: (m,) int, changed units that show how often it changes.
    """

    sizes: Array
    changed: Array
    enough: Array

    def find_unseen(self, more: float = 1.0, power: float = 0.0) -> float:
        """Return the largest step that too few units showed, as a share of ``more`` times as many units; else 0.

        Args:
            more: times as many units.
            power: above 0: a step is shown where enough units change with this probability, by Poisson's distribution.
        """
        few = self.changed < self.enough
        if power:
            few = special.pdtr(self.enough - 1, self.changed * more) > 1 - power
        return float(self.sizes[few].max(initial=0.0)) / more

    def find_scarce(self) -> float:
        """Return the largest step that fewer than ``FEW_CHANGED`` units showed; else 0."""
        return float(self.sizes[self.changed < FEW_CHANGED].max(initial=0.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scatter:
    """What a difference varies by.

    Attributes:
        units: subjects or samples.
        blocks: of them that were measured; as many, where none were merged.
        variance: of the difference, from units; falls as 1 / units.
        excess: kurtosis of what a unit adds, above that of a normal distribution.
        skewness: of the losses of a unit, at least ``SKEWNESS``.
        steps: for the changes that were not seen.
        extra: variance from seeds; more units do not change it.
        extra_df: degrees of freedom of ``extra``.
    """

    units: int
    blocks: int
    variance: float
    excess: float
    skewness: float
    steps: StepSizes
    extra: float
    extra_df: float

    @property
    def df(self) -> float:
        """Degrees of freedom of ``variance``."""
        return min(self.blocks - 1.0, count_freedom(self.units, self.excess))

    @property
    def error(self) -> float:
        """The standard error from units and seeds."""
        return math.sqrt(self.variance + self.extra)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of units and seeds together, as ``compare_estimates`` joins them."""
        spread = self.variance**2 / self.df + (self.extra**2 / self.extra_df if self.extra else 0.0)
        return (self.variance + self.extra) ** 2 / spread if spread else self.df

    def find_reach(self, alpha: float, unseen: float | None = None) -> float:
        """Return how far below the difference the bound lies that is wrong in a share ``alpha``.

        Args:
            alpha: above 0 and below 0.5.
            unseen: a step that was not seen; None: as the units showed.
        """
        t = float(special.stdtrit(self.freedom, 1 - alpha))
        step = self.steps.find_unseen() if unseen is None else unseen
        return math.hypot((t + self._lean * (1 + 2 * t**2)) * self.error, -math.log(alpha) * step)

    def find_p(self, shortfall: float, alpha: float) -> float:
        """Return the level at which the bound lies ``shortfall`` below the difference; that of the step is alpha."""
        unseen = -math.log(alpha) * self.steps.find_unseen()
        remaining = math.copysign(math.sqrt(max(0.0, shortfall**2 - unseen**2)), shortfall)
        if not self.error:
            return float(remaining <= 0)
        lean = self._lean
        t = (math.sqrt(max(0.0, 1 - 8 * lean * (lean - remaining / self.error))) - 1) / (4 * lean)
        return float(special.stdtr(self.freedom, -t))

    def count_units(self, margin: float, alpha: float, power: float) -> tuple[int, int]:
        """Return how many units exclude a drop of the margin where there is none: at the least and at the most.

        With as many, the bound lies above -margin with probability ``power``. The range is meant to hold the true
        number in 90 % of cases: that of the variance by chi-squared (``LIMITS``). At the least, units have no longer
        tails than any; at the most, the changes that few units showed are as frequent as the rule of three allows.
        Seeds' variance does not fall with more units, and is left out.

        Args:
            margin: above 0, in the metric's unit.
            alpha: of the bound.
            power: 0.5 to 1.
        """
        spared = float(special.ndtri(power))

        def count(variance: float, excess: float, skewness: float) -> int:
            def excludes(n: int) -> bool:
                more = n / self.units
                one = replace(
                    self, units=n, blocks=n, variance=variance / more, excess=excess, skewness=skewness, extra=0.0
                )
                return spared * one.error + one.find_reach(alpha, self.steps.find_unseen(more, power)) < margin

            return count_least(excludes, 2) or MOST

        low, high = (self.variance * self.df / tail for tail in special.chdtri(self.df, LIMITS).tolist())
        scarce = -math.log(0.05) * self.steps.find_scarce() ** 2
        return count(low, TAILS, SKEWNESS), count(high + scarce, self.excess, self.skewness)

    @property
    def _lean(self) -> float:
        return self.skewness / (6 * math.sqrt(self.units))


def measure_scatter(before: Estimate, after: Estimate, difference: Difference, units: int) -> Scatter:
    """Return what the difference of two methods varies by.

    Args:
        before: of the first method; ``after`` of the second, of the same metric and units.
        after: likewise.
        difference: theirs.
        units: how many there are, before any were merged.
    """
    sign, n = 1.0 if before.metric.higher_is_better else -1.0, before.n
    merged = units / n
    parts = measure_parts(before, after)
    own = sign * (parts - difference.value * (before.shares + after.shares) / 2)
    variance, extra = difference.unit_error**2, (difference.seed_error or 0.0) ** 2
    left = (variance + extra) ** 2 / difference.df - variance**2 / (n - 1)
    return Scatter(
        units=units,
        blocks=n,
        variance=variance,
        excess=measure_excess(own, merged),
        skewness=max(SKEWNESS, -_measure_skewness(own) * math.sqrt(merged)),
        steps=_measure_steps(before, after, parts, units),
        extra=extra,
        extra_df=extra**2 / left if extra else math.inf,
    )


def _measure_skewness(values: Array) -> float:
    """Return the skewness of (n,) values, 0 where they are all alike."""
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread > CHANGED else 0.0


def _measure_steps(before: Estimate, after: Estimate, parts: Array, units: int) -> StepSizes:
    """Return the steps of a metric of counts, on average over the units that have any; none of another metric.

    Args:
        before: of the first method; ``after`` of the second.
        after: likewise.
        parts: (n,) float, what each unit adds to the difference.
        units: how many there are, before any were merged into n.
    """
    if before.tables is None or after.tables is None:
        return StepSizes(sizes=np.zeros(0), changed=np.zeros(0), enough=np.zeros(0))
    slope = measure_slope(before.metric, before.tables.sum(axis=0))
    reach, sizes = slope.max(axis=1) - slope.min(axis=1), before.tables.sum(axis=2)
    samples, moved = sizes.sum(axis=0), np.abs(after.tables - before.tables).sum(axis=2) > CHANGED
    by_class = reach * samples / np.maximum(_count_behind(sizes > 0, units), 1)
    changed = np.column_stack([np.abs(parts) > CHANGED, moved])
    return StepSizes(
        sizes=np.array([max(float(reach @ samples) / units, float(by_class.max())), *by_class]),
        changed=_count_behind(changed, units),
        enough=np.array([FEW_CHANGED, *np.ones(len(by_class))]),
    )


def _count_behind(marked: Array, units: int) -> Array:
    """Return how many units are marked, (m,) float, from the (n, m) bool blocks that hold a marked one.

    As many as would leave as many of n blocks empty, on average, where they are dealt at random (W. Feller, "An
    introduction to probability theory and its applications", vol. 1, 3rd ed., 1968, section IV.2).
    """
    n, holding = len(marked), np.count_nonzero(marked, axis=0).astype(np.float64)
    if units <= n:
        return holding
    empty = np.maximum(n - holding, 0.5) / n
    return np.minimum(units, np.log(empty) / np.log1p(-1 / n))
