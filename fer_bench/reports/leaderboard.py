"""From stored cells to a table: a row for each data set x protocol x backbone x strategy.

Scores are computed from predictions, never read from a runs folder; the user's own cache may remember them (`scored`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.reports import comparison
from fer_bench.reports.row import Row
from fer_bench.reports.scored import Memory
from fer_bench.reports.scoring import evaluate, evaluate_method, make_row, train_counts, warm
from fer_bench.results.index import FEWEST
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
    *,
    details: bool = False,
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
        details: whether a table will show groups or soft labels, which several processes then score of many cells.

    Raises:
        PluginError: the metric that orders the rows fails. Others that fail are left out of a row and named in it.
        FerBenchError: a cell is left out, and nobody is there to be told.
    """
    methods = group(cells)
    current = newest(methods)
    if not all_versions:
        methods = [method for method in methods if method.id in current]
    memory = Memory(cache_dir if len(cells) >= FEWEST else None, metrics, by)
    if memory.cache_dir:
        warm(methods, metrics, by, memory, details=details)
    known = {method.id: memory.recall(method) for method in methods}
    for message in (message for method in methods for message in method.damaged):
        left_out(message)
    methods = [method for method in methods if method.done or method.failed]
    made: list[Row] = []
    for method in methods:
        fields = known[method.id]
        if fields is None:
            fields = evaluate_method(method, metrics, by)
            memory.remember(method, fields)
        made.append(make_row(method, fields))
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
    rows = sorted(_tell_apart(made, keys), key=_order)
    return [replace(row, standing=one) for row, one in zip(rows, _rank(rows, by, rope, memory), strict=True)]


def _rank(rows: Sequence[Row], by: Metric, rope: float, memory: Memory) -> Iterator[comparison.Standing | None]:
    """Yield where each row stands on its board."""
    lineups = [_line_up(list(board), by) for _, board in groupby(rows, key=lambda row: row.subject)]
    adjusted = iter(memory.adjust([question for lineup in lineups for question in lineup.questions]))
    for lineup in lineups:
        yield from comparison.rank(by, lineup, [next(adjusted) for _ in lineup.questions], rope)


def _line_up(board: Sequence[Row], by: Metric) -> comparison.Lineup:
    ranked = [None if row.baseline or row.stochastic else row.pooled for row in board]
    return comparison.line_up(by, ranked, next((row.pooled for row in board if row.baseline), None))


def find_row_of(experiment: Experiment, store: Store) -> Row | None:
    """Return the row of a method's stored cells; None without any that is done."""
    cells, _ = store.cells() if store.runs_dir.is_dir() else ((), ())
    rows = build([cell for cell in cells if cell.record.experiment.deal == experiment.deal], left_out=lambda _: None)
    return next((row for row in rows if not row.baseline and row.ok and row.pooled is not None), None)


def _place(cell: StoredCell) -> tuple[int, int, int]:
    return *cell.record.training, cell.record.fold


def _join(cells: Iterable[StoredCell], method: MethodRow) -> MethodRow:
    """Return cells of several methods as one row."""
    return replace(method, cells=tuple(sorted(cells, key=_place)))


def _baseline(method: MethodRow, metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of always naming the commonest class of the training part; of equals, the first.

    Args:
        method: that has all cells of the board.
        metrics: as in `build`.
        by: as in `build`.
    """
    assert method.predictions is not None, "a board has predictions"
    counts = train_counts(method.done)
    certain = np.eye(counts.shape[1], dtype=np.float32)
    pooled = replace(method.predictions, probabilities=certain[counts.argmax(axis=1)[method.predictions.cell]])
    return replace(
        make_row(method, evaluate(pooled, method.done, metrics, by)),
        baseline=True,
        failed=0,
        parameters=0,
        trained_parameters=0,
        seconds=0.0,
        converged=True,
        stochastic=False,
        errors=(),
        cells=tuple(method.done),
    )


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
    score = row.score if row.scores else math.nan
    strength = -math.inf if math.isnan(score) else score if row.metric.higher_is_better else -score
    return *row.subject, -strength, row.backbone, row.strategy, row.trained_on, row.variant
