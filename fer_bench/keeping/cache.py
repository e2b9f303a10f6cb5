"""Rows of arrays by image, on disk under keys: written in parts, mapped, checked, shared by processes.

Of processes that compute rows of one key, one works, which holds ``<folder>/<key>.lock``. A process that finds all
its rows waits for nobody.
"""

from __future__ import annotations

import math
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.keeping import parts
from fer_bench.keeping.parts import Part, Writer
from fer_bench.keeping.space import Space, drop, lease

Suits = Callable[[dict[str, Any]], bool]
"""Whether a part serves, by its facts."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A part that this process uses; nobody evicts it while this object lives.

    Attributes:
        values: (n, …) mapped read-only.
        facts: what its writer said about it.
    """

    values: Array
    facts: dict[str, Any]


class Cache:
    """Rows by key and image; ``space`` is where they lie."""

    def __init__(self, space: Space):
        self.space = space

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from computing rows of a key within the block.

        Args:
            key: under which they are kept.
            waiting: called if another process does so now.

        Raises:
            FerBenchError: the folder cannot be written.
        """
        lock = self._lock(key)
        with self._writing():
            self.space.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def locked_if_free(self, key: str) -> Iterator[bool]:
        """Do as `locked` does within a block of it, unless another process holds the key; say whether it was free."""
        try:
            lock = self._lock(key).acquire(timeout=0)
        except (Timeout, OSError):  # what is wanted later can wait
            yield False
            return
        with lock:
            yield True

    def missing(self, key: str, images: Array, suits: Suits) -> Array:
        """Return which images have no row, (n,) bool; arguments as for `open`, no checksums of values are compared."""
        _, places = self._places(key, images, suits, set())
        return places[:, 0] < 0

    def open(self, key: str, images: Array, suits: Suits) -> tuple[list[Entry], Array]:
        """Return what is kept of some images.

        Args:
            key: under which it is kept.
            images: (n,) of type ``S32``, the sha256 of each; one may occur several times.
            suits: whether a part serves.

        Returns:
            The parts that hold some of the images, as few as possible, the largest first; and the place of each image,
            (n, 2) int32: which of the parts and which of its rows, -1 where there is none. A part that does not match
            its checksums is removed.
        """
        damaged: set[str] = set()
        while True:
            used, places = self._places(key, images, suits, damaged)
            entries = [self._use(part, places[places[:, 0] == number, 1]) for number, part in enumerate(used)]
            damaged |= {part.folder.name for part, entry in zip(used, entries, strict=True) if entry is None}
            opened = [entry for entry in entries if entry is not None]
            if len(opened) == len(used):
                return opened, places

    @contextmanager
    def writer(self, key: str, images: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Writer]:
        """Make a part of what is appended within the block; if the block raises, or the process dies, of nothing.

        Call it within `locked`. Other parts are evicted to make room, those used longest ago first.

        Args:
            key: under which rows are kept.
            images: (n,) of type ``S32``, different ones; their rows are appended in this order.
            shape: of all rows, (n, …).
            dtype: of the rows.

        Raises:
            FerBenchError: it does not fit the limit or the disk, or the folder cannot be written.
        """
        name, size = f"{key}-{uuid.uuid4().hex[:12]}", math.prod(shape) * dtype.itemsize + images.nbytes
        with ExitStack() as stack:
            with self._writing():
                scratch = stack.enter_context(self.space.scratch(name, size))
                writer = stack.enter_context(Writer(scratch.folder, images, shape, dtype, self._writing))
            yield writer
            with self._writing():
                writer.finish()
                parts.trust(scratch.complete())

    def _places(self, key: str, images: Array, suits: Suits, without: set[str]) -> tuple[list[Part], Array]:
        """Return what `open` returns, as parts whose values were not compared with anything yet."""
        candidates = [
            parts.read(folder) for folder in self.space.folder.glob(f"{key}-*/") if folder.name not in without
        ]
        serving = sorted(
            (part for part in candidates if part and suits(part.facts)), key=lambda part: -len(part.images)
        )
        places = np.full((len(images), 2), -1, np.int32)
        if not serving:
            return [], places
        at = _find(np.concatenate([part.images for part in serving]), images)
        ends = np.cumsum([len(part.images) for part in serving])
        present = at >= 0
        which = np.searchsorted(ends, at[present], side="right")
        used, numbers = np.unique(which, return_inverse=True)
        starts = ends - [len(part.images) for part in serving]
        places[present] = np.stack([numbers, at[present] - starts[which]], axis=1)
        return [serving[number] for number in used.tolist()], places

    def _use(self, part: Part, rows: Array) -> Entry | None:
        """Return a part for the use of some rows; None, and it is removed, if they do not match their checksums."""
        lock = None
        with self.space.room_if_writable() as writable:
            if not part.folder.exists():
                return None
            if writable:
                try:
                    lock = lease(part.folder)
                    (part.folder / parts.USED).touch()
                except OSError as error:
                    self.space.tell(error)
        values = part.values(rows)
        if values is not None:
            entry = Entry(values, part.facts)
            if lock is not None:
                weakref.finalize(entry, drop, lock)
            return entry
        if lock is not None:
            drop(lock)
            with self.space.room_if_writable(), suppress(OSError):
                self.space.evict(part.folder.name)
        return None

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.space.folder / f"{key}.lock", thread_local=False)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say of what fails within the block that the cache cannot be written."""
        try:
            yield
        except OSError as error:
            raise FerBenchError(
                f"Cannot write to the cache {str(self.space.folder)!r}: {atomic.reason(error)}. "
                "You can name another folder with --cache-dir."
            ) from None


def _find(stored: Array, images: Array) -> Array:
    """Return the first place of each image among known ones, (n,) int64; -1 where it is none of them."""
    if np.array_equal(stored, images):
        return np.arange(len(stored))
    # By their first eight bytes, as numbers, which sort faster; of two images that share them one is computed again.
    short, words = (np.ascontiguousarray(hashes).view(np.uint64)[::4] for hashes in (stored, images))
    order = np.argsort(short, kind="stable")
    at = order[np.searchsorted(short, words, sorter=order) % len(stored)]
    return np.where(stored[at] == images, at, -1)
