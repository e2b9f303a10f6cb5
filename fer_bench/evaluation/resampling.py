"""The bootstrap: many values of a metric from resampled subjects or samples, for several methods at once.

A metric of counts or of means is a function of sums over units, so a resample is a row of weights and all resamples
are one sparse product; nothing is computed twice for a sample that was drawn twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import sparse

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, group_codes
from fer_bench.evaluation.classification import read_answers
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric

CHUNK = 500_000
"""Weights, or counts of tables, that are held in memory at once."""


def resample_metric(
    metric: Metric,
    true: Array,
    methods: Sequence[Array],
    groups: Array | None = None,
    seeds: Array | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    extra: Extra = NOTHING,
) -> Array:
    """Return bootstrap values of the metric, (methods, resamples) float; all methods share a column's resample.

    A value is the mean over seeds of the metric of all drawn predictions of a seed.

    Whole units are drawn with replacement: groups where given, else samples. A metric with neither ``from_confusion``
    nor ``per_sample`` is computed again for each resample, which is slow.

    Args:
        metric: any.
        true: (n,) int labels.
        methods: (n, c) probabilities of each method, rows as in ``true``.
        groups: (n,) names of the units: subjects; or sample ids, if samples were tested once per seed. None: each row
            is a unit.
        seeds: (n,) int, the seed of each row; None: all are of one.
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
    run = np.zeros(len(labels), np.int64) if seeds is None else np.unique(seeds, return_inverse=True)[1]
    checked = [check_predictions(true, method)[1] for method in methods]
    if metric.from_confusion is not None:
        answers = [read_answers(method) for method in checked]
        if groups is None and seeds is None and all(len(rows) == len(labels) for rows, _, _ in answers):
            drawn = _resample_patterns(
                metric, labels, [classes_named for _, classes_named, _ in answers], checked[0].shape[1], rng
            )
        else:
            drawn = _resample_tables(metric, labels, answers, units, run, checked[0].shape[1], rng)
        return np.concatenate(list(drawn(resamples)), axis=1)
    if metric.per_sample is not None:
        shape = (int(run.max()) + 1, n_units)
        sums = [sparse.csr_array((metric.per_sample(labels, method), (run, units)), shape=shape) for method in checked]
        sizes = sparse.csr_array((np.ones(len(labels)), (run, units)), shape=shape)
        drawn = [
            np.stack([((part @ weights) / (sizes @ weights)).mean(axis=0) for part in sums])
            for weights in _draw(rng, np.ones(n_units, dtype=np.int64), resamples, n_units)
        ]
        return np.concatenate(drawn, axis=1)
    return _resample_rows(metric, labels, checked, units, run, n_units, resamples, rng, extra)


def _resample_patterns(
    metric: Metric, true: Array, predicted: Sequence[Array], classes: int, rng: np.random.Generator
) -> Callable[[int], Iterator[Array]]:
    """Return what yields values of a metric of counts over samples; those with equal answers are drawn together."""
    patterns, multiplicity = np.unique(np.vstack([true, *predicted]), axis=1, return_counts=True)
    place = np.arange(len(multiplicity))
    answers = [(place, classes_named, np.ones(len(classes_named))) for classes_named in patterns[1:]]
    return _resample_tables(metric, patterns[0], answers, place, np.zeros_like(place), classes, rng, multiplicity)


def _resample_tables(
    metric: Metric,
    true: Array,
    answers: Sequence[tuple[Array, Array, Array]],
    units: Array,
    run: Array,
    classes: int,
    rng: np.random.Generator,
    multiplicity: Array | None = None,
) -> Callable[[int], Iterator[Array]]:
    """Return what yields values of a metric of counts, (methods, r), from a number of resamples."""
    compute, runs = metric.from_confusion, int(run.max()) + 1
    assert compute is not None
    often = np.ones(units.max() + 1, dtype=np.int64) if multiplicity is None else multiplicity
    shape = (runs * classes**2, len(often))
    counts = [
        sparse.csr_array(
            (weights, ((run[rows] * classes + true[rows]) * classes + classes_named, units[rows])), shape=shape
        )
        for rows, classes_named, weights in answers
    ]

    def draw(resamples: int) -> Iterator[Array]:
        for weights in _draw(rng, often, resamples, max(shape)):
            tables = ((part @ weights).T.reshape(-1, runs, classes, classes) for part in counts)
            yield np.stack([compute(part).mean(axis=1) for part in tables])

    return draw


def _resample_rows(
    metric: Metric,
    true: Array,
    methods: Sequence[Array],
    units: Array,
    run: Array,
    n_units: int,
    resamples: int,
    rng: np.random.Generator,
    extra: Extra,
) -> Array:
    order = np.argsort(units, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(units, minlength=n_units))[:-1])
    values = np.zeros((len(methods), resamples))
    for column in range(resamples):
        drawn = rng.integers(n_units, size=n_units)
        rows = order[drawn] if n_units == len(true) else np.concatenate([members[int(unit)] for unit in drawn])
        parts = [rows[run[rows] == index] for index in range(run.max() + 1)]
        for part in parts:
            beside = extra.take(part)
            values[:, column] += [metric.score(true[part], method[part], beside) / len(parts) for method in methods]
    return values


def _draw(rng: np.random.Generator, multiplicity: Array, resamples: int, held: int) -> Iterator[Array]:
    """Yield (units, r) float weights: how often each unit was drawn; ``held`` is what a resample takes in memory."""
    total = int(multiplicity.sum())
    size = max(1, CHUNK // held)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        yield np.ascontiguousarray(rng.multinomial(total, multiplicity / total, size=rows).T, dtype=np.float64)
