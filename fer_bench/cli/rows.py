"""How every command takes a row, the options that choose rows, and those that several reports share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fer_bench.errors import FerBenchError
from fer_bench.reports.formats import FIGURES
from fer_bench.results.filters import Filters

if TYPE_CHECKING:
    from fer_bench.results.store import Store, StoredCell

HELP = "A row or cell: words of its name as tables print it, or the start of its id."
COMPONENT = "NAME[param=value,…]"


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
ALL_ROWS = Filters()
_FILTERS = {"dataset": "data set", "backbone": "backbone", "strategy": "strategy", "protocol": "protocol"}


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the four options that choose rows where ``command`` has the parameter ``filters``."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "filters":
            parameters += map(_filter, _FILTERS)
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    def filtered(**values: Any) -> None:
        filters = {name: tuple(values.pop(name) or ()) for name in _FILTERS}
        command(**values, filters=Filters(**filters))

    # typer reads these; `functools.wraps` would show it the parameters of ``command``.
    filtered.__name__, filtered.__doc__ = command.__name__, command.__doc__
    vars(filtered)["__signature__"] = inspect.Signature(parameters)
    filtered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return filtered


def _filter(name: str) -> inspect.Parameter:
    what = f"Only rows of this {_FILTERS[name]}; repeat for several."
    option = typer.Option(f"--{name}", metavar=COMPONENT, help=what, rich_help_panel="Rows")
    hint = Annotated[list[str] | None, option]
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=hint)


def chosen(
    store: Store, rows: Sequence[str] | None, filters: Filters, everything: bool, option: str
) -> list[StoredCell]:
    """Return the cells of the rows that a user names, or of all rows that the options choose.

    Args:
        store: where to look.
        rows: names of rows and cells.
        filters: what the options choose.
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
