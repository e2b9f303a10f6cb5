"""``fer-bench baseline``: freeze results for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli.command import App
from fer_bench.cli.rows import MetricName
from fer_bench.sizes import number_of

app = App(
    help="Freeze results, for 'fer-bench check' to compare with, and compare two baselines.", no_args_is_help=True
)

EXAMPLES = """\b
Examples:
  fer-bench baseline freeze --runs-dir runs --output tests/baseline
"""

DIFF_EXAMPLES = """\b
Examples:
  fer-bench baseline diff tests/baseline new-baseline
  git worktree add ../main main && fer-bench baseline diff ../main/tests/baseline tests/baseline
"""


@app.command("freeze", epilog=EXAMPLES)
def freeze(
    output: Annotated[Path, typer.Option(help="Folder to write; an existing baseline is replaced.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    forget_oldest: Annotated[
        bool, typer.Option("--forget-oldest", help="Drop the oldest baseline, as after a drop that was meant.")
    ] = False,
) -> None:
    """Write the predictions of a runs folder as a small folder of text for git. The same runs give the same bytes."""
    from fer_bench.evaluation.metrics import STANDARD
    from fer_bench.reports.margins import find_margin, format_margin
    from fer_bench.results import baseline

    names, random = baseline.freeze(runs_dir, output, forget_oldest)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    for name, row in baseline.load(output).items():
        margin = find_margin(row.predictions, len(row.record.dataset.classes), STANDARD["uar"])
        console.echo(f"frozen: {name}\n  {format_margin(margin, row.predictions)}")
    for name in random:
        console.warn(
            f"fer-bench: {name} is trained at random, and frozen with one seed: the gate cannot distinguish a "
            "worse method from another training. Freeze several, with --split-seeds 0 --seeds 0,1,2,3,4 of 'run'."
        )
    console.echo(f"{number_of(len(names), 'row')}, {size / 1000:,.0f} kB in {output}. Commit this folder.")


@app.command("diff", epilog=DIFF_EXAMPLES)
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of a baseline.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of another.")],
    metric: MetricName = "uar",
    form: Annotated[Literal["terminal", "md", "json"], typer.Option("--format", help="How to print it.")] = "terminal",
) -> None:
    """Print what changed from baseline A to B: rows, samples, scores with their paired difference, seeds, versions."""
    from fer_bench.cli.output import print_json, print_tables
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import baseline_diff
    from fer_bench.reports.formats import markdown
    from fer_bench.results.baseline import load

    report = baseline_diff.diff(load(first), load(second), find_metric(metric))
    if form == "json":
        print_json(baseline_diff.record(report))
    elif form == "md":
        console.write(markdown.write(baseline_diff.to_tables(report), "Baselines"))
    else:
        print_tables(*baseline_diff.to_tables(report))
