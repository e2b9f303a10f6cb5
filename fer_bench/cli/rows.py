"""How every command takes a row, the options that choose rows, and those that several reports share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.errors import FerBenchError
from fer_bench.reports.formats import FIGURES

if TYPE_CHECKING:
    from fer_bench.results.find import Filters
    from fer_bench.results.store import Store, StoredCell

HELP = "A row or cell: words of its name as tables print it, or the start of its id."
COMPONENT = "NAME[param=value,…]"


def _option(name: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(
        f"--{name}", metavar=COMPONENT, help=f"Only rows of this {what}; repeat for several.", rich_help_panel="Rows"
    )


def find_figure_fault(option: str, file: Path | None) -> str:
    """Return what is wrong with the name of a figure's file; empty if nothing is."""
    if file is None or file.suffix in FIGURES:
        return ""
    return f"{option} {str(file)!r}: expected a name that ends in {', '.join(FIGURES)}"


def _check_figure(file: Path | None) -> Path | None:
    if fault := find_figure_fault("--figure", file):
        raise FerBenchError(f"{fault}.")
    return file


MetricName = Annotated[str, typer.Option(help="accuracy, uar, macro_f1, kappa, nll, brier, …")]
FigureFile = Annotated[
    Path | None,
    typer.Option(
        "--figure", metavar="FILE", help="Also draw it into this .svg, .pdf or .png file.", callback=_check_figure
    ),
]
FilesIn = Annotated[
    list[Path] | None,
    typer.Option(
        "--files-in",
        metavar="FOLDER",
        help="A folder with files that the backbone names, such as a card or weights; repeat for several. They are "
        "also looked for beside the model, here, and where they were last used.",
    ),
]
RunsDir = Annotated[Path, typer.Option(help="Folder of results.")]
Dataset = Annotated[list[str] | None, _option("dataset", "data set")]
Backbone = Annotated[list[str] | None, _option("backbone", "backbone")]
Strategy = Annotated[list[str] | None, _option("strategy", "strategy")]
Protocol = Annotated[list[str] | None, _option("protocol", "protocol")]


def filters_of(
    dataset: Sequence[str] | None,
    backbone: Sequence[str] | None,
    strategy: Sequence[str] | None,
    protocol: Sequence[str] | None,
) -> Filters:
    """Return what the options name."""
    from fer_bench.results.find import Filters

    filters = {"dataset": dataset, "backbone": backbone, "strategy": strategy, "protocol": protocol}
    return Filters(**{name: tuple(values or ()) for name, values in filters.items()})


def chosen(
    store: Store, rows: Sequence[str] | None, filters: Filters, everything: bool, option: str
) -> list[StoredCell]:
    """Return the cells of the rows that a user names, or of all rows that the options choose.

    Args:
        store: where to look.
        rows: names of rows and cells.
        filters: from `filters_of`.
        everything: whether ``option`` was given, which takes all rows.
        option: its name.

    Raises:
        FerBenchError: nothing is named, or what is named is not there.
    """
    from fer_bench.results.find import find_cells

    if not (rows or filters or everything):
        raise FerBenchError(
            f"Nothing says which cells are meant. Name a row or a cell, or give {option}, or an option as --dataset."
        )
    return find_cells(store, rows or (), filters)
