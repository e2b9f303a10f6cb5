"""Spread work of Python over the processors of this machine: parts of it run in processes that end with this one."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Part = TypeVar("Part")
Answer = TypeVar("Answer")
MOST = 8
"""Processes; each holds the libraries once more, some 150 MB."""


def spread(function: Callable[[Part], Answer], parts: Sequence[Part]) -> Iterator[Answer]:
    """Yield what a function of a module returns for each part, in order, while other processes work on later parts.

    There are as many processes as this one may use processors, `MOST` at most. With one of them, or one part,
    everything is done here. A part whose process was killed, as for lack of memory, is done here, and so are those
    after it.
    """
    if len(parts) < 2:
        yield from map(function, parts)
        return
    import joblib  # takes a tenth of a second
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    done, processes = 0, min(MOST, len(parts), joblib.cpu_count())
    if processes > 1:
        run: Any = joblib.Parallel(processes, return_as="generator", backend="loky")
        try:
            # joblib's own pickles ask Python about every object, those of the standard library only about some.
            for answer in run(joblib.delayed(_answer)(function, pickle.dumps(part)) for part in parts):
                done += 1
                yield pickle.loads(answer)
        except TerminatedWorkerError:
            pass
    for part in parts[done:]:
        yield function(part)


@contextmanager
def collector(on: bool) -> Generator[None]:
    """Look for garbage within the block, or for none.

    Ten thousand cells are a million objects, all of which stay; what trains makes much garbage, and may stand within.
    """
    before = gc.isenabled()
    _switch_collector(on)
    try:
        yield
    finally:
        _switch_collector(before)


def _switch_collector(on: bool) -> None:
    (gc.enable if on else gc.disable)()


def _answer(function: Callable[[Any], object], part: bytes) -> bytes:
    with collector(False):
        return pickle.dumps(function(pickle.loads(part)))
