"""``fer-bench pack`` and ``fer-bench unpack``: results as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.merge import Contradictions, Into, Tolerance, copy

PACK_EXAMPLES = """\b
Examples:
  fer-bench pack --output results.zip
  fer-bench pack --rows 'xception linear-probe' --output probe.zip
"""
UNPACK_EXAMPLES = """\b
Examples:
  fer-bench unpack results.zip --into runs
"""


def pack(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The zip file to write.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    rows: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Name or id of a row; repeat for several.  [default: all]")
    ] = None,
) -> None:
    """Write results as one file for others: cells, versions, settings that repeat them, hashes of the data, the board.

    It contains no images, paths or user names. The same cells give the same bytes.
    """
    from fer_bench.reports.packing import pack

    cells = pack(runs_dir, rows or (), output)
    console.echo(f"{cells} cells in {output}, {output.stat().st_size / 1000:,.0f} kB.")


def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'pack' wrote.")],
    into: Into,
    contradictions: Contradictions = "refuse",
    tolerance: Tolerance = 0.0,
) -> None:
    """Check a pack, and merge its cells into a runs folder. Exit code 1 if a cell is damaged.

    A file that holds anything else, or has members that leave the folder, links or bombs, is refused as a whole.
    """
    from fer_bench.results.unpacking import unpacked

    with unpacked(file, into) as folder:
        copy([folder], into, contradictions, tolerance)
