"""Read a file of a folder of unknown origin: no link is followed, no FIFO waited for, no device read."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

PIECE = 1 << 16
"""Bytes that are read at once: more than most files hold, and no new memory page for each of them."""
READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))

BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What the reading of a damaged or strange zip file raises beside OSError: of its directory, of compressed bytes, of an
unknown compression, of an encrypted member."""


def pieces(file: str, largest: int, tell: Callable[[os.stat_result], object] | None = None) -> Iterator[bytes]:
    """Yield what a file holds; `open` and `Path` take longer than the reading of a small one.

    Args:
        file: its path.
        largest: bytes that it may have, for it may claim to be as large as it likes.
        tell: is given the state of the file before it is read.

    Raises:
        OSError: it cannot be read, is a link or no regular file, or is too large.
    """
    descriptor = os.open(file, READ)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > largest:
            raise OSError(errno.EFBIG, "is no regular file, or too large")
        if tell:
            tell(status)
        most = min(PIECE, status.st_size + 1)  # a buffer of the file's size takes half the time of a large one
        while piece := os.read(descriptor, most):
            yield piece
            if len(piece) < most:
                return
    finally:
        os.close(descriptor)


def read(file: Path, largest: int) -> bytes:
    """Return what a file holds; raises as `pieces`."""
    return b"".join(pieces(str(file), largest))
