"""What a piece of work costs: seconds by what they went to, memory, and the arithmetic of a forward pass."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import jax
import numpy as np

from fer_bench.networks import WORK
from fer_bench.networks.backbone import Backbone


class Meter:
    """A stop watch whose seconds belong to one piece of work at a time: the innermost, and to compiling before all."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._compiled: list[tuple[float, float]] = []
        self._since = 0.0

    @contextmanager
    def count(self, work: str) -> Iterator[None]:
        """Give the seconds until the end of the block to ``work``, but for what blocks within and compiling take."""
        self._settle()
        self._running.append(work)
        _HERE.meters.append(self)
        try:
            yield
        finally:
            self._settle()
            _HERE.meters.pop()
            self._running.pop()

    def seconds(self, before: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the seconds of each of `WORK`; since ``before``, if an earlier answer is given."""
        self._settle()
        return {work: max(0.0, self._seconds[work] - (before or {}).get(work, 0.0)) for work in WORK}

    def compiled(self, duration: float) -> None:
        """Count a piece of compiling that ends now; pieces within it were told of before and count once."""
        if not self._running:
            return
        start = time.perf_counter() - duration
        within = sum(lasted for begun, lasted in self._compiled if begun >= start)
        self._compiled = [piece for piece in self._compiled if piece[0] < start] + [(start, duration)]
        self._seconds["compile"] += duration - within
        self._seconds[self._running[-1]] -= duration - within

    def _settle(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._seconds[self._running[-1]] += now - self._since
        self._since = now


@contextmanager
def count(work: str) -> Iterator[None]:
    """Give the seconds of the block to ``work`` by the innermost meter that counts, if there is one."""
    with _HERE.meters[-1].count(work) if _HERE.meters else nullcontext():
        yield


class _Here(threading.local):
    """What counts and what is told in a thread: what another one compiles takes none of its time.

    Attributes:
        meters: that count now, the innermost last.
        told: as by `compiling_told`.
    """

    def __init__(self) -> None:
        self.meters: list[Meter] = []
        self.told: list[Callable[[bool], None]] = []


_HERE = _Here()
_COMPILING = "/jax/core/compile/backend_compile_duration"


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    if _HERE.meters and event.startswith("/jax/core/compile/"):
        _HERE.meters[-1].compiled(duration_secs)
    if event == _COMPILING:
        _tell(False)


def _listen_to_begin(event: str, value: float, **_: Any) -> None:
    del value
    if event == _COMPILING:
        _tell(True)


def _tell(begins: bool) -> None:
    for tell in _HERE.told:
        tell(begins)


@contextmanager
def compiling_told(tell: Callable[[bool], None]) -> Iterator[None]:
    """Call ``tell`` with True when this thread begins to compile a program within the block, or to wait for one that
    another thread compiles, and with False when that ends.
    """
    _HERE.told.append(tell)
    try:
        yield
    finally:
        _HERE.told.remove(tell)


@contextmanager
def waiting_for_programs() -> Iterator[None]:
    """Count and tell of the block as of compiling: it waits for what another thread compiles."""
    _tell(True)
    try:
        with count("compile"):
            yield
    finally:
        _tell(False)


jax.monitoring.register_event_duration_secs_listener(_listen)
jax.monitoring.register_scalar_listener(_listen_to_begin)


def peak_memory() -> dict[str, int | None]:
    """Return the most bytes that this process has held so far, on the host and on the first device, where known."""
    host = None
    if sys.platform != "win32":
        import resource

        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    return {"host": host, "device": statistics.get("peak_bytes_in_use") if statistics else None}


def forward_flops(backbone: Backbone, shape: tuple[int, int, int]) -> float | None:
    """Return the floating-point operations of one image's way to its features, as XLA counts them before it optimises.

    None where XLA cannot count them, such as of what is computed outside of JAX.

    A multiplication and an addition are two. Nothing is compiled or run.

    Args:
        backbone: whose stages run.
        shape: (h, w, c) of a stored image; resizing it counts.
    """
    image = jax.ShapeDtypeStruct((1, *shape), np.uint8)
    try:
        lowered = jax.jit(backbone.prefix, static_argnums=2).lower(backbone.state, image, len(backbone.stages))
        analysis = lowered.cost_analysis()
    except Exception:
        return None  # a plugin's stages may not count, which is no reason to lose a result
    return float(analysis["flops"]) if isinstance(analysis, dict) and "flops" in analysis else None
