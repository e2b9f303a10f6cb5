"""By how much a method falls from its own data to other data, apart from how often each class occurs in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.classification import count_answers, recall_of
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.guards import Answers
from fer_bench.evaluation.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A score on own data and on other data, which other people are in.

    Attributes:
        own: score on own data; ``other``: on other data.
        value: other minus own, in the metric's unit.
        low: lower end of the 95 % interval; likewise ``high``.
    """

    own: float
    other: float
    value: float
    low: float
    high: float


def measure_gap(metric: Metric, own: Answers, other: Answers, tested_per_trained: float, *, level: float = 0.95) -> Gap:
    """Return the gap of a metric between two data sets, with an interval for other people in both.

    The two scores are of different people, so their variances add up: those over units, the own one with the factor of
    a cross-validation (see `algorithm_interval`), and those over seeds. The interval is Student's with the degrees of
    freedom of F. E. Satterthwaite, "An approximate distribution of estimates of variance components" (Biometrics
    Bulletin 2, 1946). Coverage: docs/statistics.md.

    Args:
        metric: any, best one that does not depend on how often a class occurs, see `weigh_recalls`.
        own: what cross-validation on the own data answered; ``other``: what was answered on the other data set.
        other: likewise.
        tested_per_trained: of the own data, as `algorithm_interval` takes it.
        level: of the interval.

    Raises:
        ValueError: either is of one unit.
    """
    parts = [_measure(metric, one) for one in (own, other)]
    if min(part.n for part in parts) < 2:
        raise ValueError("one of the data sets has one unit; expected two or more")
    factors = (1 + tested_per_trained, 1.0)
    sources = [source for part, factor in zip(parts, factors, strict=True) for source in _find_sources(part, factor)]
    variance = sum(value for value, _ in sources)
    spread = sum(value**2 / df for value, df in sources if value)
    reach = 0.0
    if spread:
        reach = float(special.stdtrit(variance**2 / spread, (1 + level) / 2)) * math.sqrt(variance)
    value = parts[1].value - parts[0].value
    return Gap(own=parts[0].value, other=parts[1].value, value=value, low=value - reach, high=value + reach)


def _measure(metric: Metric, one: Answers) -> Estimate:
    return measure(metric, one.true, one.probabilities, one.seeds, one.units, splits=one.splits)


def _find_sources(part: Estimate, factor: float) -> list[tuple[float, float]]:
    """Return (variance, degrees of freedom) of a score, over units and over seeds."""
    k = len(part.series)
    seeds = [((part.seed_variance or 0.0) / k, k - 1)] if k > 1 else []
    return [((part.unit_variance or 0.0) * factor, part.unit_freedom), *seeds]


def keep_common(own: Answers, other: Answers) -> tuple[Answers, Answers]:
    """Return the answers to images of classes that both data sets have."""
    common = np.intersect1d(own.true, other.true)
    first, second = (_take(one, np.flatnonzero(np.isin(one.true, common))) for one in (own, other))
    return first, second


def share_classes(own: Answers, other: Answers, classes: int) -> Array:
    """Return common class shares, (c,) float that sum to 1: the mean of those of both data sets."""
    shares = [np.bincount(one.true, minlength=classes) / len(one.true) for one in (own, other)]
    return (shares[0] + shares[1]) / 2


def weigh_recalls(weights: Array) -> Metric:
    """Return the accuracy that a data set with given class shares would show: the mean of the recalls, so weighted.

    M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities"
    (Neural Computation 14, 2002), start from the same decomposition of the accuracy.

    Args:
        weights: (c,) float, share of each class; classes that do not occur do not count.
    """

    def score(tables: Array) -> Array:
        recalls = recall_of(tables)
        shares = np.where(np.isnan(recalls), 0.0, weights)
        return (np.nan_to_num(recalls) * shares).sum(axis=-1) / np.maximum(shares.sum(axis=-1), np.finfo(float).tiny)

    def compute(true: Array, probabilities: Array) -> float:
        return float(score(count_answers(true, probabilities)[0]))

    return Metric(
        name="accuracy_at_common_shares",
        title="accuracy at common shares",
        compute=compute,
        higher_is_better=True,
        lowest=0.0,
        highest=1.0,
        from_confusion=score,
    )


def _take(one: Answers, rows: Array) -> Answers:
    return Answers(**{name: getattr(one, name)[rows] for name in ("true", "probabilities", "seeds", "splits", "units")})
