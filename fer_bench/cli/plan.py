"""``fer-bench plan``: what a run would do, what of it is done, why stored cells do not count, and how long it takes."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench.cli import options
from fer_bench.cli.command import imports
from fer_bench.cli.output import print_json, print_tables
from fer_bench.reports.table import Table, numbers, texts

EXAMPLES = """\b
Examples:
  fer-bench plan --dataset fer2013 --limit 2100
  fer-bench plan --config recipes/nasri2020-synthetic.yaml
"""


def plan(
    context: typer.Context,
    config: options.ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the rows of a run, how many cells of each are finished, and an estimate of the time that is left.

    For stored cells with the same name, it also prints why they do not count. Prepares data, trains nothing.
    """
    runs = options.make_config(context, config)
    settings = runs[0]
    with imports():
        from fer_bench.registry import Registry

        registry = Registry.load()
        from fer_bench.executors.estimate import estimate
        from fer_bench.executors.grid import expand
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.executors.resolution import describe_resolution
        from fer_bench.results.store import Store

    with TerminalReporter(quiet=as_json) as reporter:
        grid = expand(runs, registry, settings.data_folder, settings.cache_folder, reporter)
    forecast = estimate(grid, Store(settings.runs_dir), settings.cache_folder)
    if as_json:
        print_json(forecast.record())
        return
    others = any(row.others for row in forecast.rows)
    counts = ("cells done", "do not count") if others else ("cells done",)
    columns = (*texts("data set", "protocol", "backbone", "strategy"), *numbers(*counts))
    rows = [
        (
            *(row.dataset, row.protocol, row.backbone, row.strategy),
            f"{row.done} of {row.cells}" + (f", {row.failed} failed" if row.failed else ""),
            *([str(sum(other.cells for other in row.others) or "-")] if others else []),
        )
        for row in forecast.rows
    ]
    notes = (*grid.notes, *forecast.lines(), *describe_resolution(grid))
    print_tables(Table("", columns, tuple(rows), notes))
