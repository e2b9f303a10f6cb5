"""The space that parts of the cache take: who uses them, what is evicted, what killed processes left behind.

::

    <folder>/<key>-<part>/           rows of some images: see `fer_bench.keeping.parts`
    <folder>/.writing-<key>-<part>…/ a part that is not complete; left over where a process was killed
    <folder>/…/lease-*               held by each process that uses or writes a part, so that nobody removes it
    <folder>/room.lock               held for a moment by who takes a lease, completes a part or removes one
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fer_bench import atomic, foreign_files
from fer_bench.errors import FerBenchError
from fer_bench.keeping import parts
from fer_bench.sizes import format_size

FOLDER = "prefix"
"""Name of the folder of stage outputs in the user's cache folder."""

WRITING, SIZE = ".writing-", "size"
"""How the folder of a part begins that is not complete, and the file in it that says how large it will be."""


@dataclass(frozen=True)
class KeptPart:
    """A part as `Space.rows` lists it.

    Attributes:
        name: of its folder.
        size: bytes on disk.
        used: when it was used last, seconds since the epoch.
        busy: whether a process uses or writes it now.
        facts: what its writer said about it; empty for a part that does not count.
    """

    name: str
    size: int
    used: float
    busy: bool
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        """The key under which its rows are found."""
        return self.name.removeprefix(WRITING).partition("-")[0]


@dataclass(frozen=True)
class Scratch:
    """A part that is being written.

    Attributes:
        folder: for its files.
        complete: moves it into place, once all of them are written, and returns where it lies.
    """

    folder: Path
    complete: Callable[[], Path]


class Space:
    """The parts in a folder.

    Args:
        folder: is made when something is written.
        limit: bytes that all parts together may take; None is half of the sum of their size and the free space.
        warn: told once of a folder that can be read and not be written.
    """

    def __init__(self, folder: Path, limit: int | None = None, warn: Callable[[str], None] = lambda text: None):
        self.folder = folder
        self._limit, self._warn, self._warned = limit, warn, False

    @property
    def limit(self) -> int:
        """Bytes that all parts together may take."""
        if self._limit is not None:
            return self._limit
        existing = next(folder for folder in (self.folder, *self.folder.absolute().parents) if folder.exists())
        return (sum(row.size for row in self.rows()) + shutil.disk_usage(existing).free) // 2

    def rows(self) -> list[KeptPart]:
        """Return all parts, those that do not count included, last used first."""
        rows: list[KeptPart] = []
        for folder in self.folder.glob("*/") if self.folder.is_dir() else ():
            try:
                if folder.name.startswith(WRITING):
                    size = max(parts.size_of(folder), int(foreign_files.read(folder / SIZE, 64)))
                    used, facts = folder.stat().st_mtime, {}
                else:
                    size, used, facts = parts.size_of(folder), parts.last_use(folder), parts.facts_of(folder)
            except (OSError, ValueError):  # It went away or came into place under our eyes, or a process was killed.
                size, used, facts = 0, 0.0, {}
            if folder.exists():
                rows.append(KeptPart(folder.name, size, used, bool(_held(folder)), facts))
        return sorted(rows, key=lambda row: -row.used)

    def tidy(self) -> None:
        """Remove what killed processes left behind: leases, and parts that are not complete."""
        if not self.folder.is_dir():
            return
        with self.room_if_writable() as writable:
            for folder in self.folder.glob("*/") if writable else ():
                leased = _held(folder)
                if folder.name.startswith(WRITING) and not leased:
                    shutil.rmtree(folder, ignore_errors=True)
                for file in set(_leases(folder)) - set(leased):
                    with suppress(OSError):
                        file.unlink()

    def clear(self) -> tuple[list[KeptPart], list[KeptPart], dict[str, str]]:
        """Remove all parts that no process uses.

        Returns:
            Those removed, those kept since they are in use, and name -> reason of those that could not be removed.
        """
        removed, kept, failed = list[KeptPart](), list[KeptPart](), dict[str, str]()
        if not self.folder.is_dir():
            return removed, kept, failed
        with self.room_if_writable():
            for row in self.rows():
                try:
                    (removed if self.evict(row.name) else kept).append(row)
                except OSError as error:
                    failed[row.name] = atomic.reason(error)
        return removed, kept, failed

    def make_room(self, size: int) -> None:
        """Evict what was used longest ago until ``size`` bytes fit the limit and the disk; call it within `room`.

        Raises:
            FerBenchError: they do not fit.
        """
        rows = self.rows()
        limit, used = self.limit, sum(row.size for row in rows)
        while rows and (used + size > limit or size > shutil.disk_usage(self.folder).free):
            row = rows.pop()
            with suppress(OSError):  # it stays, and another may go
                used -= row.size * self.evict(row.name)
        free = shutil.disk_usage(self.folder).free
        if used + size > limit or size > free:
            raise FerBenchError(
                f"{format_size(size)} do not fit the cache {str(self.folder)!r}: its limit is {format_size(limit)}, of "
                f"which running processes use {format_size(used)}, and {format_size(free)} of the disk are free. "
                "Raise the limit with --cache-limit, name another folder with --cache-dir, or use fewer images."
            )

    @contextmanager
    def scratch(self, name: str, size: int) -> Iterator[Scratch]:
        """Keep a folder for a part that is written within the block, and remove what is left of it.

        Args:
            name: of the part.
            size: its bytes, for which room is made; other processes count them.

        Raises:
            FerBenchError: they do not fit.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        folder, place = self.folder / f"{WRITING}{name}-{uuid.uuid4().hex[:8]}", self.folder / name
        with self.room():
            self.make_room(size)
            folder.mkdir()
            lock = lease(folder)

        def complete() -> Path:
            (folder / SIZE).unlink()
            with self.room():
                drop(lock)
                if not (place / parts.ENTRY).is_file():  # another process may have imported it by now
                    shutil.rmtree(place, ignore_errors=True)
                    folder.rename(place)
            return place

        try:
            (folder / SIZE).write_text(str(size), encoding="ascii")
            yield Scratch(folder, complete)
        finally:
            drop(lock)
            shutil.rmtree(folder, ignore_errors=True)

    def evict(self, name: str) -> bool:
        """Remove a part unless a process uses it; return whether it is gone. Call it within `room`.

        Raises:
            OSError: it cannot be removed.
        """
        folder = self.folder / name
        if _held(folder):
            return False
        (folder / parts.ENTRY).unlink(missing_ok=True)  # what says that it is complete goes first
        shutil.rmtree(folder)
        return True

    @contextmanager
    def room(self) -> Iterator[None]:
        """Keep other processes from taking leases and removing parts within the block."""
        with FileLock(self.folder / "room.lock", thread_local=False):
            yield

    @contextmanager
    def room_if_writable(self) -> Iterator[bool]:
        """Do as `room` does where the folder can be written; say whether it can.

        What is complete can be read without: a file that was mapped stays readable where another process removes it.
        """
        lock = FileLock(self.folder / "room.lock", thread_local=False)
        try:
            lock.acquire()
        except OSError as error:
            self.tell(error)
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def tell(self, error: OSError) -> None:
        """Warn, once, that what is optional was left out."""
        if not self._warned:
            self._warned = True
            self._warn(
                f"The cache {str(self.folder)!r} cannot be written ({atomic.reason(error)}): its content is "
                "used, but other processes do not see that."
            )


def lease(folder: Path) -> FileLock:
    """Say that this process uses a part; call it within `Space.room`."""
    lock = FileLock(folder / f"lease-{uuid.uuid4().hex}", thread_local=False)
    lock.acquire()
    return lock


def drop(lease: FileLock) -> None:
    """Say that this process does not use a part any more."""
    with suppress(OSError):
        lease.release()
        Path(lease.lock_file).unlink(missing_ok=True)


def _leases(folder: Path) -> list[Path]:
    return list(folder.glob("lease-*"))


def _held(folder: Path) -> list[Path]:
    """Return the leases that running processes hold; one that cannot be tried counts as held."""
    leased: list[Path] = []
    for file in _leases(folder):
        try:
            with FileLock(file, thread_local=False).acquire(timeout=0):
                pass
        except (Timeout, OSError):
            leased.append(file)
    return leased
