"""``fer-bench compare``: two rows or cells side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli.output import print_json, print_tables
from fer_bench.cli.rows import ALL_ROWS, HELP, RunsDir, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters

EXAMPLES = """\b
Examples:
  fer-bench compare linear-probe finetune
  fer-bench compare 'xception, linear-probe' 'xception, finetune' --dataset fer2013
  fer-bench compare 3f2a 77c0
  fer-bench compare linear-probe finetune --plan plan.json
  fer-bench compare xception xception --other-runs-dir runs-of-last-week --format md
"""
SHOWN = 15


@with_filters
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=HELP)],
    second: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    runs_dir: RunsDir = Path("runs"),
    other_runs_dir: Annotated[Path | None, typer.Option(help="Folder of B's results.  [default: --runs-dir]")] = None,
    rope: Annotated[
        float, typer.Option(min=0, help="Differences up to this do not matter, in the metric's unit; 0.01 is a point.")
    ] = 0.01,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What 'plan --freeze' wrote: say whether it asks this.")
    ] = None,
    filters: Filters = ALL_ROWS,
    form: Annotated[Literal["terminal", "md", "json"], typer.Option("--format", help="How to print it.")] = "terminal",
) -> None:
    """Print the paired difference of every metric, with interval and test, and what differs in spec and provenance."""
    from fer_bench.evaluation.installed import load_metrics
    from fer_bench.registry import Registry
    from fer_bench.reports import pair_formats
    from fer_bench.reports.formats import markdown
    from fer_bench.reports.pair import compare as put_together
    from fer_bench.results.find import find_row
    from fer_bench.results.store import Store

    a, b = find_row(Store(runs_dir), first, filters), find_row(Store(other_runs_dir or runs_dir), second, filters)
    metrics, faults = load_metrics(Registry.load())
    for message in faults:
        console.warn(f"fer-bench: {message}")
    judged = None
    if plan is not None and other_runs_dir not in (None, runs_dir):
        raise FerBenchError("--plan is about the rows of one folder: leave out --other-runs-dir.")
    if plan is not None:
        from fer_bench.reports.planned import read_judged

        judged = read_judged(plan, runs_dir)
    pair = replace(put_together(a, b, tuple(metrics.values()), rope), judged=judged)
    if form == "json":
        print_json(pair_formats.record(pair))
    elif form == "md":
        console.write(markdown.write(pair_formats.to_tables(pair), "Comparison"))
    else:
        print_tables(*pair_formats.to_tables(pair, SHOWN))
