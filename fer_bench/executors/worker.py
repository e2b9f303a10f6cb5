"""A worker: a process that is handed the description of a grid and does what other workers leave of it.

``python -m fer_bench.executors.worker`` reads the description as a line on stdin and writes messages as lines of JSON
on stdout. When stdin ends, its driver is gone, and it ends too.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.executors import copies, local
from fer_bench.executors.grid import Grid, expand
from fer_bench.executors.work import Work, digest_of, versions
from fer_bench.registry import Registry
from fer_bench.results.store import Store, StoredCell
from fer_bench.sizes import number_of
from fer_bench.specs import Params

Tell = Callable[[dict[str, Any]], None]
REFUSED = 2
"""Exit code after a message ``error``."""
PACE_S = 0.2
"""Between two messages about the progress of a step."""


def do(description: str, tell: Tell) -> None:
    """Do what is left of a grid, together with the other workers on its runs folder.

    Args:
        description: from `fer_bench.executors.work.Work.describe`.
        tell: is given messages, plain JSON: ``step`` [what, total], ``advance`` parts, ``compile``
            whether it begins, ``warn`` text, ``cell`` id.

    Raises:
        FerBenchError: fer-bench, a plugin or the data are others here than where the description was made, or a folder
            cannot be used.
    """
    request = json.loads(description)
    registry = _registry()
    _check_versions(request["versions"], versions(registry.plugins))
    if "runs" not in request:  # before anything is copied
        return
    if not request["folders"]:
        os.chdir(copies.home())  # files that it was given are named from there
    runs_dir, data_dir, cache_dir = request["folders"] or map(str, copies.folders())
    folders = {"runs_dir": runs_dir, "data_dir": data_dir, "cache_dir": cache_dir}
    runs = [RunConfig.build(None, {**run, **folders}) for run in request["runs"]]
    reporter = _Messenger(tell)
    grid = expand(runs, registry, runs[0].data_folder, runs[0].cache_folder, reporter)
    _check_cells(grid, request["cells"])
    work = Work(grid, Store(runs[0].runs_dir), runs[0].cache_folder, registry.plugins, reporter, runs)
    for cell_id in work.narrow(set(request["share"])) if request["share"] else ():
        tell({"cell": cell_id})
    local.execute(Params(), work)


@functools.cache
def _registry() -> Registry:
    return Registry.load()


def _check_versions(expected: dict[str, str], own: dict[str, str]) -> None:
    """Raise FerBenchError unless this process has the same versions."""
    faults = [
        f"{name}: {own.get(name, 'not installed')} here, "
        f"{expected.get(name, 'not installed')} where the run was started"
        for name in sorted({*expected, *own})
        if expected.get(name) != own.get(name)
    ]
    if faults:
        raise FerBenchError(
            f"A worker has other versions and did nothing:\n{bullet_list(faults)}\n"
            "Install the same ones on every machine, or name those to use in FER_BENCH_PLUGINS, and repeat the command."
        )


def _check_cells(grid: Grid, expected: str) -> None:
    """Raise FerBenchError unless this process has the same cells."""
    if digest_of(grid) != expected:
        raise FerBenchError(
            f"A worker finds {number_of(len(grid.jobs), 'other cell')} and did nothing: its data, weights or the code "
            "of its plugins differ. 'fer-bench plan --json' lists the cells on each machine; make them the same and "
            "repeat the command."
        )


class _Messenger:
    """A `fer_bench.executors.reporting.Reporter` that sends messages."""

    def __init__(self, tell: Tell):
        self._tell, self._parts, self._sent = tell, 0, 0.0

    def say(self, message: str) -> None:
        """Nothing: the driver says the same."""

    def begin(self, cells: int, done: int) -> None:
        """Nothing: the driver counts the cells."""

    def step(self, what: str, total: int | None, worker: int = 0) -> None:
        """A long step begins."""
        self._parts = 0
        self._tell({"step": [what, total]})

    def advance(self, parts: int, worker: int = 0) -> None:
        """Part of the step is done."""
        self._parts += parts
        if time.monotonic() - self._sent > PACE_S:
            self._tell({"advance": self._parts})
            self._parts, self._sent = 0, time.monotonic()

    def end(self, worker: int = 0) -> None:
        """The step is over."""
        self._tell({"end": True})

    def compile(self, begins: bool, worker: int = 0) -> None:
        """XLA begins or ends to compile."""
        self._tell({"compile": begins})

    def cell(self, cell: StoredCell, name: str) -> None:
        """A cell was stored."""
        self._tell({"cell": cell.id})

    def warn(self, message: str) -> None:
        """Something is wrong that does not end the run."""
        self._tell({"warn": message})


def main() -> None:
    """Do what stdin describes."""
    # Plugins may print: only messages go where stdout went.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(message: dict[str, Any]) -> None:
        with lock:
            messages.write(json.dumps(message) + "\n")

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        tell({"warn": str(message)})

    warnings.showwarning = show
    description = sys.stdin.readline()
    threading.Thread(target=_end_with_driver, daemon=True).start()
    try:
        do(description, tell)
    except FerBenchError as error:
        tell({"error": str(error)})
        sys.exit(REFUSED)


def _end_with_driver() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
