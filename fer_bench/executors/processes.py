"""Run a grid by worker processes of this machine."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from fer_bench.builtin import ProcessesParams
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.executors.work import Work
from fer_bench.executors.worker import REFUSED

PATIENCE_S = 10.0
"""Given to a worker that is asked to end."""
DEVICES = "CUDA_VISIBLE_DEVICES"


def execute(params: ProcessesParams, work: Work) -> None:
    """Run what is left of a grid.

    The workers share it by leases, so that those that live take over from one that ends. They end with this process.

    Raises:
        FerBenchError: a worker refused the work, or could not go on.
    """
    devices = _deal_devices(params)
    messages: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    workers = {number: _start(devices[number - 1]) for number in range(1, params.workers + 1)}
    refusals: dict[str, None] = {}
    try:
        for number, worker in workers.items():
            assert worker.stdin is not None
            with suppress(BrokenPipeError):  # it ended, as is seen below
                worker.stdin.write(work.describe() + "\n")
                worker.stdin.flush()
            threading.Thread(target=_listen, args=(number, worker, messages), daemon=True).start()
        running = set(workers)
        while running:
            number, line = messages.get()
            if line is None:
                running.remove(number)
                code = workers[number].wait()
                if code not in (0, REFUSED):
                    work.reporter.warn(f"worker {number} ended {_describe(code)}; the others take over its share")
                continue
            message = json.loads(line)
            if "error" in message:
                refusals[message["error"]] = None
                break
            work.hear(number, message)
    finally:
        for worker in workers.values():
            _end(worker)
    if refusals:
        raise FerBenchError(bullet_list(list(refusals), 1).removeprefix("  - "))


def _deal_devices(params: ProcessesParams) -> list[str | None]:
    """Return what each worker may see of the GPUs, None for all.

    Raises:
        FerBenchError: there are too few.
    """
    if not params.gpus:
        return [None] * params.workers
    wanted = params.workers * params.gpus
    seen = os.environ.get(DEVICES)
    known = [str(number) for number in range(wanted)] if seen is None else [part for part in seen.split(",") if part]
    if len(known) < wanted:
        raise FerBenchError(
            f"{params.workers} workers of {params.gpus} GPUs each need {wanted}; {DEVICES} names {len(known)}. "
            "Ask for fewer workers."
        )
    return [",".join(known[start : start + params.gpus]) for start in range(0, wanted, params.gpus)]


def _start(devices: str | None) -> subprocess.Popen[str]:
    """Start a worker; Ctrl-C reaches this process only, which ends the workers."""
    environment = {**os.environ, **({} if devices is None else {DEVICES: devices})}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "fer_bench.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        start_new_session=True,
    )


def _listen(number: int, worker: subprocess.Popen[str], messages: queue.SimpleQueue[tuple[int, str | None]]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        messages.put((number, line))
    messages.put((number, None))


def _end(worker: subprocess.Popen[str]) -> None:
    """Let a worker end, which it does when its stdin ends."""
    assert worker.stdin is not None
    with suppress(OSError):
        worker.stdin.close()
    try:
        worker.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _describe(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"with code {code}"
    with suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
