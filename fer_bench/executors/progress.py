"""Tell a user at a terminal how a run goes; into a pipe or a file, write plain lines and no bars."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fer_bench.foreign import defuse, one_line, visible

if TYPE_CHECKING:
    from fer_bench.results.store import StoredCell


class TerminalReporter:
    """A `fer_bench.executors.grid.Reporter` on stderr.

    Args:
        quiet: say warnings alone.
    """

    def __init__(self, quiet: bool):
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not sys.stderr.isatty(),
        )
        self._cells: TaskID | None = None
        self._steps: dict[int, TaskID] = {}
        self._started = time.perf_counter()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, message: str) -> None:
        """Print a line unless quiet."""
        if not self._quiet:
            self._print(message)

    def begin(self, cells: int, done: int) -> None:
        """The run begins."""
        self.say(f"{cells} cells, {done} of them done before." if done else f"{cells} cells.")
        self._cells = self._progress.add_task("cells", total=cells, completed=done)

    def step(self, what: str, total: int, worker: int = 0) -> None:
        """A long step begins."""
        if worker in self._steps:
            self._progress.remove_task(self._steps[worker])
        if self._progress.disable:
            self.say(f"{what} ({total} images)")
        self._steps[worker] = self._progress.add_task(one_line(what), total=total)

    def advance(self, parts: int, worker: int = 0) -> None:
        """Part of the step is done."""
        if worker in self._steps:
            self._progress.advance(self._steps[worker], parts)

    def cell(self, cell: StoredCell, name: str) -> None:
        """A cell was stored."""
        if self._cells is not None:
            self._progress.advance(self._cells)
        if not cell.ok:
            self.warn(f"failed: {name}: {cell.error}")

    def warn(self, message: str) -> None:
        """Print a line, quiet or not."""
        self._print(message)

    def _print(self, message: str) -> None:
        with contextlib.suppress(OSError):  # A run does not end because stderr is full.
            self._console.print(Text(defuse(visible(message))))
