"""``fer-bench show``: everything that is known of one cell, or the cells of a row."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
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
from fer_bench.sizes import format_size, number_of

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
        print_tables(*_parts(cell))


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
    notes = ["'fer-bench show CELL' prints one of them."]
    if row.pairs:
        notes.append(f"Its jackknife: {number_of(len(row.pairs), 'further cell')}, of models without two folds.")
    return Table(f"{row.name} ({row.id[:8]})", columns, tuple(rows), tuple(notes))


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
    lines = [str(cell.record), f"id         {cell.id}", f"status     {cell.result.status}"]
    if cell.error:
        lines.append(f"error      {cell.error}")
    if scores := _scores(cell):
        lines.append("scores     " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    return [*lines, f"files      {cell.folder}", ""]


def _parts(cell: StoredCell) -> list[Table]:
    """Return what decides the result, and where the cell comes from, in words."""
    from fer_bench.results.canonical import to_json

    record, provenance = cell.record, cell.provenance
    parts = {"data set": record.dataset, "protocol": record.protocol, "backbone": record.backbone}
    parts["strategy"] = record.strategy
    packages = defaultdict[str, list[str]](list)
    for name, source in provenance.code.items():
        packages[_source(source)].append(name)
    facts = to_json(provenance)
    for name in ("distributions", "code", "config"):
        facts.pop(name)
    facts["command"] = " ".join(provenance.command)
    facts["memory_bytes"] = provenance.memory_bytes and format_size(provenance.memory_bytes)
    facts["together"] = [f"fold {place[1]} of seed {place[0]}" for place in provenance.together]
    facts["packages"] = [f"{', '.join(names)} {source}" for source, names in packages.items()]
    more = (
        f"Of hashes the first 12 digits. 'fer-bench show {cell.id[:8]} --json' prints all of them, and the versions of "
        f"{number_of(len(provenance.distributions), 'package')}."
    )
    made = replace(_describe("made by", "", facts), notes=(more,))
    return [*(_describe(what, part.text, to_json(part)) for what, part in parts.items()), made]


def _describe(what: str, text: str, values: dict[str, Any]) -> Table:
    """Return a part of a record with a line for each field that says something."""
    from fer_bench.results.versions import WORDS

    if package := values.get("package"):
        values = {**values, "package": f"{package} {values['version']}".rstrip(), "version": ""}
    if (labels := values.get("labels")) and all(old == new for old, new in labels["map"].items()):
        values = {**values, "labels": labels["set"]}
    rows = [
        (one_line(WORDS.get(key, key)), _plain(value))
        for key, value in values.items()
        if key not in ("text", "name") and value not in (None, "", {}, [], False)
    ]
    return Table("", texts(what, text), tuple(rows))


def _plain(value: object, inner: bool = False) -> str:
    from fer_bench.results.versions import write_value

    if isinstance(value, dict):
        text = ", ".join(f"{key}={_plain(part, True)}" for key, part in value.items() if part not in (None, ""))
        return f"({text})" if inner else text
    if isinstance(value, list):
        text = ", ".join(_plain(part, True) for part in value)
        return f"({text})" if inner else text
    return "yes" if value is True else "no" if value is False else one_line(write_value(value))


def _source(source: Source) -> str:
    if source.commit is None:
        return f"{source.version}, commit unknown: {source.why}"
    return f"{source.version}, commit {source.commit[:12]}{', with changes' if source.dirty else ''}"
