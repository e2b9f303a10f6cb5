"""The smallest margin of the gate that a frozen row can settle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.guards import CLASS_POWER, METRIC_POWER
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.power import Design, find_difference
from fer_bench.evaluation.variances import Variance, foresee_variances
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.gate import HALF
from fer_bench.results.predictions import Predictions

ALPHA = 0.05
"""Of the gate, unless a user says otherwise."""


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
    shown = math.ceil(1000 * margin) / 10
    return f"smallest margin of the UAR that {data} settle: --margin {shown:g}pt; a smaller one may end UNDERPOWERED"


def _settle(metric: Metric, pooled: Predictions, power: float, alpha: float) -> float:
    """Return the difference that a one-sided bound at ``alpha`` excludes with ``power`` where there is none."""
    if pooled.n_units < FEWEST_UNITS:
        return math.inf
    estimate = measure_row(metric, pooled)
    variances, seeds = foresee_variances(estimate, pooled.n_units), len(estimate.series)
    if variances.seed is not None:
        # CI trains once: the noise of training is s² (1 + 1 / k), where `foresee_variances` has k trainings of both.
        raised = variances.seed.value * (seeds + 1) / 2
        variances = replace(variances, seed=Variance(value=raised, most=raised))
    return find_difference(variances, Design(units=pooled.n_units, seeds=seeds), power, 2 * alpha)
