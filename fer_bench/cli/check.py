"""``fer-bench check``: the gate for CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fer_bench.errors import FerBenchError

EXAMPLES = """\b
Examples:
  fer-bench check --baseline tests/baseline --runs-dir runs
  fer-bench check --baseline tests/baseline --metric accuracy --margin 0.03 --junit gate.xml

Exit codes: 0 PASS, 1 FAIL, 2 cannot be compared, 3 UNDERPOWERED.
"""


def check(
    baseline: Annotated[Path, typer.Option(help="Folder that 'baseline freeze' wrote.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    metric: Annotated[str, typer.Option(help="accuracy, uar, macro_f1, kappa, nll, brier, …")] = "uar",
    margin: Annotated[float, typer.Option(help="Smallest drop that matters; 0.02 is 2 points.")] = 0.02,
    alpha: Annotated[float, typer.Option(help="Share of cases in which each bound may be wrong.")] = 0.05,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write markdown to this file.")] = None,
) -> None:
    """Test each row of a baseline for having got worse, and end in PASS (0), FAIL (1) or UNDERPOWERED (3).

    A paired non-inferiority test over subjects, or samples where no subject is known. A gain never fails.
    """
    from fer_bench.cli.tables import print_table
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import gate, gate_formats

    report = gate.check(baseline, runs_dir, find_metric(metric), margin, alpha)
    print_table(gate_formats.COLUMNS, gate_formats.table(report))
    for note in gate_formats.notes(report):
        typer.echo(note)
    typer.echo(gate_formats.summary(report))
    if junit:
        _write(junit, gate_formats.to_junit(report))
    if markdown:
        _write(markdown, gate_formats.to_markdown(report))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in gate_formats.to_annotations(report):
            typer.echo(line)
        if page := os.environ.get("GITHUB_STEP_SUMMARY"):
            _write(Path(page), gate_formats.to_markdown(report), append=True)
    raise typer.Exit(gate.EXIT_CODES[report.verdict])


def _write(file: Path, text: str, *, append: bool = False) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if append else "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise FerBenchError(f"Cannot write to {str(file)!r}: {error.strerror}.") from None
