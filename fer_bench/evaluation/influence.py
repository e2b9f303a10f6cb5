"""What each subject adds to a metric: the ground of every variance and every paired test.

The influence value of a unit is the derivative of the metric by the weight of the unit (the infinitesimal jackknife:
B. Efron, "The jackknife, the bootstrap and other resampling plans", 1982, chapter 6). It serves metrics that are no
mean of samples, such as UAR, macro-F1 and kappa, and whole subjects as well as samples.
"""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.classification import count_answers, read_answers
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric

STEP = 1e-4
"""Of the numeric derivative, in samples; metrics of counts are smooth over whole samples."""


def measure_influence(
    metric: Metric, true: Array, probabilities: Array, units: Array, n: int, extra: Extra = NOTHING
) -> Array:
    """Return the influence value of each unit, (n,) float in the metric's unit; they sum to 0.

    ``n / (n - 1) * (influence**2).sum()`` estimates the variance of the metric over draws of n units. A metric of
    counts is differentiated, a mean of samples needs no derivative, and any other metric is computed n times, with each
    unit left out (the jackknife).

    Args:
        metric: any.
        true: (r,) int labels.
        probabilities: (r, c) float.
        units: (r,) int, the unit of each row, from 0 to n - 1. A unit without rows has the value 0.
        n: how many units there are, 2 or more.
        extra: what is known of the rows beside.
    """
    if metric.from_confusion is not None:
        rows, labels, weights = read_answers(probabilities)
        slope = measure_slope(metric, count_answers(true, probabilities)[0])[true[rows], labels]
        values = np.bincount(units[rows], weights=weights * slope, minlength=n)
    elif metric.per_sample is not None:
        sample = metric.per_sample(true, probabilities)
        values = np.bincount(units, weights=(sample - sample.mean()) / len(sample), minlength=n)
    else:
        values = _leave_out(metric, true, probabilities, units, n, extra)
    return values - values.sum() * np.bincount(units, minlength=n) / len(units)


def measure_slope(metric: Metric, table: Array) -> Array:
    """Return the derivative of a metric of counts by each entry of the (c, c) float confusion matrix, (c, c).

    It is 0 for an entry whose true or predicted class does not occur: the metric jumps where a class appears.
    """
    assert metric.from_confusion is not None
    classes = len(table)
    occurs = (table.sum(axis=0) + table.sum(axis=1)) > 0
    inside = np.outer(table.sum(axis=1) > 0, occurs).astype(np.float64)
    steps = (STEP * np.eye(classes**2)).reshape(-1, classes, classes) * inside
    upper, lower = (metric.from_confusion(np.maximum(table + way * steps, 0)) for way in (1, -1))
    reach = np.minimum(table.ravel(), STEP) + STEP  # nothing can be taken from an entry of 0
    return ((upper - lower) / reach).reshape(classes, classes)


def _leave_out(metric: Metric, true: Array, probabilities: Array, units: Array, n: int, extra: Extra) -> Array:
    """Return influence values by the jackknife."""
    without = np.empty(n)
    for unit in range(n):
        rows = np.flatnonzero(units != unit)
        without[unit] = metric.score(true[rows], probabilities[rows], extra.take(rows))
    return (n - 1) / n * (without.mean() - without)
