"""What searches chose: settings of each fold, their spread, and by how much the best inner score flatters."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench import brackets
from fer_bench.evaluation.metrics import STANDARD, evaluate_parts
from fer_bench.evaluation.optimism import measure_optimism
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Field, Table, percent, show, tabulate
from fer_bench.results.canonical import AtLeastOne, Count, Json, Record

NOTE = (
    "Chosen: on inner folds of each training part; of numbers the median over cells and the range. Inner: the score of "
    "the chosen settings on the inner folds, which chose them, so that it flatters; outer: on the test parts, mean of "
    "single folds; optimism: inner minus outer, in points, with its 95 % interval over folds. By fold: the settings of "
    "each cell, by training and fold."
)


@dataclass(frozen=True, kw_only=True)
class SearchRecord(Record):
    """What the searches of a row chose.

    Attributes:
        metric: by which they chose.
        trials: of a cell; ``failed`` those of all cells that could not be trained.
        inner: the score of the chosen settings on the inner folds, mean over cells; ``outer`` on the test parts.
        optimism: inner minus outer, ``optimism_low`` and ``optimism_high`` its 95 % interval.
        chosen: the settings of each cell, in the order of trainings and folds.
    """

    metric: str
    trials: AtLeastOne
    failed: Count
    inner: float
    outer: float
    optimism: float
    optimism_low: float | None
    optimism_high: float | None
    chosen: tuple[Json, ...]


def measure_search(row: Row) -> SearchRecord | None:
    """Return what the searches of a row chose; None where nothing was searched."""
    cells = [cell for cell in row.cells if cell.ok]
    chosen = [cell.measures.search for cell in cells]
    searches = [search for search in chosen if search]
    if row.baseline or row.pooled is None or not searches or len(searches) < len(cells):
        return None
    metric = STANDARD[searches[0].metric]
    outer = evaluate_parts(row.pooled.labels, row.pooled.probabilities, row.pooled.cell, [metric])[metric.name]
    inner = np.array([search.score for search in searches])
    names = [cell.record.training for cell in cells]
    optimism = measure_optimism(inner, outer, np.array([names.index(name) for name in names]))
    return SearchRecord(
        metric=metric.name,
        trials=max(search.trials for search in searches),
        failed=sum(search.failed for search in searches),
        inner=float(inner.mean()),
        outer=float(outer.mean()),
        optimism=optimism.value,
        optimism_low=optimism.low,
        optimism_high=optimism.high,
        chosen=tuple(search.settings for search in searches),
    )


def to_table(board: Sequence[Row]) -> Table | None:
    """Return what the searches of a board chose; None where no row searches."""
    rows = [row for row in board if measure_search(row)]
    if not rows:
        return None

    first: list[Field[Row]] = [(Column("searched"), lambda row: row.method)]
    return tabulate(rows, [*first, *fields(rows)], "What was chosen", (NOTE,))


def describe_choice(chosen: Sequence[Json]) -> str:
    """Return the settings of several cells: of numbers the median and the range, of others how often each was chosen.

    Example:
        >>> describe_choice([{"c": 0.1, "kernel": "rbf"}, {"c": 0.3, "kernel": "rbf"}, {"c": 0.2, "kernel": "linear"}])
        'c 0.2 (0.1 to 0.3), kernel rbf 2 of 3, linear 1 of 3'
    """
    parts: list[str] = []
    for name in chosen[0]:
        values: list[Any] = [settings[name] for settings in chosen]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            low, high = min(values), max(values)
            spread = "" if low == high else f" ({low:g} to {high:g})"
            parts.append(f"{name} {statistics.median(values):.4g}{spread}")
        else:
            counted = Counter(map(brackets.write, values)).most_common()
            parts.append(f"{name} {', '.join(f'{value} {count} of {len(values)}' for value, count in counted)}")
    return ", ".join(parts)


def list_choices(chosen: Sequence[Json]) -> str:
    """Return the settings of each cell, parameter by parameter.

    Example:
        >>> list_choices([{"c": 0.1, "kernel": "rbf"}, {"c": 0.3, "kernel": "linear"}])
        'c 0.1, 0.3; kernel rbf, linear'
    """
    return "; ".join(f"{name} {', '.join(brackets.write(settings[name]) for settings in chosen)}" for name in chosen[0])


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of what was searched; none where no row searches."""
    records = {id(row): measure_search(row) for row in board}
    if not any(records.values()):
        return []

    def optimism(record: SearchRecord) -> Cell:
        low, high = record.optimism_low, record.optimism_high
        return percent(record.optimism, None if low is None or high is None else (low, high), sign="+")

    columns: list[Field[Row]] = [
        (Column("chosen"), show(records, lambda record: describe_choice(record.chosen))),
        (Column("optimism", "number", "lower"), show(records, optimism)),
        (Column("inner %", "number", "higher", optional=True), show(records, lambda record: percent(record.inner))),
        (Column("outer %", "number", "higher", optional=True), show(records, lambda record: percent(record.outer))),
        (Column("by fold", optional=True), show(records, lambda record: list_choices(record.chosen))),
    ]
    if any(record.failed for record in records.values() if record):
        columns.append((Column("not trained", "number"), show(records, lambda record: record.failed)))
    return columns
