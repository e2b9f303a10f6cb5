"""``fer-bench curve``: how the score of a method grows with its training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench.cli.output import print_json, print_tables, write_file
from fer_bench.cli.rows import ALL_ROWS, HELP, FigureFile, MetricName, RunsDir, with_filters
from fer_bench.results.filters import Filters

EXAMPLES = """\b
Examples:
  fer-bench curve
  fer-bench curve linear-probe --dataset fer2013 --figure curve.svg
"""


@with_filters
def curve(
    rows: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help=f"{HELP} All rows without one.")] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    metric: MetricName = "uar",
    figure: FigureFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit a power law to rows of 'fer-bench run --train-fraction 0.25,0.5,1', and print what twice as many training
    images would bring.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import curve as report
    from fer_bench.results.find import find_current_rows
    from fer_bench.results.store import Store

    by = find_metric(metric)
    curves = report.find_curves(find_current_rows(Store(runs_dir), rows or (), filters), by)
    if figure is not None:
        write_file(figure, report.draw(curves, figure.suffix), "the figure")
    if as_json:
        print_json({"schema": 1, "curves": report.record(curves)})
    else:
        print_tables(*report.to_tables(curves))
