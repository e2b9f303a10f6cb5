"""Options and helpers that the subcommands of ``fer-bench data`` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import paths
from fer_bench.errors import DataError, FerBenchError
from fer_bench.foreign import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from fer_bench.registry import Component
    from fer_bench.specs import DatasetSpec

Names = Annotated[list[str], typer.Argument(metavar="DATASET", help="as in 'fer2013' or 'synthetic[domain=lab]'")]
DataDir = Annotated[
    Path,
    typer.Option(
        envvar=paths.DATA_VARIABLE,
        default_factory=paths.data_dir,
        show_default="the user's data folder",
        help="folder of manual and prepared data",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def each(names: list[str], work: Callable[[Component[DatasetSpec]], None]) -> None:
    """Do ``work`` for every data set; errors are raised together at the end, so that one does not hide the others."""
    from fer_bench.registry import Registry

    registry = Registry.load()
    datasets = [registry.dataset(name) for name in names]
    errors: list[FerBenchError] = []
    for dataset in datasets:
        try:
            work(dataset)
        except FerBenchError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(f"{len(errors)} of {len(names)} data sets failed.\n\n" + "\n\n".join(map(str, errors)))


@contextmanager
def show_progress(*titles: str) -> Iterator[list[Callable[[int, int | None], None] | None]]:
    """Show a bar for each title on stderr, if that is a terminal; it appears with its first news."""
    if not sys.stderr.isatty():
        yield [None] * len(titles)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = [bar.add_task(one_line(title), total=None, visible=False) for title in titles]
        yield [partial(_advance, bar, task) for task in tasks]


def _advance(bar: Progress, task: TaskID, done: int, total: int | None) -> None:
    bar.update(task, completed=done, total=total, visible=True)
