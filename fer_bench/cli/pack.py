"""``fer-bench pack`` and ``fer-bench unpack``: results as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_bench import console
from fer_bench.cli.merge import Contradictions, Into, Tolerance, copy
from fer_bench.sizes import number_of

PACK_EXAMPLES = """\b
Examples:
  fer-bench pack --output results.zip
  fer-bench pack --rows 'xception linear-probe' --output probe.zip
  fer-bench pack --private lab.key --output results.zip
"""
UNPACK_EXAMPLES = """\b
Examples:
  fer-bench unpack results.zip --into runs
  fer-bench unpack results.zip --into runs --private lab.key
"""


def pack(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The zip file to write.")],
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    rows: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Name or id of a row; repeat for several.  [default: all]")
    ] = None,
    private: Annotated[
        Path | None,
        typer.Option(metavar="KEYFILE", help="Hide ids of samples, subjects and groups by this key; seal the file."),
    ] = None,
) -> None:
    """Write results as one file for others: cells, versions, settings that repeat them, hashes of the data, the board.

    It contains no images, paths or user names. The same cells give the same bytes.
    """
    from fer_bench.reports.packing import pack
    from fer_bench.results.keyed import read_key

    cells = pack(runs_dir, rows or (), output, None if private is None else read_key(private))
    console.echo(f"{number_of(cells, 'cell')} in {output}, {output.stat().st_size / 1000:,.0f} kB.")


def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'pack' wrote.")],
    into: Into,
    contradictions: Contradictions = "refuse",
    tolerance: Tolerance = 0.0,
    private: Annotated[
        Path | None, typer.Option(metavar="KEYFILE", help="Take the file only if it is sealed with this key.")
    ] = None,
) -> None:
    """Check a pack, and merge its cells into a runs folder. Exit code 1 if a cell is damaged.

    A file that holds anything else, or has members that leave the folder, links or bombs, is refused as a whole.
    """
    from fer_bench.results.keyed import read_key
    from fer_bench.results.unpacking import unpacked

    with unpacked(file, into, None if private is None else read_key(private)) as folder:
        copy([folder], into, contradictions, tolerance)
