"""``fer-bench show``: everything that is known of one cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench import console
from fer_bench.cli.output import print_json
from fer_bench.foreign import one_line

if TYPE_CHECKING:
    from fer_bench.results.store import StoredCell

EXAMPLES = """\b
Examples:
  fer-bench show 3f2a
  fer-bench show 3f2a --json
"""

Cell = Annotated[str, typer.Argument(help="The first letters of a cell's id: the names of the folders in RUNS/cells.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of results.")]


def show(
    cell: Cell,
    runs_dir: RunsDir = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Print what a cell is, what it scored, and where it comes from."""
    from fer_bench.results.find import find_cell
    from fer_bench.results.store import Store

    found = find_cell(Store(runs_dir), cell)
    if as_json:
        print_json(_record(found))
    else:
        console.echo("\n".join(_lines(found)))


def _record(cell: StoredCell) -> dict[str, Any]:
    return {
        "schema": 1,
        "id": cell.id,
        "status": cell.status,
        "error": cell.error,
        "scores": _scores(cell),
        "measures": cell.measures,
        "cell": cell.record,
        "provenance": cell.provenance(),
    }


def _scores(cell: StoredCell) -> dict[str, float]:
    """Return every metric of the core, from the predictions; empty for a cell that failed."""
    if cell.status != "ok":
        return {}
    from fer_bench.evaluation.metrics import evaluate

    table = cell.predictions()
    return evaluate(table["label"].to_numpy(), table.filter(regex=r"^p\d+$").to_numpy())


def _lines(cell: StoredCell) -> list[str]:
    from fer_bench.results.find import describe

    provenance = cell.provenance()
    lines = [describe(cell), f"id         {cell.id}", f"status     {cell.status}"]
    if cell.error:
        lines.append(f"error      {cell.error}")
    if scores := _scores(cell):
        lines.append("scores     " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    for part in ("dataset", "protocol", "backbone", "strategy"):
        lines += ["", part, *_fields(cell.record[part])]
    rest = {key: value for key, value in provenance.items() if key not in ("distributions", "code", "config")}
    lines += ["", "provenance", *_fields({**rest, "command": " ".join(provenance.get("command", []))})]
    lines += [f"  {name}: {_source(known)}" for name, known in provenance.get("code", {}).items()]
    lines.append(f"  {len(provenance.get('distributions', {}))} distributions: see provenance.json or --json")
    lines += ["", f"Files: {cell.folder}"]
    return lines


def _fields(values: dict[str, Any]) -> list[str]:
    return [f"  {key}: {_plain(value)}" for key, value in values.items() if value not in (None, "", {}, [])]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_plain(part)}" for key, part in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else one_line(str(value))


def _source(known: dict[str, Any]) -> str:
    if known["commit"] is None:
        return f"{known['version']}, commit unknown: {known['why']}"
    return f"{known['version']}, commit {known['commit'][:12]}{', with changes' if known['dirty'] else ''}"
