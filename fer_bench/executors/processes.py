"""Run a grid by worker processes of this machine."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from fer_bench.builtin import ProcessesParams
from fer_bench.errors import FerBenchError
from fer_bench.executors.work import Work
from fer_bench.executors.worker import REFUSED
from fer_bench.sizes import number_of

PATIENCE_S = 10.0
"""Given to a worker that is asked to end."""
DEVICES = "CUDA_VISIBLE_DEVICES"
Message = dict[str, Any]
"""What a worker tells; see `fer_bench.executors.worker.do`."""


def execute(params: ProcessesParams, work: Work) -> None:
    """Run what is left of a grid.

    The workers share it by leases, so that those that live take over from one that ends. They end with this process.

    Raises:
        FerBenchError: a worker refused the work, or could not go on.
    """
    heard: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()
    with ExitStack() as stack:
        workers: dict[int, subprocess.Popen[str]] = {}
        for number, devices in enumerate(_deal_devices(params), 1):
            workers[number], messages = stack.enter_context(started(work.describe(), devices))
            threading.Thread(target=_forward, args=(number, messages, heard), daemon=True).start()
        running = set(workers)
        while running:
            number, message = heard.get()
            if message is None:
                running.remove(number)
                code = workers[number].wait()
                if code not in (0, REFUSED):
                    work.reporter.warn(f"worker {number} ended {describe(code)}; the others take over its share")
            elif "error" in message:
                raise FerBenchError(message["error"])
            else:
                work.hear(number, message)


def _deal_devices(params: ProcessesParams) -> list[str | None]:
    """Return what each worker may see of the GPUs, None for all.

    Raises:
        FerBenchError: there are too few.
    """
    if not params.gpus:
        return [None] * params.workers
    needed = params.workers * params.gpus
    visible = os.environ.get(DEVICES)
    devices = (
        [str(number) for number in range(needed)] if visible is None else [part for part in visible.split(",") if part]
    )
    if len(devices) < needed:
        raise FerBenchError(
            f"{number_of(params.workers, 'worker')} of {params.gpus} GPUs each need {needed}; {DEVICES} "
            f"names {len(devices)}. "
            "Ask for fewer workers."
        )
    return [",".join(devices[start : start + params.gpus]) for start in range(0, needed, params.gpus)]


@contextmanager
def started(
    description: str, devices: str | None
) -> Iterator[tuple[subprocess.Popen[str], queue.SimpleQueue[Message | None]]]:
    """Run a worker within the block; yield its process and its messages, None after the last.

    Ctrl-C reaches this process only. The worker ends with the block, or when this process ends.

    Args:
        description: from `fer_bench.executors.work.Work.describe`.
        devices: what it sees of the GPUs, None for all.
    """
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "fer_bench.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **({} if devices is None else {DEVICES: devices})},
        start_new_session=True,
    )
    assert worker.stdin is not None
    messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    try:
        threading.Thread(target=_listen, args=(worker, messages), daemon=True).start()
        with suppress(BrokenPipeError):  # it ended, which its messages say
            worker.stdin.write(description + "\n")
            worker.stdin.flush()
        yield worker, messages
    finally:
        with suppress(OSError):
            worker.stdin.close()  # at which it ends
        try:
            worker.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _listen(worker: subprocess.Popen[str], messages: queue.SimpleQueue[Message | None]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        with suppress(ValueError):  # it was killed in the middle of a line
            messages.put(json.loads(line))
    messages.put(None)


def _forward(
    number: int,
    messages: queue.SimpleQueue[Message | None],
    heard: queue.SimpleQueue[tuple[int, Message | None]],
) -> None:
    message: Message | None = {}
    while message is not None:
        message = messages.get()
        heard.put((number, message))


def describe(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"with code {code}"
    with suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
