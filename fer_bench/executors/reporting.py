"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fer_bench.results.store import StoredCell


class Reporter(Protocol):
    """Who is told how a run goes."""

    def say(self, message: str) -> None:
        """Something begins, or is worth knowing."""

    def begin(self, cells: int, done: int) -> None:
        """The run begins: ``cells`` in the grid, ``done`` of them stored already."""

    def step(self, what: str, total: int | None, worker: int = 0) -> None:
        """A long step begins that has ``total`` parts, None where nobody knows; several workers are at one each."""

    def advance(self, parts: int, worker: int = 0) -> None:
        """``parts`` more of the step of a worker are done."""

    def end(self, worker: int = 0) -> None:
        """The step of a worker is over, and no other begins yet."""

    def compile(self, begins: bool, worker: int = 0) -> None:
        """XLA begins to compile a program of a worker's step, or ends to."""

    def cell(self, cell: StoredCell, name: str) -> None:
        """A cell was stored."""

    def warn(self, message: str) -> None:
        """Something is wrong that does not end the run."""


def preparing(name: str, reporter: Reporter) -> AbstractContextManager[Callable[[int, int | None], None]]:
    """Give what is told how many images of a data set are prepared; see `counting`."""
    return counting(f"preparing {name}", reporter)


@contextmanager
def counting(what: str, reporter: Reporter) -> Iterator[Callable[[int, int | None], None]]:
    """Give what is told how many parts of a step are done, and of how many; it begins with the first news."""
    before: list[int] = []

    def tell(done: int, total: int | None) -> None:
        if not before:
            reporter.step(what, total)
        reporter.advance(done - sum(before))
        before[:] = [done]

    yield tell
    if before:
        reporter.end()
