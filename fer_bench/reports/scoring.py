"""What the predictions of a method say: its row, before it is compared with the others of its board."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.evaluation.chance import measure_chance
from fer_bench.evaluation.checks import find_distinct
from fer_bench.evaluation.extra import NOTHING
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate_parts
from fer_bench.reports import comparison, group_columns
from fer_bench.reports.parts import SOFT, score_soft
from fer_bench.reports.row import Row, Score, Sources
from fer_bench.reports.scored import Memory
from fer_bench.results.outcomes import Measures
from fer_bench.results.predictions import Predictions
from fer_bench.results.rows import MethodRow
from fer_bench.results.store import StoredCell
from fer_bench.several import spread

NOTES = (group_columns.NOTE, SOFT)
"""What tables of details show of each row."""
AT_ONCE = 2_500
"""Cells whose rows a process scores in one go, in a second."""


def warm(methods: Sequence[MethodRow], metrics: Sequence[Metric], by: Metric, memory: Memory, *, details: bool) -> None:
    """Let several processes score rows of many cells, so that a memory knows them; nothing of few cells.

    Args:
        methods: rows of cells.
        metrics: to compute of every cell, of the core.
        by: one of them, which orders the rows.
        memory: where rows are remembered; it has a folder.
        details: whether groups and soft labels are wanted, too.
    """
    parts, cells = list[list[MethodRow]](), AT_ONCE
    for method in methods:
        if memory.knows(method, *(NOTES if details else ())):
            continue
        if cells >= AT_ONCE:
            parts.append([])
            cells = 0
        parts[-1].append(method)
        cells += len(method.cells)
    if len(parts) > 1:
        names = [metric.name for metric in metrics]
        for _ in spread(_score, [(part, names, by.name, memory.cache_dir, details) for part in parts]):
            pass


def _score(part: tuple[Sequence[MethodRow], Sequence[str], str, Path | None, bool]) -> None:
    """Score some rows and remember them.

    Args:
        part: the rows, names of metrics of the core, the name of that which orders the rows, the folder of the memory,
            and whether groups and soft labels are wanted.
    """
    methods, names, name, cache_dir, details = part
    metrics, by = [STANDARD[name] for name in names], STANDARD[name]
    memory = Memory(cache_dir, metrics, by)
    for method in map(replace, methods):  # what it reads is forgotten with it
        if (fields := memory.recall(method)) is None and method.done:
            fields = evaluate_method(method, metrics, by)
            memory.remember(method, fields)
        if fields and details:
            row = make_row(method, fields)
            group_columns.measure_groups(row)
            score_soft(row)


def make_row(method: MethodRow, scored: dict[str, Any]) -> Row:
    """Return the row of a method; ``scored`` are the fields that its predictions decide."""
    measures = [cell.measures for cell in method.done]
    return Row(
        experiment=method.experiment,
        baseline=False,
        **scored,
        seeds=len(method.trainings),
        split_seeds=_count_split_seeds(method),
        ok=len(method.done),
        failed=len(method.failed),
        parameters=measures[0].parameters if measures else None,
        trained_parameters=measures[0].trained_parameters if measures else None,
        seconds=_seconds(measures) if measures else None,
        converged=all(measure.converged for measure in measures),
        stochastic=method.one_random_training,
        errors=tuple(sorted({cell.error for cell in method.failed})),
        cells=(*method.done, *method.failed),
    )


def _count_split_seeds(method: MethodRow) -> int:
    """Return how many splits ``--split-seeds`` dealt; 0 where each seed dealt its own."""
    return 0 if all(cell.record.split_seed is None for cell in method.cells) else len(method.splits)


def train_counts(cells: Sequence[StoredCell]) -> Array:
    """Return (cells, c) samples of each class in the training part of each cell."""
    return np.array([cell.measures.train_counts for cell in cells])


def evaluate_method(method: MethodRow, metrics: Sequence[Metric], by: Metric) -> dict[str, Any]:
    """Return the fields of a row that its predictions decide, with its jackknife."""
    further, why = method.further
    fields = evaluate(method.predictions, method.done, metrics, by, further)
    if further is not None and not (fields["interval"] and fields["interval"].jackknife):
        why = "the jackknife is of other folds"
    return {**fields, "no_jackknife": why}


def evaluate(
    pooled: Predictions | None,
    cells: Sequence[StoredCell],
    metrics: Sequence[Metric],
    by: Metric,
    further: Predictions | None = None,
) -> dict[str, Any]:
    """Return the fields of a row that its predictions decide; None if it has none.

    Args:
        pooled: of all its cells.
        cells: that are done.
        metrics: to compute.
        by: one of them, which has an interval.
        further: the predictions of its jackknife.
    """
    if pooled is None:
        unknown = dict.fromkeys(("interval", "sources", "chance", "pooled"))
        return {"metric": by, "scores": {}, "faults": (), "lacking": 0, "no_jackknife": "", **unknown}
    faults: list[str] = []
    scores: dict[str, Score] = {}
    run = find_distinct(pooled.training)[2]
    folds: dict[str, Array] = {}
    extra = pooled.extra if any(metric.wants for metric in metrics) else NOTHING
    wanted = [metric for metric in metrics if extra.has(metric.wants) or metric.name == by.name]
    # Those of the core share one table of counts; each of a plugin may fail by itself.
    core = [metric for metric in wanted if not metric.origin]
    for together in (core, *([metric] for metric in wanted if metric.origin)):
        try:
            runs, parts = (
                evaluate_parts(pooled.labels, pooled.probabilities, part, together, extra)
                for part in (run, pooled.cell)
            )
        except PluginError as error:
            if by in together:
                raise
            faults.append(str(error))
            continue
        scores |= {metric.name: _summarise(runs[metric.name], parts[metric.name]) for metric in together}
        folds |= parts
    scores = {metric.name: scores[metric.name] for metric in wanted if metric.name in scores}
    counts = train_counts(cells)
    trained = float(counts.sum(axis=1).mean())
    names = sorted({cell.record.training for cell in cells})
    seeds = np.array([names.index(cell.record.training) for cell in cells])
    return {
        "metric": by,
        "scores": scores,
        "faults": tuple(faults),
        "interval": comparison.interval(by, pooled, trained if cells[0].record.protocol.folds > 1 else None, further),
        "no_jackknife": "",
        "sources": _trace(by, pooled, seeds, folds[by.name]),
        "lacking": _count_lacking(pooled, seeds),
        "chance": measure_chance(pooled.labels, counts, pooled.cell, seeds, len(pooled.ids)),
        "pooled": pooled,
    }


def _trace(metric: Metric, pooled: Predictions, seeds: Array, folds: Array) -> Sources:
    """Return what a row's metric varies by; ``seeds`` are (p,), trainings of its cells, ``folds`` (p,) the metric of
    each.
    """
    estimate = comparison.estimate(metric, pooled)
    series = [folds[seeds == seed] for seed in np.unique(seeds)]
    trainings = [estimate.scores[estimate.splits == split] for split in np.unique(estimate.splits)]
    return Sources(
        subjects=None if estimate.unit_variance is None else math.sqrt(estimate.unit_variance),
        folds=_spread_within(series),
        seeds=_spread_within([estimate.scores]),
        trainings=_spread_within(trainings),
    )


def _spread_within(series: Sequence[Array]) -> float | None:
    """Return the standard deviation within several series together; None where none holds two values."""
    freedom = sum(len(values) - 1 for values in series)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in series)
    return math.sqrt(squares / freedom) if freedom else None


def _count_lacking(pooled: Predictions, seeds: Array) -> int:
    """Return how many cells lack a class that others of their training have; ``seeds`` are (p,), its number."""
    held = np.zeros((len(seeds), pooled.probabilities.shape[1]), bool)
    held[pooled.cell, pooled.labels] = True
    return sum(int((~held[seeds == seed][:, held[seeds == seed].any(axis=0)]).any(axis=1).sum()) for seed in set(seeds))


def _summarise(by_seed: Array, by_cell: Array) -> Score:
    """Return the mean over seeds of a metric and its spread over cells."""
    cells = np.sort(by_cell)  # sorted: sums must not depend on order
    return Score(mean=float(np.sort(by_seed).mean()), std=float(cells.std(ddof=1)) if len(cells) > 1 else None)


def _seconds(measures: Iterable[Measures]) -> float:
    """Return the cost of a row: its features once, whenever they were computed, and every fit."""
    seconds = [measure.seconds for measure in measures]
    return max(second.features for second in seconds) + sum(sorted(second.fit for second in seconds))
