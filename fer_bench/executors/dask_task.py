"""A task of Dask that is one worker of fer-bench, and why one is lost."""

from __future__ import annotations

import json
import platform
import queue
import threading
from typing import Any

from fer_bench.about import __version__
from fer_bench.errors import FerBenchError
from fer_bench.executors import processes

POLL_S = 1.0
"""Between two looks of a task at whether it is still wanted."""
MOST_LOSSES = 3
"""Times in a row that the task of one worker is lost without a new cell in the grid before it is given up."""
ENDED = "its Dask worker ended, as when a job is cancelled or runs out of time or memory"
BEGUN = {"begun": True}
"""First message of a task."""
_one = threading.Lock()
"""Held by the task of this process: one machine that runs several tasks at once has several processes for them."""


def explain_loss(task: Any) -> str:
    """Return why a task is lost.

    Raises:
        FerBenchError: its worker refused the work.
    """
    if task.status != "error":
        return f"its task is {task.status}"
    error = task.exception()
    if isinstance(error, FerBenchError):
        raise error
    if isinstance(error, ImportError | AttributeError):  # Dask could not load what it was handed
        raise FerBenchError(
            f"A worker of the cluster has no fer-bench {__version__} and did nothing: {error}. "
            "Install the same version in the Python that runs the workers, and repeat the command."
        )
    if type(error).__name__ == "KilledWorker":
        return ENDED
    return str(error)


def refuse_other_versions(expected: dict[str, str]) -> None:
    """Start a worker that only looks at its versions, as a process of its own, on this machine.

    Args:
        expected: distribution -> version, of fer-bench and of each plugin.

    Raises:
        FerBenchError: it has others; says which.
    """
    with processes.started(json.dumps({"versions": expected}), None) as (_, messages):
        for message in iter(messages.get, None):
            if "error" in message:
                raise _refusal(message["error"])


def _refusal(why: str) -> FerBenchError:
    return FerBenchError(f"{why} (worker on {platform.node()})")


def run_worker(description: str, topic: str, number: int) -> None:
    """Be a worker of fer-bench in a task of Dask.

    Args:
        description: from `fer_bench.executors.work.Work.describe`.
        topic: of the messages for the driver.
        number: of the worker.

    Raises:
        FerBenchError: the worker refused the work.
        RuntimeError: its process ended before the work was done.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    worker.log_event(topic, {"number": number, "message": BEGUN})
    with _one, processes.started(description, None) as (process, messages):
        while True:
            try:
                message = messages.get(timeout=POLL_S)
            except queue.Empty:
                state = worker.state.tasks.get(key)
                if state is None or state.state != "executing":  # the driver is gone, or wants it no more
                    return
                continue
            if message is None:
                break
            if "error" in message:
                raise _refusal(message["error"])
            worker.log_event(topic, {"number": number, "message": message})
        if code := process.wait():
            raise RuntimeError(f"worker {number} ended {processes.describe(code)}")
