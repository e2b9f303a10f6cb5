"""``fer-bench leaderboard``: the table of a runs folder, from stored predictions alone."""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench.errors import FerBenchError

EXAMPLES = """\b
Examples:
  fer-bench leaderboard
  fer-bench leaderboard --format md --output LEADERBOARD.md
  fer-bench leaderboard --format html --output leaderboard.html
  fer-bench leaderboard --metric macro_f1 --format latex
  fer-bench leaderboard --columns cost
  fer-bench leaderboard --columns groups
"""


def leaderboard(
    context: typer.Context,
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    form: Annotated[
        Literal["terminal", "md", "csv", "json", "latex", "html"], typer.Option("--format", help="How to print it.")
    ] = "terminal",
    metric: Annotated[str, typer.Option(help="Metric that orders, ranks and tells apart the rows.")] = "uar",
    columns: Annotated[
        Literal["scores", "cost", "groups", "soft"], typer.Option(help="What tables show; CSV and JSON hold all.")
    ] = "scores",
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the terminal.")] = None,
) -> None:
    """Print the leaderboard of everything in a runs folder. The same runs give the same bytes."""
    # Ten thousand cells are a million objects, none of them garbage: not looked through now, nor on leaving.
    gc.disable()
    context.call_on_close(gc.enable)  # for tests, which call this in their own process
    atexit.register(gc.freeze)

    from fer_bench.cli.tables import width
    from fer_bench.evaluation.installed import find_metric, load_metrics
    from fer_bench.registry import Registry
    from fer_bench.reports.formats import FORMATS, to_latex, to_markdown, to_terminal
    from fer_bench.reports.leaderboard import build
    from fer_bench.results.store import Store

    registry = Registry.load()
    known, faults = load_metrics(registry)
    by = known.get(metric) or find_metric(metric, lambda: registry)
    cells, damaged = Store(runs_dir).cells()
    if not cells and not damaged:
        raise FerBenchError(
            f"The runs folder {str(runs_dir)!r} holds no cells yet. Run 'fer-bench run --runs-dir {runs_dir}' first."
        )
    for message in damaged:
        sys.stderr.write(f"fer-bench: left out: {message}\n")
    for message in faults:
        sys.stderr.write(f"fer-bench: {message}\n")
    rows = build(cells, tuple({**known, by.name: by}.values()), by)
    if form == "terminal" and output is None:
        typer.echo(to_terminal(rows, damaged, width(), show=columns), nl=False)
        return
    if form == "html":
        from fer_bench.reports.page import to_html

        text = to_html(rows, damaged, show=columns)
    elif form in ("csv", "json"):
        text = FORMATS[form](rows, damaged)
    else:
        makers = {"terminal": to_terminal, "md": to_markdown, "latex": to_latex}
        text = makers[form](rows, damaged, show=columns)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FerBenchError(f"Cannot write the leaderboard to {str(output)!r}: {error.strerror}.") from None
