"""``fer-bench groups``: whether any group of people is served worse than all together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.output import print_json, print_tables
from fer_bench.cli.rows import ALL_ROWS, HELP, RunsDir, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters
from fer_bench.sizes import parse_points

EXAMPLES = """\b
Examples:
  fer-bench groups linear-probe
  fer-bench groups finetune --margin 5pt --fewest 30 --json

Exit codes: 0 PASS, 1 FAIL, 2 cannot be told, 3 UNDERPOWERED.
"""


@with_filters
def groups(
    row: Annotated[str, typer.Argument(metavar="ROW", help=HELP)],
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    metric: Annotated[str, typer.Option(help="accuracy, uar, macro_f1, kappa, …")] = "uar",
    margin: Annotated[
        str, typer.Option(metavar="X|Npt", help="Smallest shortfall that matters; 5pt (5 points) is 0.05.")
    ] = "5pt",
    fewest: Annotated[
        int, typer.Option(min=2, help="Subjects, or images where no subject is known, that a group needs.")
    ] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare each group of people with all: is no group worse by the margin? PASS (0), FAIL (1), UNDERPOWERED (3).

    Groups are those that the data set declares, such as sex or age, and two of them together. Bounds hold for all
    groups of an attribute at once.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import group_check as report
    from fer_bench.results.find import find_row
    from fer_bench.results.store import Store

    by = find_metric(metric)
    method = find_row(Store(runs_dir), row, filters)
    check = report.check_groups(method, by, parse_points(margin, "--margin"), fewest)
    if as_json:
        print_json({"schema": 1, **report.record(check)})
    else:
        print_tables(*report.to_tables(check))
    if check.verdict is None:
        raise FerBenchError(f"{check.name}: no attribute groups people, so there is no verdict.")
    if not as_json:
        console.echo(f"Is no group of {fewest} {check.unit} or more worse than all by {margin}? {check.verdict}.")
    raise typer.Exit({"PASS": 0, "FAIL": 1, "UNDERPOWERED": 3}[check.verdict])
