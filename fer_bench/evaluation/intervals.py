"""The confidence interval of a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import group_codes
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric, score_seeds
from fer_bench.evaluation.resampling import resample_metric

FEW_UNITS = 10
"""With fewer subjects than this an interval covers less often than it says, since they show too little of how subjects
differ: see ``bootstrap_interval``."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: the metric on all samples.
        low: lower end; likewise ``high``.
        level: nominal coverage, such as 0.95.
        units: how many subjects or samples were resampled.
        few_units: whether they are fewer than ``FEW_UNITS``, so that the interval is too narrow.
    """

    estimate: float
    low: float
    high: float
    level: float
    units: int
    few_units: bool


def bootstrap_interval(
    metric: Metric,
    true: Array,
    probabilities: Array,
    groups: Array | None = None,
    seeds: Array | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    extra: Extra = NOTHING,
) -> Interval:
    """Return the bootstrap interval of a metric over subjects where they are given, else over samples.

    It is the expanded percentile interval of T. C. Hesterberg, "What teachers should know about the bootstrap"
    (The American Statistician 69, 2015): quantiles of the bootstrap values, moved outwards by what the
    Student distribution and the n - 1 of a sample variance would add. It says how the metric would vary with other
    samples (subjects) of the same kind; not with other training data or seeds.

    Measured coverage at 0.95, accuracy and UAR (2,000 simulations, 2,000 resamples, four unbalanced classes): 0.954 to
    0.958 and 0.950 to 0.956 over 100, 300 and 1,000 samples; 0.945 and 0.946 over 60 subjects of some 20 samples, 0.949
    and 0.949 over 20, 0.948 and 0.941 over 10. It falls short of 0.93 with fewer subjects (0.915 for accuracy over 5)
    and near the ceiling, where a resample has almost no errors to draw: with recalls of 0.97, 0.925 and 0.919 over 40
    subjects. The plain percentile interval covers 0.88 over 8 subjects; BCa does no better, and as little as 0.88
    where a class has two or three samples.

    Args:
        metric: any.
        true: (n,) int labels.
        probabilities: (n, c) float.
        groups: (n,) names of subjects; or sample ids, if samples were tested once per seed.
        seeds: (n,) int, the seed of each row: the score is then the mean over seeds; None: all are of one.
        level: nominal coverage.
        resamples: how many.
        seed: of the resamples.
        extra: what is known of the rows beside.

    Raises:
        ValueError: predictions or groups are not valid, or there is but one unit.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    methods = [probabilities]
    values = resample_metric(metric, true, methods, groups, seeds, resamples=resamples, seed=seed, extra=extra)[0]
    units = group_codes(groups, len(true))[1]
    t = special.stdtrit(units - 1, (1 + level) / 2)
    tail = float(special.ndtr(-math.sqrt(units / (units - 1)) * t))
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(
        estimate=float(score_seeds(metric, true, probabilities, seeds, extra).mean()),
        low=max(float(low), metric.lowest),
        high=min(float(high), metric.highest),
        level=level,
        units=units,
        few_units=units < FEW_UNITS,
    )
