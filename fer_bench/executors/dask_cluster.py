"""Run a grid on a Dask cluster: each task is one worker of fer-bench on some machine.

A task starts a process of its own there, as `fer_bench.executors.processes` does here, so that it begins with a fresh
Python and its memory and GPU are free afterwards. Tasks share the cells by leases: Dask runs the task of a machine that
is gone again, and the cells that it held are taken over by those that are there.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from fer_bench.builtin import DaskParams
from fer_bench.errors import FerBenchError
from fer_bench.executors import staging
from fer_bench.executors.dask_task import BEGUN, ENDED, MOST_LOSSES, explain_loss, run_worker
from fer_bench.executors.work import Work
from fer_bench.sizes import number_of

WATCH_S = 10.0
"""Without news, after which the driver looks why."""


def execute(params: DaskParams, work: Work) -> None:
    """Run what is left of a grid.

    Raises:
        FerBenchError: Dask is not installed, no scheduler or worker is there, or a worker refused the work.
    """
    with _connected(params) as client:
        if work.staged:
            staging.hand_out(client, work)
            return
        count = params.workers or len(client.scheduler_info(n_workers=-1)["workers"])
        hand_out(client, work, count, {"GPU": params.gpus} if params.gpus else {})


def hand_out(
    client: Any, work: Work, count: int, resources: dict[str, int], watch: Callable[[], None] = lambda: None
) -> None:
    """Run a grid by tasks of Dask, each of which is a worker; a task that is lost is handed out again.

    Args:
        client: of the scheduler.
        work: the grid.
        count: number of workers.
        resources: that each takes of its Dask worker.
        watch: called now and then while nothing is heard.

    Raises:
        FerBenchError: a worker refused the work.
    """
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()  # Dask calls from threads of its own
    topic = f"fer-bench-{uuid.uuid4().hex}"
    client.subscribe_topic(topic, lambda event: heard.put(event[1]))
    tasks: dict[Any, int] = {}
    begun = set[int]()
    losses, remaining = Counter[int](), dict.fromkeys(range(1, count + 1), work.left)

    def submit(number: int) -> None:
        key = f"{topic}-{number}-{uuid.uuid4().hex[:8]}"
        description = work.describe()
        task = client.submit(run_worker, description, topic, number, key=key, pure=False, resources=resources or None)
        tasks[task] = number
        task.add_done_callback(heard.put)

    def give_up(number: int, why: str) -> bool:
        work.reporter.warn(f"worker {number} was lost: {why}")
        losses[number] = 1 + (losses[number] if work.left == remaining[number] else 0)
        remaining[number] = work.left
        return losses[number] == MOST_LOSSES

    for number in remaining:
        submit(number)
    try:
        while tasks:
            try:
                news = heard.get(timeout=WATCH_S)
            except queue.Empty:
                watch()
                continue
            if isinstance(news, dict):
                message = cast("dict[str, Any]", news)
                number = message["number"]
                if message["message"] != BEGUN:
                    work.hear(number, message["message"])
                elif number not in begun:
                    begun.add(number)
                elif give_up(number, ENDED):  # Dask runs its task again by itself where a machine says goodbye
                    client.cancel([task for task, other in tasks.items() if other == number], force=True)
                continue
            number = tasks.pop(news)
            if news.status not in ("finished", "cancelled") and not give_up(number, explain_loss(news)):
                begun.discard(number)
                submit(number)
    finally:
        client.cancel([*tasks], force=True)


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
    if file:
        _wait_for(Path(params.scheduler), params.wait)
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
                f"The scheduler at {params.scheduler!r} has fewer than "
                f"{number_of(params.workers or 1, 'worker')} after "
                f"{params.wait:g} s. Start 'dask worker' on each machine."
            ) from None
        yield client


def _wait_for(file: Path, seconds: float) -> None:
    """Wait until a scheduler that was started a moment ago has written its file."""
    end = time.monotonic() + seconds
    while not file.is_file():
        if time.monotonic() > end:
            raise FerBenchError(
                f"There is no scheduler file {str(file)!r} after {seconds:g} s. Start 'dask scheduler' first."
            )
        time.sleep(0.1)
