"""``fer-bench show``: everything that is known of one cell, or the cells of a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import console
from fer_bench.cli.output import print_json, print_tables
from fer_bench.cli.rows import ALL_ROWS, HELP, RunsDir, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.foreign import one_line
from fer_bench.reports.table import Cell as TableCell
from fer_bench.reports.table import Column, Table, numbers, texts
from fer_bench.results.filters import Filters
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.results.outcomes import Source
    from fer_bench.results.rows import MethodRow
    from fer_bench.results.store import StoredCell

EXAMPLES = """\b
Examples:
  fer-bench show 'xception, linear-probe' --dataset fer2013
  fer-bench show 3f2a
  fer-bench show 3f2a --json
"""


@with_filters
def show(
    row: Annotated[str, typer.Argument(metavar="ROW", help=HELP)],
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print what a cell is, what it scored, and where it comes from; of a row with several cells, which they are."""
    from fer_bench.results.find import find_row
    from fer_bench.results.store import Store

    method = find_row(Store(runs_dir), row, filters)
    cell, *further = method.cells
    if further and as_json:
        print_json({"schema": 1, "id": method.id, "name": method.name, "cells": list(map(_record, method.cells))})
    elif further:
        print_tables(_table(method))
    elif as_json:
        print_json(_record(cell))
    else:
        console.echo("\n".join(_lines(cell)))


def _table(row: MethodRow) -> Table:
    """Return the cells of a row with their scores."""
    from fer_bench.results.records import name_training

    columns = (*texts("cell", "training"), *numbers("fold", "accuracy", "UAR", "macro-F1"), Column("status"))
    rows: list[tuple[TableCell, ...]] = []
    for cell in row.cells:
        scores = _scores(cell)
        values = (scores.get(name) for name in ("accuracy", "uar", "macro_f1"))
        rows.append(
            (cell.id[:8], name_training(cell.record.training), cell.record.fold, *values, cell.error or cell.status)
        )
    return Table(f"{row.name} ({row.id[:8]})", columns, tuple(rows), ("'fer-bench show CELL' prints one of them.",))


def _record(cell: StoredCell) -> dict[str, Any]:
    from fer_bench.results.canonical import to_json

    result = to_json(cell.result)
    return {
        "schema": 1,
        "id": cell.id,
        "scores": _scores(cell),
        "cell": cell.record.record(),
        "provenance": to_json(cell.provenance),
        **{name: result[name] for name in ("status", "error", "measures")},
    }


def _scores(cell: StoredCell) -> dict[str, float]:
    """Return every metric of the core, from the predictions; empty for a cell that failed.

    Raises:
        FerBenchError: the predictions are not sound.
    """
    from fer_bench.evaluation.metrics import evaluate
    from fer_bench.results.reading import read_predictions

    predictions, _, faults = read_predictions([cell] if cell.ok else [])
    if faults:
        raise FerBenchError(f"Cell {faults[0]}. Delete its folder and repeat the run to make it again.")
    return {} if predictions is None else evaluate(predictions.labels, predictions.probabilities)


def _lines(cell: StoredCell) -> list[str]:
    from fer_bench.results.canonical import to_json

    record, provenance = cell.record, cell.provenance
    lines = [str(record), f"id         {cell.id}", f"status     {cell.result.status}"]
    if cell.error:
        lines.append(f"error      {cell.error}")
    if scores := _scores(cell):
        lines.append("scores     " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    parts = {"dataset": record.dataset, "protocol": record.protocol, "backbone": record.backbone}
    for name, part in {**parts, "strategy": record.strategy}.items():
        lines += ["", name, *_fields(to_json(part))]
    facts = to_json(provenance)
    fields = {key: value for key, value in facts.items() if key not in ("distributions", "code", "config")}
    lines += ["", "provenance", *_fields({**fields, "command": " ".join(provenance.command)})]
    lines += [f"  {name}: {_source(source)}" for name, source in provenance.code.items()]
    lines.append(f"  {number_of(len(provenance.distributions), 'distribution')}: see provenance.json or --json")
    lines += ["", f"Files: {cell.folder}"]
    return lines


def _fields(values: dict[str, Any]) -> list[str]:
    return [f"  {key}: {_plain(value)}" for key, value in values.items() if value not in (None, "", {}, [])]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_plain(part)}" for key, part in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else one_line(str(value))


def _source(source: Source) -> str:
    if source.commit is None:
        return f"{source.version}, commit unknown: {source.why}"
    return f"{source.version}, commit {source.commit[:12]}{', with changes' if source.dirty else ''}"
