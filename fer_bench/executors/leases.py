"""Who works on what: a file in the runs folder for each unit of work that a process has taken.

``<runs>/leases/<name>.json`` names the holder. It is created with ``O_EXCL``, which NFS does at once or not at all.
While the work goes on, a thread sets the file's time every `RENEW_S` seconds. A lease is void

- when its process lives no longer, which processes of the same machine see at once, or
- when its time has not changed for `SILENT_S` seconds, which is how other machines judge it. Only the observer's own
  monotonic clock counts these seconds, so the clocks of machines and of the file server may differ or be set.

Who finds a void lease locks the file, looks whether it is still the void one, removes it and then takes the unit. Where
the file system has no locks, two processes may take one unit in the same millisecond. A lease only says who works now.
Whether the work is done is for the store to say, and who got a lease looks there again. A process that was silent and
goes on, as on a machine that slept, does a unit twice; cells are replaced whole, so nothing is lost.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from fer_bench import atomic
from fer_bench.foreign_files import READ
from fer_bench.results import canonical
from fer_bench.results.store import cannot_write

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FOLDER = "leases"
"""Name of the folder in a runs folder."""
RENEW_S = 10.0
SILENT_S = 180.0
"""More than the minute for which a client of NFS may show an old time."""
LARGEST = 4096
"""Bytes of a lease that are read, since a runs folder may hold files of unknown origin."""
_HELD: dict[Path, Holder] = {}
"""What this process holds, by all of its `Leases`."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that took a unit.

    Attributes:
        machine: tells kernels and process namespaces apart, within which a number means one process.
        host: name of the machine, for people.
        pid: number of the process.
        started: when the process was started; a later one of the same number has another.
        taken: when it took the unit, in seconds since the epoch by its own clock, for people.
    """

    machine: str
    host: str
    pid: int
    started: str
    taken: float

    @classmethod
    def own(cls) -> Self:
        """Return this process, now."""
        pid = os.getpid()
        return cls(machine=_machine(), host=platform.node(), pid=pid, started=_start_of(pid), taken=time.time())

    def is_own(self) -> bool:
        """Return whether it is this process."""
        own = Holder.own()
        return (self.machine, self.pid, self.started) == (own.machine, own.pid, own.started)

    def lives(self) -> bool | None:
        """Return whether the process lives; None where this machine cannot tell."""
        if self.machine != _machine():
            return None
        if not psutil.pid_exists(self.pid):
            return False
        try:
            return _start_of(self.pid) == self.started
        except psutil.NoSuchProcess:
            return False
        except (psutil.Error, OSError):  # a process of another user that the system hides
            return None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Leases:
    """The leases in a runs folder; a context, at the end of which this process holds none.

    Args:
        runs_dir: the runs folder.
        renew_s: seconds between two renewals.
        silent_s: seconds without one after which a lease of another machine is void.
    """

    def __init__(self, runs_dir: Path, renew_s: float = RENEW_S, silent_s: float = SILENT_S):
        self._runs_dir, self._folder = runs_dir, runs_dir.absolute() / FOLDER
        self._renew_s, self._silent_s = renew_s, silent_s
        self._seen: dict[Path, tuple[tuple[Holder | None, int], float]] = {}
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewer.join()
        with suppress(OSError):  # there is none, or others hold leases
            self._folder.rmdir()

    @contextlib.contextmanager
    def take(self, name: str) -> Iterator[bool]:
        """Hold a unit within the block unless another process holds it; say whether it is held.

        Raises:
            FerBenchError: the folder cannot be written.
        """
        file = self._folder / f"{name}.json"
        try:
            created = self._create(file) or (self._remove_void(file) and self._create(file))
        except OSError as error:
            raise cannot_write(self._runs_dir, error) from None
        if not created:
            yield False
            return
        try:
            yield True
        finally:
            own = _HELD.pop(file)
            if _read(file)[0] == own:  # else it was void for another machine, which took it
                with suppress(OSError):
                    file.unlink()

    def holder(self, name: str) -> Holder | None:
        """Return who holds a unit, or None."""
        return _read(self._folder / f"{name}.json")[0]

    def tidy(self) -> None:
        """Remove the leases of processes that are known to live no longer."""
        atomic.remove_stale(self._folder)
        with suppress(OSError):
            for file in self._folder.glob("[!.]*.json"):
                self._remove_void(file)

    def _create(self, file: Path) -> bool:
        """Return whether the unit is this process's now."""
        while True:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                break
            except FileExistsError:
                return False
            except FileNotFoundError:  # another process removed the folder when it was empty
                continue
        own = _HELD[file] = Holder.own()
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(asdict(own), stream)
        except OSError:
            del _HELD[file]
            file.unlink(missing_ok=True)
            raise
        return True

    def _remove_void(self, file: Path) -> bool:
        """Remove a lease that is void; return whether there is none now."""
        state = holder, changed = _read(file)
        if not changed:
            return True
        if not self._is_void(file, holder, changed):
            return False
        try:
            with _locked(file) as same:
                if not same or _read(file) != state:  # another process had taken it just before
                    return False
                file.unlink()
        except OSError:  # another process is faster
            return False
        return True

    def _is_void(self, file: Path, holder: Holder | None, changed: int) -> bool:
        if holder and holder.is_own() and _HELD.get(file) != holder:
            return True  # of this process, which could not remove it when the work was done
        lives = holder.lives() if holder else None
        if lives is not None:
            return not lives
        state, now = (holder, changed), time.monotonic()
        seen, since = self._seen.get(file, (None, now))
        if seen != state:
            since = now
        self._seen[file] = state, since
        return now - since > self._silent_s

    def _renew(self) -> None:
        while not self._ended.wait(self._renew_s):
            for file, own in list(_HELD.items()):
                with suppress(OSError):
                    if _read(file)[0] == own:
                        os.utime(file)


def _read(file: Path) -> tuple[Holder | None, int]:
    """Return who holds a lease, None if the file does not say, and when it was renewed last; 0 if there is none."""
    try:
        descriptor = os.open(file, READ)
    except OSError as error:  # none; or a link, which nobody follows
        return None, 0 if isinstance(error, FileNotFoundError) else 1
    try:
        status, holder = os.fstat(descriptor), None
        if stat.S_ISREG(status.st_mode):
            with suppress(OSError, ValueError):  # it is being written, or no lease of ours
                holder = canonical.read(Holder, os.read(descriptor, LARGEST))
        return holder, max(1, status.st_mtime_ns)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold the lock of a file within the block; say whether the path still means this file.

    A link is nobody's lease, so it has no lock.

    Raises:
        OSError: there is no such file, or another process holds its lock.
    """
    if file.is_symlink():
        yield True
        return
    try:
        descriptor = os.open(file, READ | os.O_RDWR)  # NFS locks only what may be written
    except PermissionError:
        descriptor = os.open(file, READ)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
        yield os.path.samestat(os.fstat(descriptor), file.stat(follow_symlinks=False))
    finally:
        os.close(descriptor)


def _start_of(pid: int) -> str:
    """Return when a process was started, in a form that a change of the clock leaves as it is where Linux says it.

    Raises:
        psutil.NoSuchProcess: it ended.
    """
    process = psutil.Process(pid)
    if process.status() == psutil.STATUS_ZOMBIE:
        raise psutil.NoSuchProcess(pid)
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return repr(process.create_time())


@functools.cache
def _machine() -> str:
    """Return what tells this kernel, since it was started, and this namespace of processes from all others."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
