"""Reading of what a device works on next, while it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")

AHEAD = 2
"""Answers that are read before they are asked for: one that is ready, and one in the making."""


def read_ahead(
    read: Callable[[Request], Answer],
    requests: Iterable[Request],
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[Answer, None, None]:
    """Yield what ``read`` returns of each request, in their order.

    A thread reads the next `AHEAD` while the caller uses one. Decoding, hashing and copying release Python's lock, so
    that the caller is not kept.

    Args:
        read: called in that thread, one call at a time; what it raises is raised where its answer is asked for.
        requests: what to read.
        waiting: makes a context that is entered while the caller waits for an answer.
    """
    pending: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="fer-bench-read") as reader:
        try:
            for request in requests:
                pending.append(reader.submit(read, request))
                if len(pending) > AHEAD:
                    yield _next(pending, waiting)
            while pending:
                yield _next(pending, waiting)
        finally:
            for answer in pending:
                answer.cancel()


def _next(pending: deque[Future[Answer]], waiting: Callable[[], AbstractContextManager[None]]) -> Answer:
    with waiting():
        return pending.popleft().result()
