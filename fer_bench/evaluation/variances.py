"""What makes the difference of two methods vary: subjects, seeds and data sets, measured or assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import SAME, Estimate, are_paired, measure_parts, measure_seed_variance, pair_series

TAILS = 4.0
"""Excess kurtosis of what subjects add to a difference, at least; 0 is that of a normal distribution."""
SEED_SD = 0.02
"""Assumed standard deviation of a UAR over trainings in epochs."""
DATA_SET_SD = 0.03
"""Assumed standard deviation of the true difference of two UARs over data sets."""
LEVEL = 0.95
"""With which an upper limit of a variance holds."""


@dataclass(frozen=True, kw_only=True)
class Variance:
    """A variance of the difference of two methods, in the squared unit of the metric.

    Attributes:
        value: as measured or assumed.
        most: upper limit: a measured variance is below it with ``LEVEL``.
    """

    value: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Variances:
    """What makes the difference of two methods vary.

    Over n units and k seeds the difference varies by ``unit / n + seed / k + interaction / (n k)``.

    Attributes:
        unit: of what one subject (or sample) adds, averaged over trainings; with one seed, in that training.
        seed: of the difference over trainings, for very many units; None where one seed tells nothing of it.
        interaction: of what one unit adds in one training beyond that: a training suits some people more than others.
            None where one seed tells nothing of it.
        dataset: of the true difference over data sets; None where one data set tells nothing of it.
    """

    unit: Variance
    seed: Variance | None = None
    interaction: Variance | None = None
    dataset: Variance | None = None

    @property
    def random(self) -> bool | None:
        """Whether trainings differ; None where one seed tells nothing of it."""
        return None if self.seed is None else any(one and one.value for one in (self.seed, self.interaction))

    def find_variance(self, units: int, seeds: int) -> float:
        """Return the variance of the mean difference over units and seeds, on one data set."""
        seed, interaction = (one.value if one else 0.0 for one in (self.seed, self.interaction))
        return self.unit.value / units + seed / seeds + interaction / (units * seeds)

    def raise_to_limits(self) -> Variances:
        """Return the variances with every variance at its upper limit."""
        sources = {name: getattr(self, name) for name in ("unit", "seed", "interaction", "dataset")}
        return replace(self, **{name: one and Variance(value=one.most, most=one.most) for name, one in sources.items()})


def measure_variances(pairs: Sequence[tuple[Estimate, Estimate]], units: Sequence[int]) -> Variances:
    """Return what makes the difference of two methods vary, from what both did on one data set or several.

    What a training and a unit do together is in the variance over units of the difference averaged over seeds, and in
    the variance over seeds. It is estimated as in a two-way table of units and seeds, from what is left of each unit's
    part in each seed after the means of both, and subtracted (H. Scheffé, "The analysis of variance", 1959, chapter 7).
    Upper limits are those of chi-squared, with fewer degrees of freedom where units' parts have long tails, see
    ``limit_variance``. Over data sets the variance of the observed differences, less their own error, is that of the
    true ones (the estimator of R. DerSimonian and N. Laird, "Meta-analysis in clinical trials", Controlled Clinical
    Trials 7, 1986, with equal weights).

    Args:
        pairs: of a data set each; of one metric, and of the same units within a pair.
        units: how many each pair has, before any were merged.

    Raises:
        ValueError: the units of a pair differ, or there are fewer than two.
    """
    values = np.array([second.value - first.value for first, second in pairs])
    measured = [_measure_pair(first, second, n) for (first, second), n in zip(pairs, units, strict=True)]
    mean = _average(measured)
    if len(pairs) < 2:
        return mean
    seeds = [min(len(first.series), len(second.series)) for first, second in pairs]
    own = [one.find_variance(n, k) for one, n, k in zip(measured, units, seeds, strict=True)]
    total = _limit(float(values.var(ddof=1)), len(values) - 1)
    return replace(mean, dataset=Variance(value=max(0.0, total.value - float(np.mean(own))), most=total.most))


def foresee_variances(one: Estimate, units: int, together: float = 0.5) -> Variances:
    """Return what would make the difference of a method and a like one vary, which is not there yet.

    Args:
        one: of the method.
        units: how many there are, before any were merged.
        together: assumed correlation of what a subject adds to the two scores, 0 to 1; the upper limit assumes 0.
    """
    two = math.sqrt(2)  # the other varies as much
    own = _separate(two * one.influence, [two * one.series], [two * one.series_influences], units)
    return replace(own, unit=Variance(value=(1 - together) * own.unit.value, most=own.unit.most))


def assume_variances(images: float, recall: float = 0.7, alike: float = 0.3, together: float = 0.5) -> Variances:
    """Return what would make the difference of two methods vary, from nothing but assumptions.

    The score of one method varies over n subjects by recall (1 - recall) (alike + (1 - alike) / images) / n: the
    variance of clustered proportions (L. Kish, "Survey sampling", 1965, section 5.4). The upper limit takes recalls of
    0.5, subjects that are twice as alike, and methods that err independently.

    Args:
        images: of a subject, above 0; for the UAR of uneven classes as many as balanced ones would be worth.
        recall: of the methods, 0 to 1.
        alike: intra-class correlation of a subject's answers, 0 to 1; 0 where the units are images.
        together: correlation of what a subject adds to the two scores, 0 to 1.
    """
    value, most = (
        2 * (1 - shared) * right * (1 - right) * (same + (1 - same) / images)
        for right, same, shared in ((recall, alike, together), (0.5, min(1.0, 2 * alike), 0.0))
    )
    return Variances(unit=Variance(value=value, most=most))


def assume_noise(deviation: float) -> Variance:
    """Return a variance of which only a standard deviation is assumed; the upper limit takes twice as much."""
    return Variance(value=deviation**2, most=4 * deviation**2)


def count_images(counts: Array) -> float:
    """Return how many images in balanced classes give a UAR that varies as little as (c,) ``counts`` do."""
    present = counts[counts > 0]
    return float(len(present) ** 2 / (1 / present).sum())


def limit_variance(values: Array) -> Variance:
    """Return the variance of (n,) values around 0 with its upper limit.

    Raises:
        ValueError: there are fewer than two values.
    """
    df = measure_tails(values)
    return _limit(float((values**2).sum()) / (len(values) - 1), df)


def measure_tails(values: Array) -> float:
    """Return the degrees of freedom that the sample variance of (n,) values around 0 is worth.

    A variance of values with long tails knows less than chi-squared with n - 1 degrees of freedom says; their kurtosis
    tells how many it is worth (G. E. P. Box, "Non-normality and tests on variances", Biometrika 40, 1953).

    Raises:
        ValueError: there are fewer than two values.
    """
    return count_freedom(len(values), measure_excess(values))


def count_freedom(n: int, excess: float) -> float:
    """Return the degrees of freedom of the sample variance of n values with an excess kurtosis."""
    return min(n - 1.0, 2 * n / (excess + 2 + 2 / (n - 1)))


def measure_excess(values: Array, merged: float = 1.0) -> float:
    """Return the excess kurtosis around 0 of those of which (n,) values are the sums of ``merged``, at least ``TAILS``.

    Few subjects seldom show a long tail, so at least ``TAILS`` is taken: an upper limit then holds in 0.92 to 0.98 of
    cases over 10 to 100 subjects (0.80 to 0.95 with the sample's own).

    Raises:
        ValueError: there are fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError("there is one subject (or sample); expected two or more to see how they differ")
    squares, excess = float((values**2).mean()), 0.0
    if n > 3 and squares > 0:
        excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (float((values**4).mean()) / squares**2 - 3) + 6)
    return max(TAILS, excess * merged)


def _limit(variance: float, df: float) -> Variance:
    """Return a sample variance with its upper limit by chi-squared."""
    return Variance(value=variance, most=variance * df / float(special.chdtri(df, LEVEL)))


def _measure_pair(first: Estimate, second: Estimate, units: int) -> Variances:
    """Return what makes the difference of two methods vary on one data set, paired by seeds where they are the same."""
    value, influences = second.value - first.value, [first.series_influences, second.series_influences]
    parts = measure_parts(first, second) - value * (first.shares + second.shares) / 2
    if are_paired(first, second):
        influences = [influences[1] - influences[0]]
    return _separate(parts, pair_series(first, second), influences, units)


def _separate(parts: Array, series: Sequence[Array], influences: Sequence[Array], units: int) -> Variances:
    """Return the variances over units and over seeds, each without what a unit and a training do together.

    Args:
        parts: (m,) float around 0, what each unit, or block of units, adds to a value averaged over seeds.
        series: (j,) float each, what the value varies by over seeds.
        influences: (j, m) float each, what each unit adds in each of a series.
        units: how many there are, before any were merged.
    """
    unit = limit_variance(parts)
    unit = Variance(value=units * len(parts) * unit.value, most=units * len(parts) * unit.most)
    variances = [variance for values in series if (variance := measure_seed_variance(values)) is not None]
    if len(variances) < len(series):
        return Variances(unit=unit)
    together = [units * measure_interaction(values) for values in influences]
    averaged = sum(one / len(values) for one, values in zip(together, series, strict=True))
    seed = _limit(sum(variances), min(map(len, series)) - 1)
    return Variances(
        unit=_subtract(unit, averaged),
        seed=_subtract(seed, sum(together) / units),
        interaction=_limit(sum(together), measure_tails(parts)),
    )


def measure_interaction(influences: Array) -> float:
    """Return the variance of the score of one seed over what its units do in this seed and not on average.

    The interaction of a two-way table: its mean square divided by the number of units.

    Args:
        influences: (j, n) float, what each of two units or more adds in each of two seeds or more; those of a seed sum
            to 0.
    """
    j, n = influences.shape
    left = influences - influences.mean(axis=0)
    return float((left**2).sum()) * n / ((j - 1) * (n - 1)) if (abs(left) > SAME).any() else 0.0


def _subtract(variance: Variance, known: float) -> Variance:
    """Return a variance without a part of it that is known, at least 0."""
    return Variance(value=max(0.0, variance.value - known), most=max(0.0, variance.most - known))


def _average(several: Sequence[Variances]) -> Variances:
    """Return the mean of each variance that is known in all."""
    sources = {name: [getattr(one, name) for one in several] for name in ("unit", "seed", "interaction")}
    return Variances(**{name: _mean(variances) for name, variances in sources.items() if None not in variances})


def _mean(variances: Sequence[Variance]) -> Variance:
    value, most = (float(np.mean([getattr(one, name) for one in variances])) for name in ("value", "most"))
    return Variance(value=value, most=most)
