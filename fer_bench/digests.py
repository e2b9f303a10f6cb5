"""The sha256 of files, in hexadecimal digits."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Return the sha256 of what a file holds.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(file: Path) -> str:
    """Return `sha256_of` a file that is read once a process as long as its size and time stay the same."""
    state = file.stat()
    return _sha256_once(file, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256_once(file: Path, size: int, mtime_ns: int) -> str:
    return sha256_of(file)
