"""``fer-bench plan``: what a run would do, what of it is done, why stored cells do not count, and how long it takes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli import options
from fer_bench.cli.command import imports
from fer_bench.cli.output import print_json, print_tables
from fer_bench.reports.table import Column, Field, tabulate
from fer_bench.sizes import format_time

if TYPE_CHECKING:
    from fer_bench.executors.stored import PlannedRow

EXAMPLES = """\b
Examples:
  fer-bench plan --dataset fer2013 --limit 2100
  fer-bench plan --config recipes/nasri2020-synthetic.yaml
"""


def plan(
    context: typer.Context,
    config: options.ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Measure what never ran on this machine, on a few images.")
    ] = True,
) -> None:
    """Print the rows of a run, how many cells of each are finished, and how long the rest takes on this machine.

    For stored cells with the same name, it also prints why they do not count. Prepares data and builds the backbones,
    so that missing data and weights are found; stores no cell.
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
        forecast = estimate(grid, Store(settings.runs_dir), settings.cache_folder, probe=reporter if probe else None)
    if as_json:
        print_json(forecast.record())
        return
    boards = itertools.groupby(forecast.rows, key=lambda row: (row.dataset, row.protocol))
    fields = FIELDS if any(row.others for row in forecast.rows) else FIELDS[:-1]
    tables = [tabulate(list(rows), fields, f"{dataset}: {protocol}") for (dataset, protocol), rows in boards]
    notes = (*grid.notes, *forecast.lines(), *describe_resolution(grid))
    print_tables(*tables[:-1], replace(tables[-1], notes=notes))


def _done(row: PlannedRow) -> str:
    return f"{row.done} of {row.cells}" + (f", {row.failed} failed" if row.failed else "")


def _left(row: PlannedRow) -> str:
    if row.done == row.cells:
        return "done"
    return "not known" if row.seconds is None else format_time(row.seconds)


FIELDS: tuple[Field[PlannedRow], ...] = (
    (Column("backbone, strategy"), lambda row: f"{row.backbone}, {row.strategy}"),
    (Column("cells done", "number"), _done),
    (Column("time left", "number"), _left),
    (Column("do not count", "number", optional=True), lambda row: sum(other.cells for other in row.others) or None),
)
