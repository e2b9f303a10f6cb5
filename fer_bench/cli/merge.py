"""``fer-bench merge``: cells of several runs folders in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import console
from fer_bench.sizes import number_of

EXAMPLES = """\b
Examples:
  fer-bench merge ../anna/runs ../ben/runs --into runs
  fer-bench merge gpu-runs --into runs --tolerance 1e-5
"""
Into = Annotated[Path, typer.Option(metavar="RUNS", help="Runs folder for the cells; created if it does not exist.")]
Contradictions = Annotated[
    Literal["refuse", "keep"],
    typer.Option(help="What happens to copies of a cell with other predictions; keep stores them next to the cells."),
]
Tolerance = Annotated[
    float, typer.Option(min=0, help="Largest difference of a probability between copies that count as the same.")
]


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER…", help="Runs folders.")],
    into: Into,
    contradictions: Contradictions = "refuse",
    tolerance: Tolerance = 0.0,
) -> None:
    """Copy the cells of several runs folders into one. In any order the same bytes. Exit code 1 if one is damaged.

    Each cell is checked against its checksums and its identity. Of the same ones one is kept: the one stored first.
    """
    copy(folders, into, contradictions, tolerance)


def copy(folders: list[Path], into: Path, contradictions: str, tolerance: float) -> None:
    """Merge cells, and print the result."""
    from fer_bench.results.merging import ASIDE, merge

    merged = merge(folders, into, keep=contradictions == "keep", tolerance=tolerance)
    for folder in merged.empty:
        console.warn(f"fer-bench: {str(folder)!r} holds no cells; name a folder that --runs-dir of a run named.")
    if len(merged.empty) == len(set(folders)):
        raise typer.Exit(2)
    for message in merged.damaged:
        console.warn(f"fer-bench: left out: {message}")
    for message in merged.contradictions:
        console.warn(f"fer-bench: kept in {into / ASIDE}: {message}")
    console.echo(f"{number_of(merged.taken, 'cell is', 'cells are')} new in {into}, {merged.known} were there.")
    for pairing in merged.boards:
        console.echo(str(pairing))
    if merged.damaged:
        raise typer.Exit(1)
