"""``fer-bench compare``: two rows or cells side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench.cli.show import RunsDir

EXAMPLES = """\b
Examples:
  fer-bench compare linear-probe finetune
  fer-bench compare 3f2a 77c0
  fer-bench compare xception xception --other-runs-dir runs-of-last-week --format md
"""
SHOWN = 15


def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="A row or cell: its name, the start of its id, or words of one row's name."),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    runs_dir: RunsDir = Path("runs"),
    other: Annotated[
        Path | None, typer.Option("--other-runs-dir", help="Folder of B's results.  [default: --runs-dir]")
    ] = None,
    form: Annotated[Literal["terminal", "md", "json"], typer.Option("--format", help="How to print it.")] = "terminal",
) -> None:
    """Print the paired difference of every metric, with interval and test, and what differs in spec and provenance."""
    import sys

    from fer_bench.cli.tables import print_table
    from fer_bench.evaluation.installed import load_metrics
    from fer_bench.registry import Registry
    from fer_bench.reports import pair_formats as formats
    from fer_bench.reports.pair import compare as put_together
    from fer_bench.results.find import find_row
    from fer_bench.results.store import Store

    a, b = find_row(Store(runs_dir), first), find_row(Store(other or runs_dir), second)
    metrics, faults = load_metrics(Registry.load())
    for message in faults:
        sys.stderr.write(f"fer-bench: {message}\n")
    pair = put_together(a, b, tuple(metrics.values()))
    if form != "terminal":
        typer.echo((formats.to_markdown if form == "md" else formats.to_json)(pair), nl=False)
        return
    typer.echo(f"A  {a.id[:8]}  {a.name}\nB  {b.id[:8]}  {b.name}\n")
    print_table(formats.COLUMNS, formats.table(pair))
    for note in formats.notes(pair):
        typer.echo(note)
    for title, found in (("spec", pair.spec), ("provenance", pair.provenance)):
        typer.echo(f"\nWhat differs in {title}: {'' if found else 'nothing'}".rstrip())
        if found:
            print_table(("field", "A", "B"), [tuple(map(formats.text, line)) for line in found[:SHOWN]])
        if len(found) > SHOWN:
            typer.echo(f"and {len(found) - SHOWN} more; see --format json")
