"""``fer-bench data audit``: copies, conflicting labels, blank and tiny images, people in two splits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_bench.cli.data_options import AsJson, DataDir, Names, each, print_json, show_progress
from fer_bench.cli.tables import print_table
from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench.data.audit import Audit
    from fer_bench.data.prepared import Prepared
    from fer_bench.data.signatures import Signatures
    from fer_bench.registry import Component
    from fer_bench.specs import DatasetSpec

EXAMPLES = """\b
Examples:
  fer-bench data audit fer2013
  fer-bench data audit fer2013 mmafedb --sheet copies.png
  fer-bench data audit fer2013 --json > known.json
  fer-bench data audit fer2013 --known known.json
"""


def audit(
    datasets: Names,
    data_dir: DataDir,
    sheet: Annotated[Path | None, typer.Option(help="draw the copies; with several data sets, a file for each")] = None,
    known: Annotated[
        Path | None, typer.Option(help="file of known issues: exit 1 for one that is new, or stale")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report exact and near copies, conflicting labels, blank and tiny images, subjects in several splits.

    What it finds is kept beside the prepared data: from then on copies stay in one fold (--no-leak-free: they do not).
    """
    from fer_bench.data.known import compare_known, read_known

    listed = read_known(known) if known else {}
    found: dict[str, tuple[Prepared, Signatures, Audit]] = {}
    each(datasets, lambda dataset: found.update({str(dataset): _audit(dataset, data_dir)}))
    if as_json:
        print_json({name: audit.record() for name, (_, _, audit) in found.items()})
    else:
        _print(found)
    if sheet:
        for name, (prepared, _, audit) in found.items():
            _draw(sheet if len(found) == 1 else _named(sheet, name), prepared, audit)
    if known:
        stray = [f"{name}: listed, but not audited here" for name in listed if name not in found]
        lines = [line for name, (_, _, audit) in found.items() for line in compare_known(name, audit, listed)]
        for line in (*stray, *lines):
            sys.stderr.write(f"{line}\n")
        if lines:
            raise typer.Exit(1)


def _audit(dataset: Component[DatasetSpec], data_dir: Path) -> tuple[Prepared, Signatures, Audit]:
    from fer_bench.data import signatures
    from fer_bench.data.audit import audit as make_audit
    from fer_bench.data.prepare import prepare

    prepared = prepare(dataset, data_dir)
    found = signatures.load(prepared)
    if found is None:
        with show_progress(f"Auditing {dataset}") as progress:
            found = signatures.compute(prepared, progress)
        try:
            signatures.store(found, prepared)
        except FerBenchError as error:
            sys.stderr.write(f"Warning: {error} Folds will not know of the copies.\n")
    return prepared, found, make_audit(prepared, found)


def _print(found: dict[str, tuple[Any, Signatures, Audit]]) -> None:
    from fer_bench.data.audit import compare

    for name, (_, _, audit) in found.items():
        print_table((name, "number"), [(what, f"{number:,}") for what, number in audit.summary()])
    if len(found) > 1:
        pairs = compare({name: signatures for name, (_, signatures, _) in found.items()})
        print_table(("images of", "with an exact copy in", "number"), [(a, b, f"{n:,}") for a, b, n in pairs])


def _draw(file: Path, prepared: Prepared, audit: Audit) -> None:
    from fer_bench.data.sheet import draw_sheet, write_sheet

    picture, left_out = draw_sheet(audit, prepared)
    write_sheet(picture, file)
    rest = f"; {left_out:,} more groups are not drawn" if left_out else ""
    sys.stderr.write(f"Copies drawn in {file}{rest}.\n")


def _named(file: Path, name: str) -> Path:
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
    return file.with_stem(f"{file.stem}-{safe}")
