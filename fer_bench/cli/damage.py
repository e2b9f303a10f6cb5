"""``fer-bench damage``: what methods score on corrupted test images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.output import print_json, print_tables, write_file
from fer_bench.cli.rows import ALL_ROWS, HELP, FigureFile, MetricName, RunsDir, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters

EXAMPLES = """\b
Examples:
  fer-bench damage
  fer-bench damage --dataset fer2013 --figure damage.svg
  fer-bench damage linear-probe --kinds
"""


@with_filters
def damage(
    rows: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help=f"{HELP} All rows without one.")] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    metric: MetricName = "uar",
    kinds: Annotated[bool, typer.Option("--kinds", help="Also print each kind at each severity.")] = False,
    figure: FigureFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what rows of 'fer-bench run --corrupt all' score on corrupted test images, and how they differ there.

    Columns: the mean over all kinds, the worst kind, and how often answers flip between severities.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import damage as report
    from fer_bench.reports.damage_figure import draw
    from fer_bench.reports.damaged import find_rows
    from fer_bench.results.find import find_current_rows
    from fer_bench.results.store import Store

    by = find_metric(metric)
    if by.biased:
        raise FerBenchError(f"--metric {metric}: {by.biased}.")
    measured = find_rows(find_current_rows(Store(runs_dir), rows or (), filters), by)
    if figure is not None:
        write_file(figure, draw(measured, figure.suffix), "the figure")
    if as_json:
        print_json({"schema": 1, **report.record(measured)})
    else:
        print_tables(*report.to_tables(measured, kinds=kinds))
