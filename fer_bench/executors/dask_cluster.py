"""Run a grid on a Dask cluster: each task is one worker of fer-bench on some machine.

A task starts a process of its own there, as `fer_bench.executors.processes` does here, so that it begins with a fresh
Python and its memory and GPU are free afterwards. Tasks share the cells by leases: Dask runs the task of a machine that
is gone again, and the cells that it held are taken over by whoever is there.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from fer_bench.builtin import DaskParams
from fer_bench.errors import FerBenchError
from fer_bench.executors import processes
from fer_bench.executors.work import Work

POLL_S = 1.0
"""Between two looks of a task at whether it is still wanted."""
_one = threading.Lock()
"""Held by the task of this process: one machine that runs several tasks at once has several processes for them."""


def execute(params: DaskParams, work: Work) -> None:
    """Run what is left of a grid.

    Raises:
        FerBenchError: Dask is not installed, no scheduler or worker is there, or a worker refused the work.
    """
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()  # Dask calls from threads of its own
    with _connected(params) as client:
        count = params.workers or len(client.scheduler_info(n_workers=-1)["workers"])
        topic = f"fer-bench-{uuid.uuid4().hex}"
        client.subscribe_topic(topic, lambda event: heard.put(event[1]))
        resources = {"GPU": params.gpus} if params.gpus else None
        tasks = [
            client.submit(
                run_worker, work.describe(), topic, number, key=f"{topic}-{number}", pure=False, resources=resources
            )
            for number in range(1, count + 1)
        ]
        for task in tasks:
            task.add_done_callback(heard.put)
        try:
            running = count
            while running:
                told = heard.get()
                if isinstance(told, dict):
                    message = cast("dict[str, Any]", told)
                    work.hear(message["worker"], message["message"])
                    continue
                running -= 1
                if told.status == "error":
                    error = told.exception()
                    if isinstance(error, FerBenchError):
                        raise error
                    work.reporter.warn(f"a task on the cluster failed: {type(error).__name__}: {error}")
        finally:
            client.cancel(tasks, force=True)


@contextmanager
def _connected(params: DaskParams) -> Iterator[Any]:
    """Yield a client of the scheduler, once it has a worker."""
    try:
        from distributed import Client
    except ImportError:
        raise FerBenchError(
            "The executor 'dask' needs Dask, which is not installed. Run: pip install 'fer-bench[cluster]'"
        ) from None
    file = params.scheduler.endswith(".json")
    if file and not Path(params.scheduler).is_file():
        raise FerBenchError(f"There is no scheduler file {params.scheduler!r}. Start 'dask scheduler' first.")
    where: dict[str, Any] = {"scheduler_file" if file else "address": params.scheduler}
    try:
        client = Client(**where, timeout=params.wait, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise FerBenchError(
            f"No Dask scheduler answers at {params.scheduler!r} within {params.wait:g} s ({type(error).__name__}). "
            "Start 'dask scheduler', and name its address or its file in dask[scheduler=…]."
        ) from None
    with client:
        try:
            client.wait_for_workers(params.workers or 1, timeout=params.wait)
        except TimeoutError:
            raise FerBenchError(
                f"The scheduler at {params.scheduler!r} has fewer than {params.workers or 1} workers after "
                f"{params.wait:g} s. Start 'dask worker' on each machine."
            ) from None
        yield client


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
                raise FerBenchError(message["error"])
            worker.log_event(topic, {"worker": number, "message": message})
        if code := process.wait():
            raise RuntimeError(f"worker {number} ended {processes.describe(code)}")
