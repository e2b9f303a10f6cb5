"""``fer-bench plan``: what a run would do, what of it is done, why stored cells do not count, and how long it takes."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.command import imports
from fer_bench.cli.output import print_json, print_tables
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.reports.table import Column, Field, tabulate
from fer_bench.sizes import format_time, number_of, parse_points

if TYPE_CHECKING:
    from fer_bench.evaluation.metrics import Metric
    from fer_bench.executors.estimate import Forecast
    from fer_bench.executors.grid import Grid
    from fer_bench.executors.stored import PlannedRow

EXAMPLES = """\b
Examples:
  fer-bench plan --dataset fer2013 --limit 2100
  fer-bench plan --dataset fer2013 --strategy linear-probe --strategy knn \\
                 --freeze plan.json --question 'linear-probe vs knn'
  fer-bench plan --config recipes/nasri2020-synthetic.yaml
"""


def plan(
    context: typer.Context,
    config: options.ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Measure what never ran on this machine, on a few images.")
    ] = True,
    freeze: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rows and questions into this file, before any cell has run."),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'A vs B'",
            help="Of the frozen plan: two rows to compare, by words of their names; repeat.  [default: all pairs]",
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="Of the frozen plan: what its questions are about.")] = "uar",
    margin: Annotated[
        str, typer.Option(metavar="X|Npt", help="Of the frozen plan: smallest difference that matters.")
    ] = "2pt",
) -> None:
    """Print the rows of a run, how many cells of each are finished, and how long the rest takes on this machine.

    For stored cells with the same name, it also prints why they do not count. Prepares data and builds the backbones,
    so that missing data and weights are found; stores no cell. --freeze writes what is asked of these rows into a file,
    which 'leaderboard --plan' and 'compare --plan' read.
    """
    if question and freeze is None:
        raise FerBenchError("--question belongs to a frozen plan: add --freeze FILE.")
    questions = [_split(text) for text in question or ()]
    runs = options.make_config(context, config)
    settings = runs[0]
    with imports():
        from fer_bench.registry import Registry

        registry = Registry.load()
        from fer_bench.corruption import parse
        from fer_bench.evaluation.installed import find_metric
        from fer_bench.executors.estimate import estimate
        from fer_bench.executors.grid import expand
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.executors.resolution import describe_resolution
        from fer_bench.results.store import Store

    with TerminalReporter(quiet=as_json) as reporter:
        grid = expand(runs, registry, settings.data_folder, settings.cache_folder, reporter)
        probing, store = reporter if probe else None, Store(settings.runs_dir)
        forecast = estimate(grid, store, settings.cache_folder, probing, parse(settings.corrupt))
    if freeze is not None:
        _freeze(freeze, grid, forecast, questions, find_metric(metric, lambda: registry), margin)
    if as_json:
        print_json(forecast.record())
        return
    boards = itertools.groupby(forecast.rows, key=lambda row: (row.dataset, row.protocol))
    fields = FIELDS if any(row.others for row in forecast.rows) else FIELDS[:-1]
    tables = [tabulate(list(rows), fields, f"{dataset}: {protocol}") for (dataset, protocol), rows in boards]
    notes = (*grid.folds, *grid.notes, *forecast.lines(), *describe_resolution(grid))
    print_tables(*tables[:-1], replace(tables[-1], notes=notes))


def _split(question: str) -> tuple[str, str]:
    """Return the names of both rows in ``A vs B``."""
    first, _, second = (part.strip() for part in question.partition(" vs "))
    if not first or not second or " vs " in second:
        raise FerBenchError(f"--question {question!r} names no two rows; write it as 'linear-probe vs knn'.")
    return first, second


def _freeze(
    file: Path, grid: Grid, forecast: Forecast, pairs: Sequence[tuple[str, str]], metric: Metric, margin: str
) -> None:
    """Write the plan of a grid, and say where it is and what it asks."""
    from fer_bench.executors.freezing import freeze
    from fer_bench.reports.gate import check_margin
    from fer_bench.results.frozen_plan import write_plan

    smallest = parse_points(margin, "--margin")
    if faults := check_margin(metric, smallest, 0.05):
        raise FerBenchError(f"{faults[0][0].upper()}{faults[0][1:]}.")
    plan = freeze(grid, forecast, pairs, metric, smallest)
    digest = write_plan(plan, file)
    names = [" vs ".join(plan.rows[one].name for one in pair) for pair in plan.questions]
    count = number_of(len(names), "comparison")
    after = f"After the run: fer-bench leaderboard --plan {shlex.quote(str(file))}"
    frozen = f"frozen in {file}: {count} by {metric.title}, digest {digest}"
    console.warn(f"fer-bench: {frozen}\n{bullet_list(names)}\n{after}")


def _done(row: PlannedRow) -> str:
    return f"{row.done} of {row.cells}" + (f", {row.failed} failed" if row.failed else "")


def _training(row: PlannedRow) -> str:
    return f"trained on {row.trained_on}" if row.trained_on else ""


def _left(row: PlannedRow) -> str:
    if row.done == row.cells:
        return "done"
    return "not known" if row.seconds is None else format_time(row.seconds)


FIELDS: tuple[Field[PlannedRow], ...] = (
    (Column("backbone, strategy"), lambda row: ", ".join(filter(None, (row.backbone, row.strategy, _training(row))))),
    (Column("cells done", "number"), _done),
    (Column("time left", "number"), _left),
    (Column("do not count", "number", optional=True), lambda row: sum(other.cells for other in row.others) or None),
)
