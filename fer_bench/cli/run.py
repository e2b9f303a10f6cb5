"""``fer-bench run``: prepare, train, predict, store, and print the leaderboard."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.command import imports, keep_all
from fer_bench.cli.output import print_json, print_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fer_bench.config import RunConfig
    from fer_bench.reports.row import Row

EXAMPLES = """\b
Examples:
  fer-bench run
  fer-bench run --backbone xception --dataset empathic
  fer-bench run --config recipes/nasri2020-synthetic.yaml
  fer-bench run --backbone 'xception[input_size=149]' --dataset 'fer2013[split=training]' \\
      --limit 2100 --seeds 0,1
  fer-bench run --dataset fer2013 --corrupt all
"""


def run(
    context: typer.Context,
    config: options.ConfigFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the leaderboard and warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the leaderboard as JSON.")] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write each new cell for TensorBoard into this folder.")
    ] = None,
) -> None:
    """Run a grid of data sets, backbones and strategies, and print the leaderboard of this grid.

    Stored cells are not run again, so a repeated command continues where it ended. Exit code 1 if a cell failed.
    """
    runs = options.make_config(context, config)
    with imports():
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.executors.run import run_grid
        from fer_bench.registry import Registry
        from fer_bench.reports import board_records, boards, inflation
        from fer_bench.reports.leaderboard import build

        registry = Registry.load()
    keep_all(context)
    if tensorboard is not None:
        from fer_bench.reports.tensorboard import TensorBoard

        registry.plugins.listen(TensorBoard(tensorboard), "--tensorboard")
    with TerminalReporter(quiet) as reporter:
        finished = run_grid(runs, registry, reporter)
    damaged = list(finished.damaged)
    rows = build(finished.cells, left_out=damaged.append, cache_dir=runs[0].cache_folder, details=as_json)
    if as_json:
        print_json(board_records.record(rows, damaged))
    else:
        twins = inflation.measure(finished.cells, lambda message: None)  # the board names them
        print_tables(*boards.to_tables(rows, damaged), *([inflation.to_table(twins)] if twins else []))
        if not quiet:
            console.warn("\n".join(_next_steps(rows, runs)))
    if finished.summary.failed:
        raise typer.Exit(1)


def _next_steps(rows: Sequence[Row], runs: Sequence[RunConfig]) -> list[str]:
    """Return commands that show more of a run: what it asked for beside scores, the page, two rows side by side, and a
    row or a failed cell.
    """
    folder = runs[0].runs_dir
    where = "" if folder == Path("runs") else f" --runs-dir {shlex.quote(str(folder))}"
    curve = any(len(run.train_fraction) > 1 for run in runs)
    reports = [f"curve{where}   # what more training images would bring"] if curve else []
    reports += [f"damage{where}   # what corrupted images cost"] if any(run.corrupt for run in runs) else []
    methods = [row for row in rows if not row.baseline]
    failed = [cell.id[:8] for row in methods for cell in row.cells if not cell.ok]
    ids = [row.id[:8] for row in methods if row.experiment.task_id == methods[0].experiment.task_id]
    compare = f"compare {ids[0]} {ids[1]}{where}   # two rows" if len(ids) > 1 else "run --help   # how to add rows"
    why = "why a cell failed" if failed else "the cells of a row"
    return [
        "Next:",
        *(f"  fer-bench {report}" for report in reports),
        f"  fer-bench leaderboard{where} --format html --output board.html   # as a page",
        f"  fer-bench {compare}",
        f"  fer-bench show {[*failed, *ids][0]}{where}   # {why}",
    ]
