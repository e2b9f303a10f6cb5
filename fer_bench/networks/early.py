"""Programs that are compiled by other threads while the frozen stages of their backbone run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from jax.stages import Lowered

from fer_bench.interrupts import UNAWAITED
from fer_bench.networks.meter import waiting_for_programs

THREADS = 4
"""Programs that are compiled at once, at most: XLA uses several threads for each, and memory."""


class Early:
    """Programs that are needed later; within `opened`, `begin` lets threads compile them.

    What cannot be compiled is left to the call that needs it, which raises what is wrong.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._later: list[Callable[[], None]] = []

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the threads for the block; what nobody has begun to compile at its end is left.

        The block ends at once: a compilation cannot be interrupted, and nobody needs what is compiled after it.
        """
        pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), thread_name_prefix=UNAWAITED)
        self._pool = pool
        try:
            yield
        finally:
            self._pool = None
            pool.shutdown(wait=False, cancel_futures=True)

    def add(self, lower: Callable[[], Iterable[Lowered]]) -> Callable[[], None]:
        """Take programs that are needed later; return what waits until they are compiled, if that has begun.

        Args:
            lower: traces them, one after another.
        """
        begun: list[Future[list[Future[object]]]] = []

        def compile_all(pool: ThreadPoolExecutor) -> list[Future[object]]:
            return [pool.submit(program.compile) for program in lower()]

        def ready() -> None:
            if begun:
                with waiting_for_programs(), suppress(Exception):
                    wait(begun[0].result())

        def begin() -> None:
            if self._pool is not None:
                begun.append(self._pool.submit(compile_all, self._pool))

        self._later.append(begin)
        return ready

    def begin(self) -> None:
        """Let threads compile what was taken."""
        later, self._later = self._later, []
        for begin in later:
            begin()
