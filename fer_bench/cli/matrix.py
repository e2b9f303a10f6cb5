"""``fer-bench matrix``: train on each data set, test on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.output import print_json, print_tables, write_file
from fer_bench.cli.rows import find_figure_fault
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.config import RunConfig

EXAMPLES = """\b
Examples:
  fer-bench matrix --dataset 'synthetic[domain=lab]' --dataset 'synthetic[domain=wild]' --heat-map matrix.svg
"""

SETTINGS = (
    *("backbones", "datasets", "strategies", "seeds", "split_seeds", "precision", "folds"),
    *("labels", "limit", "runs_dir", "data_dir", "cache_dir"),
)
"""What it takes of `fer_bench.config.RunConfig`."""


def matrix(
    context: typer.Context,
    config: options.ConfigFile = None,
    form: Annotated[
        Literal["terminal", "md", "csv", "json"], typer.Option("--format", help="How to print it.")
    ] = "terminal",
    heat_map: Annotated[
        Path | None, typer.Option("--heat-map", metavar="FILE", help="Also draw it into this .svg, .pdf or .png file.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the table and warnings.")] = False,
) -> None:
    """Train on each of two or more data sets, test on each, and print scores, gaps and whether their order holds.

    All data sets need the same classes, or a common label set: --labels basic-7. Exit code 1 if a cell failed.
    """
    (settings,) = options.make_config(context, config)[:1]
    _check(settings, heat_map)
    from fer_bench.registry import Registry

    registry = Registry.load()
    from fer_bench.config import RunConfig
    from fer_bench.executors.progress import TerminalReporter
    from fer_bench.executors.run import run_grid
    from fer_bench.reports import leaderboard, shift
    from fer_bench.reports import matrix as report
    from fer_bench.reports.formats import csv, markdown

    common = settings.model_dump()
    # Pairs come first: they are what may lack a common label set.
    runs = [
        RunConfig.model_validate({**common, "datasets": (tested,), "train_on": (trained,), "protocol": "cross"})
        for tested in settings.datasets
        for trained in settings.datasets
        if tested != trained
    ]
    names = [str(registry.dataset(text)) for text in settings.datasets]
    with TerminalReporter(quiet) as reporter:
        finished = run_grid([*runs, settings], registry, reporter)
    matrices = report.build(leaderboard.build(finished.cells, left_out=reporter.warn), names)
    if heat_map is not None:
        write_file(heat_map, report.draw(matrices, heat_map.suffix), "the heat map")
    tables = [*report.to_tables(matrices), *shift.to_tables(matrices)]
    if form == "json":
        print_json(shift.record(matrices))
    elif form == "csv":
        console.write(csv.write(report.to_flat_table(matrices)))
    elif form == "md":
        console.write(markdown.write(tables, "Trained on rows, tested on columns"))
    else:
        print_tables(*tables)
    if finished.summary.failed:
        raise typer.Exit(1)


def _check(settings: RunConfig, heat_map: Path | None) -> None:
    """Raise FerBenchError with everything that keeps the settings from making a matrix."""
    faults: list[str] = []
    if len(settings.datasets) < 2:
        faults.append(f"a matrix needs two data sets or more, got {', '.join(settings.datasets)}; repeat --dataset")
    if fault := find_figure_fault("--heat-map", heat_map):
        faults.append(fault)
    if settings.train_on or settings.train_with or settings.protocol not in ("auto", "kfold", "group-kfold"):
        faults.append(
            "a matrix trains on one data set at a time and chooses its protocols; leave out train_on, train_with"
        )
    if faults:
        raise FerBenchError(" ".join(f"{fault[0].upper()}{fault[1:]}." for fault in faults))
