"""The bootstrap: many values of a metric from resampled subjects or samples, for several methods at once.

A metric of counts or of means is a function of sums over units, so a resample is a row of weights and all resamples
are one sparse product; nothing is computed twice for a sample that was drawn twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from fer_bench.evaluation.checks import check_predictions, group_codes
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric

Array = np.ndarray[Any, Any]

CHUNK = 500_000
"""Weights that are held in memory at once."""


def resample_metric(
    metric: Metric,
    true: Array,
    methods: Sequence[Array],
    groups: Array | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    extra: Extra = NOTHING,
) -> Array:
    """Return bootstrap values of the metric, (methods, resamples) float; all methods share a column's resample.

    Whole units are drawn with replacement: groups where given, else samples. A metric with neither ``from_confusion``
    nor ``per_sample`` is computed anew for each resample, which is slow.

    Args:
        metric: any.
        true: (n,) int labels.
        methods: (n, c) probabilities of each method, rows as in ``true``.
        groups: (n,) names of the units: subjects; or sample ids, if samples were tested once per seed. None: each row
            is a unit.
        resamples: how many.
        seed: of the draws.
        extra: what is known of the rows beside.

    Raises:
        ValueError: predictions or groups are not valid, or there is but one unit.
    """
    if not methods:
        raise ValueError("there are no methods; expected the probabilities of one or more")
    labels = check_predictions(true, methods[0])[0]
    units, n_units = group_codes(groups, len(labels))
    if n_units < 2:
        raise ValueError("there is one subject (or sample); expected two or more to resample")
    rng = np.random.default_rng(seed)
    if metric.from_confusion is not None:
        predicted = np.stack([check_predictions(true, method)[1].argmax(axis=1) for method in methods])
        classes = max(np.shape(method)[1] for method in methods)
        return _resample_tables(
            metric, labels, predicted, units if groups is not None else None, classes, resamples, rng
        )
    if metric.per_sample is not None:
        values = np.stack([metric.per_sample(*check_predictions(true, method)) for method in methods])
        sums = [sparse.csr_array((row, (np.zeros_like(units), units)), shape=(1, n_units)) for row in values]
        sizes = np.bincount(units, minlength=n_units)
        drawn = [
            np.concatenate([part @ weights for part in sums]) / (sizes @ weights)
            for weights in _draw(rng, np.ones(n_units, dtype=np.int64), resamples)
        ]
        return np.concatenate(drawn, axis=1)
    checked = [check_predictions(true, method)[1] for method in methods]
    return _resample_rows(metric, labels, checked, units, n_units, resamples, rng, extra)


def _resample_tables(
    metric: Metric,
    true: Array,
    predicted: Array,
    units: Array | None,
    classes: int,
    resamples: int,
    rng: np.random.Generator,
) -> Array:
    """Return values of a metric of confusion matrices; without units, samples with equal answers are drawn together."""
    assert metric.from_confusion is not None
    if units is None:
        patterns, multiplicity = np.unique(np.vstack([true, predicted]), axis=1, return_counts=True)
        true, predicted, units = patterns[0], patterns[1:], np.arange(patterns.shape[1])
    else:
        multiplicity = np.ones(units.max() + 1, dtype=np.int64)
    shape = (classes * classes, len(multiplicity))
    counts = [sparse.csr_array((np.ones(len(true)), (true * classes + row, units)), shape=shape) for row in predicted]
    drawn = []
    for weights in _draw(rng, multiplicity, resamples):
        tables = ((part @ weights).T.reshape(-1, classes, classes) for part in counts)
        drawn.append(np.stack([metric.from_confusion(part) for part in tables]))
    return np.concatenate(drawn, axis=1)


def _resample_rows(
    metric: Metric,
    true: Array,
    methods: Sequence[Array],
    units: Array,
    n_units: int,
    resamples: int,
    rng: np.random.Generator,
    extra: Extra,
) -> Array:
    order = np.argsort(units, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(units, minlength=n_units))[:-1])
    values = np.empty((len(methods), resamples))
    for column in range(resamples):
        drawn = rng.integers(n_units, size=n_units)
        rows = order[drawn] if n_units == len(true) else np.concatenate([members[unit] for unit in drawn])
        beside = extra.take(rows)
        values[:, column] = [metric.score(true[rows], probabilities[rows], beside) for probabilities in methods]
    return values


def _draw(rng: np.random.Generator, multiplicity: Array, resamples: int) -> Iterator[Array]:
    """Yield (units, r) float weights: how often each unit was drawn."""
    total = int(multiplicity.sum())
    size = max(1, CHUNK // len(multiplicity))
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        yield np.ascontiguousarray(rng.multinomial(total, multiplicity / total, size=rows).T, dtype=np.float64)
