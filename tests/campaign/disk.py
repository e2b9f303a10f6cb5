"""A disk that fails, or ends the process, at the n-th call that changes a file below a folder.

Calls are counted by Python's audit events and by the two functions without one, `os.write` and `os.fsync`. What native
code writes by itself (XLA's cache, safetensors) is not seen.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"}
KILL = 0
"""In place of an error number: the process is killed."""


class Disk:
    """Fails at a call that changes a file below a folder: once, or there and at all that follow, as a kill would."""

    def __init__(self) -> None:
        self.folder = ""
        self.calls = self.at = 0
        self.error, self.forever = 0, False
        sys.addaudithook(self._see)

    def __call__(self, folder: Path, at: int = 0, error: int = errno.ENOSPC, *, forever: bool = False) -> None:
        self.folder, self.calls, self.at, self.error, self.forever = str(folder), 0, at, error, forever

    def count(self) -> None:
        self.calls += 1
        if self.at and (self.calls >= self.at if self.forever else self.calls == self.at):
            if self.error == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.error, os.strerror(self.error))

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.folder or not (event in CHANGES or event == "open"):
            return
        place = arguments[0]
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        if isinstance(place, str | Path) and os.path.abspath(place).startswith(self.folder):  # noqa: PTH100 (quick)
            self.count()


DISK = Disk()


@contextmanager
def failing_disk() -> Iterator[Disk]:
    """Yield the disk, which also sees `os.write` and `os.fsync` meanwhile; it fails nowhere afterwards."""

    def seen(real: Callable[..., object]) -> Callable[..., object]:
        def call(descriptor: int, *rest: object) -> object:
            if DISK.folder and str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(DISK.folder):
                DISK.count()
            return real(descriptor, *rest)

        return call

    with mock.patch.multiple(os, write=seen(os.write), fsync=seen(os.fsync)):
        try:
            yield DISK
        finally:
            DISK.folder = ""
