"""Options and helpers that the subcommands of ``fer-bench data`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench import paths
from fer_bench.errors import DataError, FerBenchError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from fer_bench.progress import Steps
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
    datasets = registry.datasets(names)
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
def show_progress(*titles: str) -> Iterator[list[Callable[[int, int | None], None]]]:
    """Show how far the steps of these titles are, on stderr; each appears with its first news."""
    from fer_bench.progress import Steps

    with Steps() as steps:
        yield [partial(_show, steps, {}, title) for title in titles]


def _show(steps: Steps, bars: dict[str, TaskID], title: str, done: int, total: int | None) -> None:
    if title not in bars:
        bars[title] = steps.add(title, total)
    steps.set(bars[title], done, total)
