"""Write a file whole or not at all: beside its place, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from fer_bench.errors import FerBenchError

_FULL = "the disk is full; free some space and repeat the command"
_FILES = "too many files are open; raise the limit, as with 'ulimit -n 1024', and repeat the command"
_LACKING: dict[int, str] = {
    errno.ENOSPC: _FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): _FULL,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: "there is too little memory; close other programs, or take fewer images with --limit",
}
"""What a machine may lack, and what to do; no fault of a method."""
_SCRATCH = re.compile(r"\.(?:old\.)?(.+)-([0-9a-f]{6})-(\d+)")
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def write_file(file: Path, content: str | bytes, what: str) -> None:
    """Make ``content`` the whole content of a user's file, with the folders above it; text as UTF-8.

    A link keeps pointing where it points; what is no regular file, such as ``/dev/stdout``, is written to.

    Raises:
        FerBenchError: it cannot be written; what stood there before is untouched. The message names ``what``.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = file.resolve() if file.is_symlink() else file
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_bytes(data)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
    except OSError as error:
        raise FerBenchError(
            f"Cannot write {what} to {str(file)!r}: {reason(error)}. What stood there before is untouched."
        ) from None


def replace_file(file: Path, data: bytes, *, flush: bool = True) -> None:
    """Make ``data`` the whole content of ``file``, in a folder that is there.

    Args:
        file: to be written.
        data: its content.
        flush: to the disk, which takes milliseconds; without it a power cut may leave other content.

    Raises:
        OSError: it cannot be written; what stood there before is untouched.
    """
    remove_stale(file.parent, file.name)
    beside = scratch(file)
    try:
        if flush:
            write_synced(beside, data)
        else:
            beside.write_bytes(data)
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    if flush:
        sync_folder(file.parent)


def write_folder(folder: Path, files: Mapping[str, bytes], what: str) -> None:
    """Make ``files`` the whole content of a folder, and remove what else is in it.

    Args:
        folder: a user's; made with those above it where it is not there.
        files: name within it -> content.
        what: named in the message of an error.

    Raises:
        FerBenchError: it cannot be written; what stood there before is untouched.
    """
    target = folder.resolve()
    beside = scratch(target)
    replaced = beside.with_name(f".old{beside.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        restore_folder(target)
        remove_stale(target.parent, target.name)
        for name, data in files.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(beside / name, data)
        if target.exists():
            target.rename(replaced)
        try:
            beside.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise FerBenchError(
            f"Cannot write {what} to {str(folder)!r}: {reason(error)}. What stood there before is untouched."
        ) from None
    shutil.rmtree(replaced, ignore_errors=True)
    sync_folder(target.parent)


def replaceable(folder: Path, is_ours: Callable[[str], bool], what: str) -> list[str]:
    """Return the names of the files in a user's folder that `write_folder` is to replace; none where it is not there.

    Args:
        folder: of the option ``--output``.
        is_ours: whether a file of some name, with its folders, is part of what is written there.
        what: is written there.

    Raises:
        FerBenchError: it is a file, the folder of this process or above it, or holds something else.
    """
    current = Path.cwd()
    if folder.resolve() in (current, *current.parents):
        raise FerBenchError(f"--output {str(folder)!r} is the folder that you are in, or above it: name one within it.")
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise FerBenchError(f"--output {str(folder)!r} is a file; name a folder.")
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if not file.is_dir()]
    if strange := [name for name in names if not is_ours(name)]:
        raise FerBenchError(
            f"--output {str(folder)!r} holds what is no part of {what} and would be removed: "
            f"{', '.join(map(repr, strange[:5]))}. Name an empty folder, or move these files."
        )
    return names


def restore_folder(folder: Path) -> None:
    """Put back a folder that `write_folder` had moved aside when its process was killed.

    Raises:
        OSError: it cannot be moved.
    """
    target = folder.resolve()
    if target.exists() or not target.parent.is_dir():
        return
    for entry in sorted(target.parent.iterdir()):
        match = _SCRATCH.fullmatch(entry.name)
        old = match is not None and entry.name.startswith(".old.") and match[1] == target.name[:200]
        if match and old and match[2] == _HOST and not _lives(int(match[3])):
            entry.rename(target)
            return


def append(file: Path, text: str, what: str) -> None:
    """Add ``text`` to a file that others add to as well, which is why it is not replaced.

    Raises:
        FerBenchError: it cannot be written.
    """
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise FerBenchError(f"Cannot add {what} to {str(file)!r}: {reason(error)}.") from None


def write_synced(file: Path, data: bytes) -> None:
    """Write a new file and flush it to disk, so that no rename shows a file that a power cut then empties."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        unwritten = memoryview(data)
        while unwritten:
            unwritten = unwritten[os.write(descriptor, unwritten) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush to disk which files a folder holds, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def scratch(target: Path) -> Path:
    """Return where this process writes what will become ``target``: beside it, hidden."""
    return target.with_name(f".{target.name[:200]}-{_HOST}-{os.getpid()}")


def is_scratch(name: str) -> bool:
    """Return whether a file or folder is called as `scratch` calls them."""
    return _SCRATCH.fullmatch(name) is not None


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Remove from ``folder`` the scratch of processes of this machine that live no longer.

    Args:
        folder: where to look.
        name: of what was to be written; None: of anything.
    """
    with contextlib.suppress(OSError):
        with os.scandir(folder) as entries:  # a cache may hold thousands of others
            hidden = [folder / entry.name for entry in entries if entry.name.startswith(".")]
        for entry in hidden:
            match = _SCRATCH.fullmatch(entry.name)
            if match and name in (None, match[1]) and match[2] == _HOST and not _lives(int(match[3])):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Return why a file could not be read or written, in words."""
    return _LACKING.get(error.errno or 0) or error.strerror or str(error)


def lacking(error: BaseException) -> str:
    """Return what the machine lacks, in words, if that is why ``error`` was raised; else nothing.

    What caused it counts: libraries raise errors of their own when a file cannot be written.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _LACKING:
            return _LACKING[cause.errno]
        cause = cause.__cause__ or cause.__context__
    return ""


def _lives(process: int) -> bool:
    import psutil

    return process != os.getpid() and psutil.pid_exists(process)
