"""From stored cells to a table: a row for each data set x protocol x backbone x strategy.

Scores are computed from predictions, never read from a runs folder; the user's own cache may remember them (`scored`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.evaluation.chance import measure_chance
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate_parts
from fer_bench.reports import comparison
from fer_bench.reports.row import Row, Score, Sources
from fer_bench.reports.scored import Memory
from fer_bench.results.outcomes import Measures
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import DatasetRecord, Experiment, ProtocolRecord
from fer_bench.results.rows import MethodRow, group, newest
from fer_bench.results.store import Store, StoredCell


def refuse(message: str) -> None:
    """Raise FerBenchError: a cell had to be left out."""
    raise FerBenchError(f"A cell cannot be used: {message}.")


def build(
    cells: Sequence[StoredCell],
    metrics: Sequence[Metric] = tuple(STANDARD.values()),
    by: Metric = STANDARD["uar"],
    left_out: Callable[[str], object] = refuse,
    rope: float = comparison.ROPE,
    all_versions: bool = False,
    cache_dir: Path | None = None,
) -> list[Row]:
    """Return the rows of a leaderboard, the best first on each board, the majority class among them.

    Args:
        cells: stored cells.
        metrics: to compute of every cell.
        by: one of them, which orders the rows.
        left_out: is told of each cell that is left out since its predictions are not sound.
        rope: differences up to it do not matter, in the unit of ``by``.
        all_versions: of rows that differ only in code return all, and not the newest.
        cache_dir: where it is remembered what the predictions of rows said; None remembers nothing.

    Raises:
        PluginError: the metric that orders the rows fails. Others that fail are left out of a row and named in it.
        FerBenchError: a cell is left out, and nobody is there to be told.
    """
    methods = group(cells)
    current = newest(methods)
    if not all_versions:
        methods = [method for method in methods if method.id in current]
    memory = Memory(cache_dir, metrics, by, len(cells))
    known = {method.id: memory.recall(method) for method in methods}
    for message in (message for method in methods for message in method.damaged):
        left_out(message)
    methods = [method for method in methods if method.done or method.failed]
    made = [
        _row(method, known[method.id] or _evaluate(method.predictions, method.done, metrics, by)) for method in methods
    ]
    for method, row in zip(methods, made, strict=True):
        if not known[method.id]:
            memory.remember(method, row)
    keys = [method.id for method in methods]
    tasks: dict[tuple[DatasetRecord, ProtocolRecord], list[MethodRow]] = defaultdict(list)
    for method in methods:
        if method.done:
            tasks[method.experiment.dataset, method.experiment.protocol].append(method)
    for members in tasks.values():
        board = {_place(cell): cell for method in reversed(members) for cell in method.done}
        # Predictions of a method that has all cells of the board serve the baseline too; only the answers are others.
        whole = next((method for method in members if len(method.done) == len(board)), None)
        made.append(_baseline(whole or _join(board.values(), members[0]), metrics, by))
        keys.append(members[0].experiment.task_id)
    if not all_versions:
        made = [replace(row, older=len(current.get(key, ()))) for row, key in zip(made, keys, strict=True)]
    rows: list[Row] = []
    for _, board in groupby(sorted(_tell_apart(made, keys), key=_order), key=lambda row: row.subject):
        members = list(board)
        ranked = [None if row.baseline or row.stochastic else row.pooled for row in members]
        baseline = next((row.pooled for row in members if row.baseline), None)
        standings = comparison.rank(by, ranked, baseline, rope, memory.adjust)
        rows += [replace(row, standing=standing) for row, standing in zip(members, standings, strict=True)]
    return rows


def find_row_of(experiment: Experiment, store: Store) -> Row | None:
    """Return the row of a method's stored cells; None without any that is done."""
    cells, _ = store.cells() if store.runs_dir.is_dir() else ((), ())
    rows = build([cell for cell in cells if cell.record.experiment == experiment], left_out=lambda message: None)
    return next((row for row in rows if not row.baseline and row.ok and row.pooled is not None), None)


def _place(cell: StoredCell) -> tuple[int, int, int]:
    return *cell.record.training, cell.record.fold


def _join(cells: Iterable[StoredCell], method: MethodRow) -> MethodRow:
    """Return cells of several methods as one row."""
    return replace(method, cells=tuple(sorted(cells, key=_place)))


def _row(method: MethodRow, scored: dict[str, Any]) -> Row:
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


def _baseline(method: MethodRow, metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of always naming the commonest class of the training part; of equals, the first.

    Args:
        method: that has all cells of the board.
        metrics: as in `build`.
        by: as in `build`.
    """
    assert method.predictions is not None, "a board has predictions"
    counts = _train_counts(method.done)
    certain = np.eye(counts.shape[1], dtype=np.float32)
    pooled = replace(method.predictions, probabilities=certain[counts.argmax(axis=1)[method.predictions.cell]])
    return Row(
        experiment=method.experiment,
        baseline=True,
        **_evaluate(pooled, method.done, metrics, by),
        seeds=len(method.trainings),
        split_seeds=_count_split_seeds(method),
        ok=len(method.done),
        failed=0,
        parameters=0,
        trained_parameters=0,
        seconds=0.0,
        converged=True,
        stochastic=False,
        errors=(),
        cells=tuple(method.done),
    )


def _count_split_seeds(method: MethodRow) -> int:
    """Return how many splits ``--split-seeds`` dealt; 0 where each seed dealt its own."""
    return 0 if all(cell.record.split_seed is None for cell in method.cells) else len(method.splits)


def _train_counts(cells: Sequence[StoredCell]) -> Array:
    """Return (cells, c) samples of each class in the training part of each cell."""
    return np.array([cell.measures.train_counts for cell in cells])


def _evaluate(
    pooled: Predictions | None, cells: Sequence[StoredCell], metrics: Sequence[Metric], by: Metric
) -> dict[str, Any]:
    """Return the fields of a row that its predictions decide; None if it has none."""
    if pooled is None:
        unknown = dict.fromkeys(("interval", "sources", "chance", "pooled"))
        return {"metric": by, "scores": {}, "faults": (), "lacking": 0, **unknown}
    faults: list[str] = []
    scores: dict[str, Score] = {}
    run = np.unique(pooled.training, return_inverse=True)[1]
    folds: dict[str, Array] = {}
    wanted = [metric for metric in metrics if pooled.extra.has(metric.wants) or metric.name == by.name]
    # Those of the core share one table of counts; each of a plugin may fail by itself.
    core = [metric for metric in wanted if not metric.origin]
    for together in (core, *([metric] for metric in wanted if metric.origin)):
        try:
            runs, parts = (
                evaluate_parts(pooled.labels, pooled.probabilities, part, together, pooled.extra)
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
    counts = _train_counts(cells)
    trained = float(counts.sum(axis=1).mean())
    names = sorted({cell.record.training for cell in cells})
    seeds = np.array([names.index(cell.record.training) for cell in cells])
    return {
        "metric": by,
        "scores": scores,
        "faults": tuple(faults),
        "interval": comparison.interval(by, pooled, trained if cells[0].record.protocol.folds > 1 else None),
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


def _tell_apart(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Give rows that look alike a variant, the start of the hash of what they have in common."""
    seen: dict[tuple[str | int, ...], int] = defaultdict(int)
    for row in rows:
        seen[_looks(row)] += 1
    return [
        replace(row, variant=key[:6]) if seen[_looks(row)] > 1 else row for row, key in zip(rows, keys, strict=True)
    ]


def _looks(row: Row) -> tuple[str | int, ...]:
    return *row.subject, row.trained_on, row.backbone, row.strategy


def _order(row: Row) -> tuple[str | float, ...]:
    score = row.scores[row.metric.name].mean if row.scores else math.nan
    strength = -math.inf if math.isnan(score) else score if row.metric.higher_is_better else -score
    return *row.subject, -strength, row.backbone, row.strategy, row.trained_on, row.variant
