"""A part of the cache: rows of an array, the images that they belong to, and checksums of both.

::

    <part>/values.npy        the rows; nobody ever loads them whole
    <part>/images.bin        the sha256 of the image of each row, 32 bytes each
    <part>/entry.json        what it holds and the checksums, written last: without it a part does not count
    <part>/used              its time is when the part was used last
    <part>/lease-*           held by each process that uses the part, so that nobody evicts it
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from fer_bench import foreign_files
from fer_bench.arrays import Array
from fer_bench.sizes import number_of

SCHEMA = 2
"""Version of the files of a part: 2 has rows by image."""

CHUNK_BYTES = 8 << 20
"""How much of an array one checksum covers."""

LARGEST = 1 << 30
"""Bytes of a list of images (33 million of them) or of a description: they are read whole."""

VALUES, IMAGES, ENTRY, USED = "values.npy", "images.bin", "entry.json", "used"

_verified: dict[tuple[str, int, int, int], Array] = {}
"""File (path, inode, time, size) -> (chunks,) bool, those whose checksums this process compared: once is enough while
the file stays as it is."""


@dataclass(frozen=True, eq=False)
class Part:
    """A complete part, whose values were not compared with their checksums yet.

    Attributes:
        folder: where it lies.
        images: (n,) of numpy's type ``S32``, the sha256 of the image of each row.
        facts: what its writer said about it.
        chunks: a sha256 of every `CHUNK_BYTES` of the file of values, in hexadecimal digits.
    """

    folder: Path
    images: Array
    facts: dict[str, Any]
    chunks: list[str]

    def values(self, rows: Array) -> Array | None:
        """Return all rows, (n, …), mapped read-only; None if what holds ``rows`` does not match its checksums."""
        file = self.folder / VALUES
        try:
            state = _state(file)
            size, count = state[-1], len(self.chunks)
            if size // CHUNK_BYTES + 1 != count or not self._match(file, state, np.arange(count) == 0):
                return None
            values: Any = np.load(file, mmap_mode="r", allow_pickle=False)
            if not len(values) == len(self.images) > 0 or values.offset + values.nbytes != size:
                return None
            length = values.nbytes // len(values)
            starts = values.offset + rows.astype(np.int64) * length
            opened = np.zeros(count + 1, np.int64)
            np.add.at(opened, starts // CHUNK_BYTES, 1)
            np.add.at(opened, (starts + max(0, length - 1)) // CHUNK_BYTES + 1, -1)
            return values if self._match(file, state, np.cumsum(opened)[:count] > 0) else None
        except (OSError, ValueError):
            return None

    def _match(self, file: Path, state: tuple[str, int, int, int], needed: Array) -> bool:
        """Return whether each of the wanted chunks has its checksum; they are read in threads."""

        def matches(number: int) -> bool:
            with file.open("rb", buffering=0) as stream:
                stream.seek(number * CHUNK_BYTES)
                chunk = stream.read(CHUNK_BYTES)
            return hashlib.sha256(chunk).hexdigest() == self.chunks[number]

        verified = _verified.setdefault(state, np.zeros(len(self.chunks), bool))
        numbers = np.flatnonzero(needed & ~verified)
        if not len(numbers):
            return True
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            verified[numbers] = list(pool.map(matches, numbers.tolist()))
        return bool(verified[numbers].all())


def read(folder: Path) -> Part | None:
    """Return the part in ``folder``; None if its description or its images are not whole."""
    entry = _entry(folder)
    if entry is None:
        return None
    try:
        content = foreign_files.read(folder / IMAGES, LARGEST)
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != entry["images"]:
        return None
    return Part(folder, np.frombuffer(content, "S32"), entry["facts"], entry["chunks"])


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what the writer of a part said about it; nothing if the part does not count."""
    return (_entry(folder) or {}).get("facts", {})


class Writer:
    """Writes the files of a part, row by row; closed at the end of a ``with`` block, whether it is whole or not.

    Args:
        folder: an empty one.
        images: (n,) of type ``S32``.
        shape: of all rows, (n, …).
        dtype: of the rows.
        writing: surrounds what `append` writes, to name what fails.

    Attributes:
        facts: to be filled with what is worth knowing of the part, plain JSON.
    """

    def __init__(
        self,
        folder: Path,
        images: Array,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        writing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        self.facts: dict[str, Any] = {}
        self._folder, self._images, self._shape, self._dtype, self._writing = folder, images, shape, dtype, writing
        self._chunks: list[str] = []
        self._digest, self._filled, self._rows = hashlib.sha256(), 0, 0
        self._file = (folder / VALUES).open("wb")
        header: dict[str, Any] = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        # The header goes through the same checksums as the values: numpy needs nothing of a file but its `write`.
        np.lib.format.write_array_header_1_0(cast(Any, self), header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: Array) -> None:
        """Write the next rows, of the shape and dtype that were promised."""
        if rows.shape[1:] != self._shape[1:] or rows.dtype != self._dtype:
            raise ValueError(f"rows {rows.shape} {rows.dtype} do not fit an array {self._shape} {self._dtype}")
        self._rows += len(rows)
        if len(rows):
            with self._writing():
                self.write(np.ascontiguousarray(rows).data.cast("B"))

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes of the file of values."""
        view = memoryview(data)
        self._file.write(view)
        while len(view):
            piece = view[: CHUNK_BYTES - self._filled]
            self._digest.update(piece)
            self._filled += len(piece)
            if self._filled == CHUNK_BYTES:
                self._chunks.append(self._digest.hexdigest())
                self._digest, self._filled = hashlib.sha256(), 0
            view = view[len(piece) :]

    def finish(self) -> None:
        """Bring everything to disk, the description last."""
        if not self._rows == self._shape[0] == len(self._images):
            raise ValueError(
                f"{number_of(self._rows, 'row')} of {len(self._images)} images were written of {self._shape[0]}"
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        images = self._images.tobytes()
        entry: dict[str, Any] = {
            "schema": SCHEMA,
            "images": hashlib.sha256(images).hexdigest(),
            "chunks": [*self._chunks, self._digest.hexdigest()],
            "facts": self.facts,
        }
        for name, content in ((IMAGES, images), (ENTRY, json.dumps({**entry, "sha256": _digest(entry)}).encode())):
            with (self._folder / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


def trust(folder: Path) -> None:
    """Let this process take the values of a part that it wrote itself without comparing them."""
    state = _state(folder / VALUES)
    _verified[state] = np.ones(state[-1] // CHUNK_BYTES + 1, bool)


def size_of(folder: Path) -> int:
    """Return the bytes that the files of a part take."""
    return sum(file.stat().st_size for file in folder.iterdir())


def last_use(folder: Path) -> float:
    """Return when a part was used last, or written, seconds since the epoch; its folder's time changes with a lease."""
    return max(file.stat().st_mtime for file in folder.iterdir() if file.name in (USED, VALUES, ENTRY))


def _entry(folder: Path) -> dict[str, Any] | None:
    """Return ``entry.json`` if it is whole, else None."""
    try:
        entry = json.loads(foreign_files.read(folder / ENTRY, LARGEST).decode())
        digest = entry.pop("sha256")
        return entry if digest == _digest(entry) and entry["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _state(file: Path) -> tuple[str, int, int, int]:
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{file} is no regular file")
    return str(file.absolute()), status.st_ino, status.st_mtime_ns, status.st_size
