"""``fer-bench check``: the gate for CI."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import atomic, console
from fer_bench.cli.output import print_tables
from fer_bench.cli.rows import Backbone, Dataset, Protocol, Strategy, filters_of
from fer_bench.sizes import parse_points

EXAMPLES = """\b
Examples:
  fer-bench check --baseline tests/baseline --runs-dir runs
  fer-bench check --baseline tests/baseline --metric accuracy --margin 3pt --junit gate.xml
  fer-bench check --baseline tests/baseline --underpowered warn

Exit codes: 0 PASS, 1 FAIL, 2 cannot be compared, 3 UNDERPOWERED (0 with --underpowered warn).
"""


def check(
    baseline: Annotated[Path, typer.Option(help="Folder that 'baseline freeze' wrote.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    metric: Annotated[str, typer.Option(help="accuracy, uar, macro_f1, kappa, nll, brier, …")] = "uar",
    margin: Annotated[
        str, typer.Option(metavar="X|Npt", help="Smallest drop that matters; 2pt (2 points) is 0.02.")
    ] = "2pt",
    alpha: Annotated[float, typer.Option(help="Error rate of each bound.")] = 0.05,
    class_margin: Annotated[
        str | None,
        typer.Option(
            metavar="X|Npt",
            help="Smallest drop of a class's recall that matters; 1: no guard.  [default: margin x classes]",
        ),
    ] = None,
    underpowered: Annotated[
        Literal["warn", "fail"], typer.Option(help="Whether UNDERPOWERED fails or warns, in exit code and reports.")
    ] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write markdown to this file.")] = None,
    dataset: Dataset = None,
    backbone: Backbone = None,
    strategy: Strategy = None,
    protocol: Protocol = None,
) -> None:
    """Test whether each row of a baseline got worse: the answer is PASS (0), FAIL (1) or UNDERPOWERED (3).

    A paired non-inferiority test over subjects, or sequences or images where no subject is known. A gain never fails.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import gate, gate_formats
    from fer_bench.reports.formats import markdown as markdown_format

    terms = gate.GateTerms(
        metric=find_metric(metric),
        margin=parse_points(margin, "--margin"),
        alpha=alpha,
        class_margin=None if class_margin is None else parse_points(class_margin, "--class-margin"),
        underpowered=underpowered,
    )
    report = gate.check(baseline, runs_dir, terms, filters_of(dataset, backbone, strategy, protocol))
    table, summary = gate_formats.to_table(report), gate_formats.summary(report)
    accept = f"To accept the drop as meant: {report.acceptance}"
    notes = (*table.notes, accept) if report.acceptance else table.notes
    page = markdown_format.write([replace(table, title=f"fer-bench check: {summary}", notes=notes)])
    print_tables(table)
    if report.acceptance:
        console.echo(accept)  # in one line at any width, to be copied
    console.echo(summary)
    if junit:
        atomic.write_file(junit, gate_formats.to_junit(report), "the JUnit report")
    if markdown:
        atomic.write_file(markdown, page, "the report")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in gate_formats.to_annotations(report):
            console.write(f"{line}\n")
        if file := os.environ.get("GITHUB_STEP_SUMMARY"):
            atomic.append(Path(file), page, "the report")
    raise typer.Exit(report.exit_code)
