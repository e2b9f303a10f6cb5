"""How far long steps are: bars where stderr is a terminal, elsewhere a line every half minute."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from fer_bench import console
from fer_bench.foreign import defuse, one_line, visible

LINE_S = 30.0
"""Between two lines where stderr is no terminal."""
SLOW_S = 1.0
"""A compilation that takes longer is named."""
MEMORY_S = 120.0
"""The time that is left follows from the speed in the last seconds, this number of them."""


class Steps:
    """Long steps that go on now; a context, within which they are shown on stderr.

    At a terminal bar, share and time left are whole in every width: names are shortened.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False):
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            _Name(),
            BarColumn(bar_width=max(8, self._console.width // 5)),
            _Share(),
            _Left(),
            console=self._console,
            expand=True,
            disable=quiet or not sys.stderr.isatty(),
            speed_estimate_period=MEMORY_S,
            transient=True,
            # Lines on a terminal stand above the bars; a file or a pipe gets them itself, not stderr.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._lines = not quiet and self._bars.disable
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._bars.start()
        if self._lines:
            threading.Thread(target=self._print_lines, name="progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show nothing any more."""
        self._ended.set()
        self._bars.stop()

    @property
    def as_lines(self) -> bool:
        """Whether lines are printed instead of bars."""
        return self._lines

    def add(self, name: str, total: int | None = None, done: int = 0) -> TaskID:
        """Show a step of ``total`` parts, None where the number is not known."""
        return self._bars.add_task(one_line(name), total=total, completed=done, compiling=[], moved=time.monotonic())

    def remove(self, step: TaskID) -> None:
        """Show a step no longer."""
        self._bars.remove_task(step)

    def advance(self, step: TaskID, parts: int = 1) -> None:
        """Count parts of a step as done."""
        self._bars.update(step, advance=parts, moved=time.monotonic())

    def set(self, step: TaskID, done: int, total: int | None = None, name: str | None = None) -> None:
        """Say how many parts of a step are done, and its total or name where they change."""
        task = self._bars.tasks[self._bars.task_ids.index(step)]
        moved = task.fields["moved"] if done == task.completed else time.monotonic()
        self._bars.update(step, completed=done, total=total, description=name, moved=moved)

    def compile(self, step: TaskID, begins: bool) -> None:
        """Say that XLA begins or ends to compile a program of a step; programs may be compiled at the same time."""
        running: list[float] = self._bars.tasks[self._bars.task_ids.index(step)].fields["compiling"]
        if begins:
            running.append(time.monotonic())
        elif running:
            running.pop()

    def print(self, message: str) -> None:
        """Print lines of text above the bars; a step does not end because stderr is full."""
        with contextlib.suppress(OSError):
            self._console.print(Text(console.fold(self._console.file, defuse(visible(message)))))

    def _print_lines(self) -> None:
        while not self._ended.wait(LINE_S):
            for task in self._bars.tasks:
                seconds = _time_left(task)
                remaining = "" if seconds is None else f", about {_duration(seconds)} left"
                if not task.finished:
                    self.print(f"{_name(task)}: {_share(task)} after {_duration(task.elapsed or 0)}{remaining}")


class _Name(ProgressColumn):
    def __init__(self) -> None:
        super().__init__(Column(ratio=1, no_wrap=True, overflow="ellipsis"))

    def render(self, task: Task) -> Text:
        return Text(_name(task), no_wrap=True, overflow="ellipsis")


class _Share(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_share(task), justify="right")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        seconds = _time_left(task)
        if seconds is None:
            return Text("-:--:--")
        minutes, rest = divmod(int(seconds), 60)
        return Text(f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}")


def _time_left(task: Task) -> float | None:
    """Return the seconds that are left of a step by the speed at its last part, less those since then; None where that
    speed is not known, or was too high: nothing came for longer, as where another process does the rest.
    """
    if task.finished or task.time_remaining is None:
        return task.time_remaining
    left = task.time_remaining - (time.monotonic() - task.fields["moved"])
    return left if left >= 0 else None


def _name(task: Task) -> str:
    """Return what a step is, and for how long a program of it has been compiled."""
    begun: list[float] = task.fields["compiling"]
    seconds = time.monotonic() - begun[0] if begun else 0.0
    return f"compiling for {seconds:.0f} s: {task.description}" if seconds > SLOW_S else task.description


def _share(task: Task) -> str:
    """Return the share of a step that is done, or the number of parts where their total is not known."""
    return f"{task.completed:,.0f}" if task.total is None else f"{task.percentage:.0f} %"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
