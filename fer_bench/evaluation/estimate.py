"""One estimand a metric: the score of all predictions of a seed, averaged over seeds, and where it varies.

X. Bouthillier et al., "Accounting for variance in machine learning benchmarks" (MLSys 3, 2021), tell apart what makes
a score vary: here the people who are tested, and the training (with the splits, where a seed draws them).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, find_distinct
from fer_bench.evaluation.classification import read_answers
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.freedom import count_freedom, count_worth
from fer_bench.evaluation.influence import measure_influence, measure_slope
from fer_bench.evaluation.metrics import Metric, score_seeds

MOST_UNITS = 400
"""More units are merged into this number of random blocks: variances and tests then cost the same for any number of
samples, and a standard error is off by some 4 %."""
SAME = 1e-12
"""Scores of two seeds that differ by less are equal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A metric of one method.

    Attributes:
        metric: which.
        seeds: (k,) int, names of the seeds in order: of the trainings.
        splits: (k,) int, names of the folds on which each of them trained.
        scores: (k,) float, the metric of all predictions of each seed.
        units: how many subjects, or samples where no subject is known; the arrays have n of them, see ``n``.
        influences: (k, n) float, what each unit adds in each seed; see ``measure_influence``. Those of a seed sum to 0.
        shares: (n,) float, share of the predictions that are of each unit, averaged over seeds. Sums to 1.
        tables: (n, c, c) float, confusion matrices of each unit, rows true, averaged over seeds; None for a metric
            that needs more than counts.
    """

    metric: Metric
    seeds: Array
    splits: Array
    scores: Array
    units: int
    influences: Array
    shares: Array
    tables: Array | None

    @property
    def value(self) -> float:
        """The score: the mean over seeds."""
        return float(self.scores.mean())

    @property
    def n(self) -> int:
        """How many units there are, blocks of them where there were more than ``MOST_UNITS``."""
        return self.influences.shape[1]

    @functools.cached_property
    def influence(self) -> Array:
        """(n,) float, what each unit adds, averaged over seeds; sums to 0."""
        return self.influences.mean(axis=0)

    @functools.cached_property
    def own(self) -> Array | None:
        """(n,) float, what the answers of each unit add to the score; sums to it. None for a metric in which the worth
        of an answer depends on the other answers.
        """
        if self.tables is None or self.metric.per_hit is None:
            return None
        images = self.tables.sum(axis=(0, 2))
        own = np.diagonal(self.tables, axis1=1, axis2=2) @ self.metric.per_hit(images)
        return own + (self.value - own.sum()) * self.shares

    @property
    def unit_variance(self) -> float | None:
        """Variance of ``value`` over draws of n units, given what was trained; None of one unit, which shows none."""
        return float((self.influence**2).sum()) * self.n / (self.n - 1) if self.n > 1 else None

    @property
    def unit_freedom(self) -> float:
        """Degrees of freedom of ``unit_variance``, see ``count_freedom``."""
        return count_freedom(self.metric, self.tables, self.shares)

    @property
    def effective_units(self) -> float:
        """How many units the metric speaks of, before any were merged: less than ``units`` where images of a rare class
        count for more than others, see ``count_worth``.
        """
        return self.units * count_worth(self.metric, self.tables)

    @functools.cached_property
    def series(self) -> Array:
        """(j,) float, independent draws whose mean is the score: the scores of the seeds; where several splits were
        trained on, the mean score on each, since seeds that share folds have more in common than others.
        """
        return self._average(self.scores)

    @property
    def series_influences(self) -> Array:
        """(j, n) float, what each unit adds in each of ``series``."""
        return self._average(self.influences)

    @property
    def seed_variance(self) -> float | None:
        """Variance of ``series``; 0 where all agree, None of one seed, which shows none."""
        return measure_seed_variance(self.series)

    def _average(self, values: Array) -> Array:
        """Return (k, …) values of the seeds as they are; where there are several splits, their mean on each."""
        names, code = np.unique(self.splits, return_inverse=True)
        if len(names) == 1:
            return values
        return np.stack([values[code == split].mean(axis=0) for split in range(len(names))])


def measure_seed_variance(values: Array) -> float | None:
    """Return the sample variance of (k,) values over seeds: 0 where they are equal, None for one seed."""
    return None if len(values) < 2 else float(measure_seed_variances(values[None])[0])


def measure_seed_variances(values: Array) -> Array:
    """Return the sample variance of each row of (m, k) values over two seeds or more, (m,); 0 where they are equal."""
    return np.where(np.ptp(values, axis=1) <= SAME, 0.0, values.var(axis=1, ddof=1))


def measure(
    metric: Metric,
    true: Array,
    probabilities: Array,
    seeds: Array | None = None,
    units: Array | None = None,
    extra: Extra = NOTHING,
    splits: Array | None = None,
) -> Estimate:
    """Return the estimate of a metric.

    Args:
        metric: any.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        seeds: (r,) int, the seed of each row, of the training; None: all are of one, 0.
        units: (r,) names or codes of the subjects, or of the samples where no subject is known; None: each row is a
            unit. Two methods can be compared where they have the same units.
        extra: what is known of the rows beside.
        splits: (r,) int, the folds on which the seed of each row trained; None: each seed has its own.

    Raises:
        ValueError: the predictions are not valid.
    """
    true, probabilities = check_predictions(true, probabilities)
    seeds = np.zeros(len(true), np.int64) if seeds is None else seeds
    names, first, seed = find_distinct(seeds)
    codes = np.arange(len(true)) if units is None else find_distinct(units)[2]
    unit, n = _merge(codes)
    k, classes = len(names), probabilities.shape[1]
    influences = np.zeros((k, n))
    if n > 1:
        influences = measure_influence(metric, true, probabilities, unit, seed, extra)
    shares = np.bincount(unit, weights=1 / np.bincount(seed)[seed], minlength=n)
    tables = None
    if metric.from_confusion is not None:
        rows, labels, weights = read_answers(probabilities)
        entries = (unit[rows] * classes + true[rows]) * classes + labels
        tables = np.bincount(entries, weights=weights / k, minlength=n * classes**2).reshape(n, classes, classes)
    return Estimate(
        metric=metric,
        seeds=names,
        splits=names if splits is None else splits[first],
        scores=score_seeds(metric, true, probabilities, seeds, extra),
        units=int(codes.max()) + 1,
        influences=influences,
        shares=shares / k,
        tables=tables,
    )


def measure_values(
    metric: Metric, values: Array, seeds: Array | None = None, units: Array | None = None, splits: Array | None = None
) -> Estimate:
    """Return the estimate of the mean of one number a prediction.

    Args:
        metric: what the number is; it is not computed.
        values: (r,) float, of the predictions of all seeds.
        seeds: as for `measure`; likewise ``units`` and ``splits``.
        units: likewise.
        splits: likewise.
    """
    seeds = np.zeros(len(values), np.int64) if seeds is None else seeds
    names, first, seed = find_distinct(seeds)
    codes = np.arange(len(values)) if units is None else find_distinct(units)[2]
    unit, n = _merge(codes)
    counts = np.bincount(seed)
    scores = np.bincount(seed, weights=values) / counts
    moved = np.bincount(seed * n + unit, weights=(values - scores[seed]) / counts[seed], minlength=len(names) * n)
    return Estimate(
        metric=metric,
        seeds=names,
        splits=names if splits is None else splits[first],
        scores=scores,
        units=int(codes.max()) + 1,
        influences=moved.reshape(len(names), n),
        shares=np.bincount(unit, weights=1 / (counts[seed] * len(names)), minlength=n),
        tables=None,
    )


def pair_series(first: Estimate, second: Estimate) -> list[Array]:
    """Return what varies over seeds in the difference second - first: one series where the methods are paired, else the
    series of each.
    """
    if are_paired(first, second):
        return [second.series - first.series]
    return [first.series, second.series]


def are_paired(first: Estimate, second: Estimate) -> bool:
    """Return whether two methods have the same seeds, or the same splits and several of them."""
    one, other = (np.unique(method.splits) for method in (first, second))
    return (len(one) > 1 and np.array_equal(one, other)) or np.array_equal(first.seeds, second.seeds)


def measure_parts(first: Estimate, second: Estimate) -> Array:
    """Return what each unit adds to the difference second - first, (n,) float; the parts add up to it.

    The part of a unit is what a swap of its answers between the methods would turn round. For accuracy, UAR and means
    of samples that is exact; for other metrics of counts, such as macro-F1, it is the derivative half way between the
    two confusion matrices, for the rest the difference of influence values. What is then left of the difference is
    dealt out by size.

    Raises:
        ValueError: the methods do not have the same units.
    """
    if first.n != second.n:
        raise ValueError(f"one method has {first.n} units and the other {second.n}; expected the same units")
    if first.own is not None and second.own is not None:
        return second.own - first.own
    value, shares = second.value - first.value, (first.shares + second.shares) / 2
    if first.tables is None or second.tables is None:
        return second.influence - first.influence + value * shares
    slope = measure_slope(first.metric, (first.tables + second.tables).sum(axis=0) / 2)
    parts = np.tensordot(second.tables - first.tables, slope, axes=2)
    return parts + (value - parts.sum()) * shares


def _merge(codes: Array) -> tuple[Array, int]:
    """Return the unit of each row and how many there are, at most ``MOST_UNITS``: the same blocks for the same n."""
    n = int(codes.max()) + 1
    if n <= MOST_UNITS:
        return codes, n
    return np.random.default_rng(0).permutation(n)[codes] % MOST_UNITS, MOST_UNITS
