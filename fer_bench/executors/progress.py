"""Tell a user at a terminal how a run goes; into a pipe or a file, write plain lines and no bars."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from fer_bench import interrupts
from fer_bench.progress import Steps
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from rich.progress import TaskID

    from fer_bench.results.store import StoredCell


class TerminalReporter:
    """A `fer_bench.executors.reporting.Reporter` on stderr.

    Args:
        quiet: say only warnings.
    """

    def __init__(self, quiet: bool):
        self._quiet = quiet
        self._shown = Steps(quiet)
        self._cells: TaskID | None = None
        self._total = self._done = 0
        self._steps: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        self._shown.__enter__()
        interrupts.describe_by(self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()

    def say(self, message: str) -> None:
        """Print a line unless quiet."""
        if not self._quiet:
            self._shown.print(message)

    def begin(self, cells: int, done: int) -> None:
        """The run begins."""
        self.say(f"{number_of(cells, 'cell')}, {done} of them done before." if done else f"{number_of(cells, 'cell')}.")
        self._total, self._done = cells, done
        self._cells = self._shown.add(self._count(), cells, done)

    def step(self, what: str, total: int | None, worker: int = 0) -> None:
        """A long step begins."""
        self.end(worker)
        if self._shown.as_lines:
            self.say(what)
        self._steps[worker] = self._shown.add(what, total)

    def advance(self, parts: int, worker: int = 0) -> None:
        """Part of the step is done."""
        if worker in self._steps:
            self._shown.advance(self._steps[worker], parts)

    def end(self, worker: int = 0) -> None:
        """The step is over."""
        if (step := self._steps.pop(worker, None)) is not None:
            self._shown.remove(step)

    def compile(self, begins: bool, worker: int = 0) -> None:
        """XLA begins or ends to compile."""
        if worker in self._steps:
            self._shown.compile(self._steps[worker], begins)

    def cell(self, cell: StoredCell, name: str) -> None:
        """A cell was stored."""
        self._done += 1
        if self._cells is not None:
            self._shown.set(self._cells, self._done, name=self._count())
        if not cell.ok:
            self.warn(f"failed: {name}: {cell.error}")

    def warn(self, message: str) -> None:
        """Print a line, quiet or not."""
        self._shown.print(message)

    def _count(self) -> str:
        return f"{self._done} of {self._total} cells"

    def _interrupted(self) -> str:
        self._shown.close()
        return f"{self._count()} stored; repeat the command to go on." if self._total else interrupts.NOTHING_LOST
