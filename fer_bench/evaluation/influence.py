"""What each subject adds to a metric: the ground of every variance and every paired test.

The influence value of a unit is the derivative of the metric by the weight of the unit (the infinitesimal jackknife:
B. Efron, "The jackknife, the bootstrap and other resampling plans", 1982, chapter 6). It serves metrics that are no
mean of samples, such as UAR, macro-F1 and kappa, and whole subjects as well as samples.
"""

from __future__ import annotations

import functools

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import fix
from fer_bench.evaluation.classification import count_answers, read_answers
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric

STEP = 1e-4
"""Of the numeric derivative, in samples; metrics of counts are smooth over whole samples."""


def measure_influence(
    metric: Metric, true: Array, probabilities: Array, units: Array, seeds: Array, extra: Extra = NOTHING
) -> Array:
    """Return the influence value of each unit on the metric of each seed, (k, n) float; those of a seed sum to 0.

    ``n / (n - 1) * (influence**2).sum()`` estimates the variance of the metric over draws of n units. A metric of
    counts is differentiated, a mean of samples needs no derivative, and any other metric is computed n times, with each
    unit left out (the jackknife).

    Args:
        metric: any.
        true: (r,) int labels of the predictions of all seeds.
        probabilities: (r, c) float.
        units: (r,) int, the unit of each row, from 0 to n - 1, of two or more. One without rows of a seed has the value
            0.
        seeds: (r,) int, the seed of each row, from 0 to k - 1; each has rows.
        extra: what is known of the rows beside.
    """
    k, n = int(seeds.max()) + 1, int(units.max()) + 1
    place, sizes = seeds.astype(np.int64) * n + units, np.bincount(seeds)
    if metric.from_confusion is not None:
        rows, labels, weights = read_answers(probabilities)
        slope = measure_slope(metric, count_answers(true, probabilities, seeds))[seeds[rows], true[rows], labels]
        values = np.bincount(place[rows], weights=weights * slope, minlength=k * n)
    elif metric.per_sample is not None:
        sample = metric.per_sample(true, probabilities)
        mean = np.bincount(seeds, weights=sample) / sizes
        values = np.bincount(place, weights=((sample - mean[seeds]) / sizes[seeds]), minlength=k * n)
    else:
        values = np.empty((k, n))
        for seed in range(k):
            rows = np.flatnonzero(seeds == seed)
            values[seed] = _leave_out(metric, true[rows], probabilities[rows], units[rows], n, extra.take(rows))
    values, shares = values.reshape(k, n), np.bincount(place, minlength=k * n).reshape(k, n) / sizes[:, None]
    return values - values.sum(axis=1, keepdims=True) * shares


def measure_slope(metric: Metric, tables: Array) -> Array:
    """Return the derivative of a metric of counts by each entry of (…, c, c) float confusion matrices, (…, c, c).

    It is 0 for an entry whose true or predicted class does not occur: the metric jumps where a class appears.
    """
    return _measure_slope(metric, np.asarray(tables, np.float64).tobytes(), tables.shape)


@functools.lru_cache(maxsize=4)
def _measure_slope(metric: Metric, content: bytes, shape: tuple[int, ...]) -> Array:
    """Return what `measure_slope` does; units and folds of a row ask it of the same tables."""
    assert metric.from_confusion is not None
    tables, classes = np.frombuffer(content).reshape(shape), shape[-1]
    images, answers = tables.sum(axis=-1), tables.sum(axis=-2)
    inside = (images > 0)[..., :, None] & (images + answers > 0)[..., None, :]
    steps = (STEP * np.eye(classes**2)).reshape(-1, classes, classes) * inside[..., None, :, :]
    upper, lower = (metric.from_confusion(np.maximum(tables[..., None, :, :] + way * steps, 0)) for way in (1, -1))
    reach = np.minimum(tables, STEP) + STEP  # nothing can be taken from an entry of 0
    return fix((upper - lower).reshape(shape) / reach)


def _leave_out(metric: Metric, true: Array, probabilities: Array, units: Array, n: int, extra: Extra) -> Array:
    """Return influence values by the jackknife."""
    without = np.empty(n)
    for unit in range(n):
        rows = np.flatnonzero(units != unit)
        without[unit] = metric.score(true[rows], probabilities[rows], extra.take(rows))
    return (n - 1) / n * (without.mean() - without)
