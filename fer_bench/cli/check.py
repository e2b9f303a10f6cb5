"""``fer-bench check``: the gate for CI."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench import atomic, console
from fer_bench.cli.output import print_tables, write_file
from fer_bench.cli.rows import ALL_ROWS, MetricName, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters
from fer_bench.sizes import parse_points

if TYPE_CHECKING:
    from fer_bench.reports.gate import GateReport, GateTerms
    from fer_bench.reports.group_gate import GroupReport

EXAMPLES = """\b
Examples:
  fer-bench check --baseline tests/baseline --runs-dir runs
  fer-bench check --baseline tests/baseline --metric accuracy --margin 3pt --junit gate.xml
  fer-bench check --baseline tests/baseline --underpowered warn
  fer-bench check --groups --dataset rafdb --group-margin 5pt

Exit codes: 0 PASS, 1 FAIL, 2 cannot be compared, 3 UNDERPOWERED (0 with --underpowered warn).
"""


@with_filters
def check(
    baseline: Annotated[Path | None, typer.Option(help="Folder that 'baseline freeze' wrote.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    metric: MetricName = "uar",
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
    groups: Annotated[
        bool, typer.Option("--groups", help="Also test whether a group of people is served worse than all.")
    ] = False,
    group_margin: Annotated[
        str, typer.Option(metavar="X|Npt", help="Of --groups: smallest shortfall that matters.")
    ] = "5pt",
    fewest: Annotated[int, typer.Option(min=2, help="Of --groups: subjects, or else images, that a group needs.")] = 30,
    underpowered: Annotated[
        Literal["warn", "fail"], typer.Option(help="Whether UNDERPOWERED fails or warns, in exit code and reports.")
    ] = "fail",
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write markdown to this file.")] = None,
    filters: Filters = ALL_ROWS,
) -> None:
    """Test whether each row of a baseline got worse: the answer is PASS (0), FAIL (1) or UNDERPOWERED (3).

    A paired non-inferiority test over subjects, or sequences or images where no subject is known. A gain never fails.
    --groups tests the rows of the runs folder, with or without a baseline, as 'fer-bench groups' does.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import gate, group_gate

    if baseline is None and not groups:
        raise FerBenchError("There is nothing to test: give --baseline FOLDER, or --groups, or both.")
    terms = gate.GateTerms(
        metric=find_metric(metric),
        margin=parse_points(margin, "--margin"),
        alpha=alpha,
        class_margin=None if class_margin is None else parse_points(class_margin, "--class-margin"),
        underpowered=underpowered,
    )
    group_terms = group_gate.GroupTerms(margin=parse_points(group_margin, "--group-margin"), fewest=fewest)
    report = gate.check(baseline, runs_dir, terms, filters) if baseline is not None else None
    people = group_gate.gate_groups(runs_dir, terms, group_terms, filters) if groups else None
    raise typer.Exit(_tell(report, people, terms, junit, markdown))


def _tell(
    report: GateReport | None, people: GroupReport | None, terms: GateTerms, junit: Path | None, markdown: Path | None
) -> int:
    """Print what was tested, write the reports, and return the exit code."""
    from fer_bench.reports import gate_formats
    from fer_bench.reports.formats import markdown as markdown_format

    cases = [*(gate_formats.cases_of(report) if report else ()), *(people.cases if people else ())]
    parts = [(gate_formats.summary(report), gate_formats.to_table(report))] if report else []
    parts += [(people.summary, people.to_table())] if people else []
    accept = [f"To accept the drop as meant: {report.acceptance}"] if report and report.acceptance else []
    print_tables(*(table for _, table in parts))
    for line in (*accept, *(summary for summary, _ in parts)):
        console.echo(line)  # in one line at any width, to be copied
    noted = [(parts[0][0], replace(parts[0][1], notes=(*parts[0][1].notes, *accept))), *parts[1:]]
    page = markdown_format.write([replace(table, title=f"fer-bench check: {line}") for line, table in noted])
    if junit:
        write_file(junit, gate_formats.to_junit(cases, terms.metric.name), "the JUnit report")
    if markdown:
        write_file(markdown, page, "the report")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in gate_formats.to_annotations(cases):
            console.write(f"{line}\n")
        if file := os.environ.get("GITHUB_STEP_SUMMARY"):
            atomic.append(Path(file), page, "the report")
    return gate_formats.find_exit_code(cases)
