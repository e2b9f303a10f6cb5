"""The smallest margin of the gate that a frozen row can settle."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.guards import CLASS_POWER, METRIC_POWER
from fer_bench.evaluation.lower_bound import SKEWNESS, Scatter, StepSizes
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.variances import foresee_variances, measure_excess
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.gate import HALF
from fer_bench.results.predictions import Predictions

ALPHA = 0.05
"""Of the gate, unless a user says otherwise."""
NO_STEPS = StepSizes(sizes=np.zeros(0), changed=np.zeros(0), enough=np.zeros(0))
"""Changed answers of enough subjects, so that the bound has no term for changes that were not seen."""


def find_margin(pooled: Predictions, classes: int, metric: Metric, alpha: float = ALPHA) -> float:
    """Return the smallest margin at which a method that is as good as the frozen one PASSes in 9 of 10 cases.

    The methods are taken to go together as ``foresee_variances`` assumes; one that goes closer with the frozen one
    needs less. The guard of each class needs its share too: its margin is that of the metric times the number of
    classes, as long as that is below 1.

    Args:
        pooled: predictions of the frozen row.
        classes: how many the row has.
        metric: a share, such as UAR.
        alpha: of the gate.

    Returns:
        In the metric's unit; infinite where there are too few subjects for any.
    """
    margins = [_settle(metric, pooled, METRIC_POWER, alpha)]
    for label in np.unique(pooled.labels).tolist():
        part = pooled.take(np.flatnonzero(pooled.labels == label))
        if part.n_units > 1:
            margins.append(min(1.0, _settle(STANDARD["accuracy"], part, CLASS_POWER, alpha)) / classes)
    return max(margins)


def format_margin(margin: float, pooled: Predictions) -> str:
    """Return in words the smallest margin of the UAR that some frozen predictions settle."""
    data = f"these {pooled.n_units:,} {pooled.unit_word}"
    if margin >= HALF:
        return f"{data} are too few for any margin: only the same predictions will PASS"
    percent = math.ceil(1000 * margin) / 10
    return f"smallest margin of the UAR that {data} settle: --margin {percent:g}pt; a smaller one may end UNDERPOWERED"


def _settle(metric: Metric, pooled: Predictions, power: float, alpha: float) -> float:
    """Return the drop that the lower bound of the gate excludes with ``power`` where there is none."""
    if pooled.n_units < FEWEST_UNITS:
        return math.inf
    estimate, units = measure_row(metric, pooled), pooled.n_units
    variances, seeds = foresee_variances(estimate, units), len(estimate.series)
    # CI trains once: the noise of training is s² (1 + 1 / k), where `foresee_variances` has two times s² for a pair.
    extra = variances.seed.value / 2 * (1 + 1 / seeds) if variances.seed else 0.0
    scatter = Scatter(
        units=units,
        blocks=estimate.n,
        variance=variances.unit.value / units,
        excess=measure_excess(estimate.influence, units / estimate.n),
        skewness=SKEWNESS,
        steps=NO_STEPS,
        extra=extra,
        extra_df=seeds - 1 if extra else math.inf,
    )
    return float(special.ndtri(power)) * scatter.error + scatter.find_reach(alpha)
