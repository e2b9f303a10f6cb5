"""What makes the difference of two methods vary: subjects, seeds and data sets, measured or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate, measure_parts, measure_seed_variance, pair_series

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

    Attributes:
        unit: of what one subject (or sample) adds; over n of them the difference varies by ``unit / n``.
        seed: of the difference over trainings; None where one seed tells nothing of it.
        dataset: of the true difference over data sets; None where one data set tells nothing of it.
    """

    unit: Variance
    seed: Variance | None = None
    dataset: Variance | None = None

    def raise_to_limits(self) -> Variances:
        """Return the variances with every variance at its upper limit."""
        named = {name: getattr(self, name) for name in ("unit", "seed", "dataset")}
        return replace(self, **{name: one and Variance(value=one.most, most=one.most) for name, one in named.items()})


def measure_variances(pairs: Sequence[tuple[Estimate, Estimate]], units: Sequence[int]) -> Variances:
    """Return what makes the difference of two methods vary, from what both did on one data set or several.

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
    by_units: list[Variance] = []
    by_seeds: list[Variance] = []
    for (first, second), value, n in zip(pairs, values.tolist(), units, strict=True):
        parts = measure_parts(first, second) - value * (first.shares + second.shares) / 2
        by_units.append(_scale(limit_variance(parts), n * len(parts)))
        if variance := _measure_seeds(first, second):
            by_seeds.append(variance)
    unit = _average(by_units)
    seed = _average(by_seeds) if len(by_seeds) == len(pairs) else None
    if len(pairs) < 2:
        return Variances(unit=unit, seed=seed)
    seeds = [min(len(first.series), len(second.series)) for first, second in pairs]
    own = [u.value / n for u, n in zip(by_units, units, strict=True)]
    own = own if seed is None else [u + s.value / k for u, s, k in zip(own, by_seeds, seeds, strict=True)]
    total = _limit(float(values.var(ddof=1)), len(values) - 1)
    between = Variance(value=max(0.0, total.value - float(np.mean(own))), most=total.most)
    return Variances(unit=unit, seed=seed, dataset=between)


def foresee_variances(one: Estimate, units: int, together: float = 0.5) -> Variances:
    """Return what would make the difference of a method and a like one vary, which is not there yet.

    Args:
        one: of the method.
        units: how many there are, before any were merged.
        together: assumed correlation of what a subject adds to the two scores, 0 to 1; the upper limit assumes 0.
    """
    alone = _scale(limit_variance(one.influence), 2 * units * one.n)
    seeds = one.seed_variance
    return Variances(
        unit=Variance(value=(1 - together) * alone.value, most=alone.most),
        seed=None if seeds is None else _limit(2 * seeds, len(one.series) - 1),
    )


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
    held = counts[counts > 0]
    return float(len(held) ** 2 / (1 / held).sum())


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


def _measure_seeds(first: Estimate, second: Estimate) -> Variance | None:
    """Return the variance of the difference over seeds, paired where they are the same; None of one seed."""
    series = pair_series(first, second)
    variances = [variance for values in series if (variance := measure_seed_variance(values)) is not None]
    if len(variances) < len(series):
        return None
    return _limit(sum(variances), min(map(len, series)) - 1)


def _average(variances: Sequence[Variance]) -> Variance:
    value, most = (float(np.mean([getattr(one, name) for one in variances])) for name in ("value", "most"))
    return Variance(value=value, most=most)


def _scale(variance: Variance, factor: float) -> Variance:
    return Variance(value=factor * variance.value, most=factor * variance.most)
