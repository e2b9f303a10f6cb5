"""Large arrays on disk, each under a key: written in pieces, mapped, checked, shared by processes, evicted by last use.

::

    <folder>/<key>.lock                held by the process that looks an entry up, writes it or evicts it
    <folder>/<key>/values.npy          the array; nobody ever loads it whole
    <folder>/<key>/entry.json          shape, what it is, a sha256 of every 8 MiB: what counts, and what is checked
    <folder>/<key>/lease-*             held by each process that uses the entry, so that nobody evicts it
    <folder>/.writing-<key>/           an entry that is not complete; left over where a process was killed
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from fer_bench.errors import FerBenchError
from fer_bench.sizes import format_size

Array = np.ndarray[Any, Any]

SCHEMA = 1
"""Version of the files of an entry."""

CHUNK_BYTES = 8 << 20
"""How much of an array one checksum covers."""

_VALUES, _ENTRY, _USED, _ROOM = "values.npy", "entry.json", "used", "room.lock"

_verified: set[tuple[str, int, int, int]] = set()
"""Files (path, inode, time, size) whose checksums this process compared: once is enough while they stay as they are."""


@dataclass(frozen=True, eq=False)
class Entry:
    """An array of the cache that this process uses; nobody evicts it while this object lives.

    Attributes:
        values: mapped read-only.
        facts: what its writer said about it.
    """

    values: Array
    facts: dict[str, Any]
    _lease: FileLock


@dataclass(frozen=True)
class Row:
    """An entry as `Cache.rows` lists it.

    Attributes:
        key: its name.
        size: bytes on disk.
        used: when it was last opened, seconds since the epoch.
        busy: whether a process uses or writes it now.
        facts: what its writer said about it; empty for an entry that does not count.
    """

    key: str
    size: int
    used: float
    busy: bool
    facts: dict[str, Any]


class Cache:
    """The entries in a folder.

    Args:
        folder: is made when something is written.
        limit: bytes that all entries together may take; None is half of what they take and what is free.
    """

    def __init__(self, folder: Path, limit: int | None = None):
        self.folder = folder
        self._limit = limit

    @property
    def limit(self) -> int:
        """Bytes that all entries together may take."""
        if self._limit is not None:
            return self._limit
        existing = next(folder for folder in (self.folder, *self.folder.absolute().parents) if folder.exists())
        return (sum(row.size for row in self.rows()) + shutil.disk_usage(existing).free) // 2

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from writing or evicting an entry within the block.

        Args:
            key: the entry's.
            waiting: called if another process holds it.

        Raises:
            FerBenchError: the folder cannot be written.
        """
        lock = self._lock(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
        except OSError as error:
            raise self._cannot_write(error) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def locked_if_free(self, key: str) -> Iterator[bool]:
        """Do as `locked` does within a block of it, unless another process holds the entry; say whether it was free."""
        try:
            lock = self._lock(key).acquire(timeout=0)
        except Timeout:
            yield False
            return
        with lock:
            yield True

    def has(self, key: str) -> bool:
        """Return whether an entry is complete, without comparing its checksums."""
        return _read(self.folder / key) is not None

    def open(self, key: str) -> Entry | None:
        """Return an entry, or None if there is none or it does not match its checksums; call it within `locked`."""
        folder = self.folder / key
        entry = _read(folder)
        if entry is None or not _matches(folder / _VALUES, entry["chunks"]):
            return None
        lease = FileLock(folder / f"lease-{uuid.uuid4().hex}", thread_local=False)
        lease.acquire()
        (folder / _USED).touch()
        values = np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False)
        return Entry(values, entry["facts"], lease)

    @contextmanager
    def writer(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Writer]:
        """Make an entry of what is appended within the block; if the block raises, or the process dies, of nothing.

        Call it within `locked`. Other entries are evicted to make room, those used longest ago first.

        Raises:
            FerBenchError: it does not fit the limit or the disk, or the folder cannot be written.
        """
        scratch = self.folder / f".writing-{key}"
        size = math.prod(shape) * dtype.itemsize
        try:
            with FileLock(self.folder / _ROOM):
                shutil.rmtree(scratch, ignore_errors=True)
                self._make_room(size)
                scratch.mkdir()
                (scratch / "size").write_text(str(size), encoding="ascii")
            try:
                with (scratch / _VALUES).open("wb") as file:
                    writer = Writer(file, shape, dtype)
                    yield writer
                    chunks = writer.finish()
                entry: dict[str, Any] = {"schema": SCHEMA, "chunks": chunks, "facts": writer.facts}
                with (scratch / _ENTRY).open("w", encoding="utf-8") as text:
                    json.dump({**entry, "sha256": _digest(entry)}, text)
                    text.flush()
                    os.fsync(text.fileno())
                (scratch / "size").unlink()
                _remove(self.folder / key)
                scratch.rename(self.folder / key)
                _verified.add(_state(self.folder / key / _VALUES))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    def rows(self) -> list[Row]:
        """Return all entries, those that do not count included, last used first."""
        rows: list[Row] = []
        for folder in self.folder.glob("*/") if self.folder.is_dir() else ():
            key = folder.name.removeprefix(".writing-")
            try:
                if key != folder.name:
                    size = max(_size(folder), int((folder / "size").read_text(encoding="ascii")))
                    used, facts, busy = folder.stat().st_mtime, {}, self._is_locked(key)
                else:
                    size, used = _size(folder), _last_use(folder)
                    facts, busy = (_read(folder) or {}).get("facts", {}), bool(_leases(folder)) or self._is_locked(key)
            except (OSError, ValueError):  # It went away or came into place under our eyes.
                continue
            rows.append(Row(folder.name, size, used, busy, facts))
        return sorted(rows, key=lambda row: -row.used)

    def clear(self) -> tuple[list[Row], list[Row]]:
        """Remove all entries that no process uses; return those removed, and those kept since they are in use."""
        rows = self.rows()
        removed = [row for row in rows if self._evict(row)]
        return removed, [row for row in rows if row not in removed]

    def _make_room(self, size: int) -> None:
        """Evict what was used longest ago until ``size`` bytes fit the limit and the disk."""
        rows = self.rows()
        limit, taken = self.limit, sum(row.size for row in rows)
        while rows and (taken + size > limit or size > shutil.disk_usage(self.folder).free):
            row = rows.pop()
            if self._evict(row):
                taken -= row.size
        free = shutil.disk_usage(self.folder).free
        if taken + size > limit or size > free:
            raise FerBenchError(
                f"{format_size(size)} do not fit the cache {str(self.folder)!r}: its limit is {format_size(limit)}, of "
                f"which running processes use {format_size(taken)}, and {format_size(free)} of the disk are free. "
                "Raise the limit with --cache-limit, name another folder with --cache-dir, or use fewer images."
            )

    def _evict(self, row: Row) -> bool:
        """Remove an entry unless a process uses it; return whether it is gone."""
        lock = self._lock(row.key.removeprefix(".writing-"))
        try:
            with lock.acquire(timeout=0):
                if row.busy or _leases(self.folder / row.key):
                    return False
                _remove(self.folder / row.key)
        except (Timeout, OSError):
            return False
        return not (self.folder / row.key).exists()

    def _is_locked(self, key: str) -> bool:
        try:
            with self._lock(key).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.folder / f"{key}.lock", thread_local=False)

    def _cannot_write(self, error: OSError) -> FerBenchError:
        return FerBenchError(
            f"Cannot write to the cache {str(self.folder)!r}: {error.strerror or error}. "
            "Free some space, or name another folder with --cache-dir."
        )


class Writer:
    """Appends rows to the array of an entry.

    Attributes:
        facts: to be filled with what is worth knowing of the entry, plain JSON.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self.facts: dict[str, Any] = {}
        self._file, self._shape, self._dtype = file, shape, dtype
        self._chunks: list[str] = []
        self._digest, self._filled, self._rows = hashlib.sha256(), 0, 0
        header: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        # The header goes through the same checksums as the values.
        np.lib.format.write_array_header_1_0(_Sink(self._write), header)  # pyright: ignore[reportArgumentType]

    def append(self, rows: Array) -> None:
        """Write the next rows, of the shape and dtype that were promised."""
        if rows.shape[1:] != self._shape[1:] or rows.dtype != self._dtype:
            raise ValueError(f"rows {rows.shape} {rows.dtype} do not fit an array {self._shape} {self._dtype}")
        self._rows += len(rows)
        self._write(np.ascontiguousarray(rows).data.cast("B"))

    def finish(self) -> list[str]:
        """Bring everything to disk and return the checksums."""
        if self._rows != self._shape[0]:
            raise ValueError(f"{self._rows} rows were written of {self._shape[0]}")
        self._file.flush()
        os.fsync(self._file.fileno())
        return [*self._chunks, self._digest.hexdigest()]

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self._file.write(view)
        while len(view):
            part = view[: CHUNK_BYTES - self._filled]
            self._digest.update(part)
            self._filled += len(part)
            if self._filled == CHUNK_BYTES:
                self._chunks.append(self._digest.hexdigest())
                self._digest, self._filled = hashlib.sha256(), 0
            view = view[len(part) :]


@dataclass(frozen=True)
class _Sink:
    """As much of a file as numpy's header writer needs."""

    write: Callable[[bytes | memoryview], None]


def _read(folder: Path) -> dict[str, Any] | None:
    """Return ``entry.json`` if it is whole, else None."""
    try:
        entry = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
        digest = entry.pop("sha256")
        return entry if digest == _digest(entry) and entry["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _matches(file: Path, chunks: list[str]) -> bool:
    """Return whether every piece of ``file`` has its checksum; reads it once a process, in threads."""

    def matches(number: int) -> bool:
        with file.open("rb", buffering=0) as stream:
            stream.seek(number * CHUNK_BYTES)
            piece = stream.read(CHUNK_BYTES)
        return hashlib.sha256(piece).hexdigest() == chunks[number]

    try:
        state = _state(file)
        if state in _verified:
            return True
        if len(chunks) != state[-1] // CHUNK_BYTES + 1:
            return False
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            good = all(pool.map(matches, range(len(chunks))))
    except OSError:
        return False
    if good:
        _verified.add(state)
    return good


def _state(file: Path) -> tuple[str, int, int, int]:
    status = file.stat()
    return str(file.absolute()), status.st_ino, status.st_mtime_ns, status.st_size


def _leases(folder: Path) -> list[Path]:
    """Return the leases of running processes; those of processes that ended are removed."""
    held: list[Path] = []
    for file in folder.glob("lease-*"):
        try:
            with FileLock(file, thread_local=False).acquire(timeout=0):
                file.unlink(missing_ok=True)
        except Timeout:
            held.append(file)
    return held


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _last_use(folder: Path) -> float:
    """Return when an entry was opened last, or made; a folder's own time changes with every lease."""
    return max(file.stat().st_mtime for file in folder.iterdir() if file.name in (_USED, _VALUES, _ENTRY))


def _remove(folder: Path) -> None:
    """Remove an entry; what says that it is complete goes first."""
    (folder / _ENTRY).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def last_used(row: Row) -> str:
    """Return how long ago an entry was used, in words."""
    seconds = max(0.0, time.time() - row.used)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "now"
