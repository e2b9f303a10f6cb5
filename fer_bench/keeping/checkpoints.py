"""A cell in training, on disk between epochs, so that a killed run goes on where it was.

What is kept is all that the rest of the training depends on; everything random is a function of seed, epoch and step.
So a run that was killed ends in the same numbers as one that was not, to the bit where the device computes the same
twice, as CPUs do. A checkpoint is optional: what cannot be written or read is a warning.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_bench.arrays import Array

T = TypeVar("T")

VERSION = 2
SHARE = 0.01
"""Of a training's time that writing its checkpoints may take of a processor: 82 MB take 0.13 s, the next wait 13 s."""
UNWANTED = 30
"""Days after which a checkpoint is removed that no run has gone on with."""
_SUFFIXES = (".part", ".safetensors", ".lock")


class Checkpoint:
    """The newest state of one cell, written beside the training.

    Use it as a context that ends once the cell is stored: then the file is deleted. Where the body raises, the file
    stays for the next run. From `load` on other processes are kept out.

    Args:
        file: its name is the cell's identity, so that no other code or data uses it. None keeps nothing.
        warn: told why a checkpoint is not used or not written.
    """

    def __init__(self, file: Path | None, warn: Callable[[str], None] = lambda message: None) -> None:
        self._file, self._warn = file or Path(), warn
        self._lock = None if file is None else FileLock(file.with_suffix(".lock"))
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._warned = False
        self._next = -math.inf

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown()
        if self._lock is None or not self._lock.is_locked:
            return
        if kind is None:
            _remove(self._file)
        self._lock.release()

    def load(self, restore: Callable[[dict[str, Any], dict[str, Array]], T]) -> T | None:
        """Return what ``restore`` makes of the facts and arrays that are saved; None where nothing can be used.

        Args:
            restore: may raise anything, which is a warning.
        """
        if not self._own() or not self._file.is_file():
            return None
        try:
            return restore(*_read(self._file))
        # If anything is wrong with the file, the training can begin again.
        except Exception as error:
            self.warn_unusable(error)
            return None

    def warn_unusable(self, error: Exception) -> None:
        """Say that what is saved cannot be used."""
        self._warn(
            f"The checkpoint of cell {self._file.stem[:12]} cannot be used "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); its training starts again."
        )

    @property
    def due(self) -> bool:
        """Whether a training should save its state: nothing is being written, and it costs no more than `SHARE`."""
        if self._lock is None or not self._lock.is_locked:
            return False
        return (self._writing is None or self._writing.done()) and time.monotonic() >= self._next

    def save(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Replace what is saved, atomically, while the caller goes on; one state is written at a time.

        Args:
            facts: what JSON can hold; numbers come back as they are.
            arrays: by name; they must stay as they are. The writing thread takes them from the device.
        """
        if self._lock is None or not self._lock.is_locked:
            return
        if self._writing is not None:
            self._writing.result()
        self._writing = self._writer.submit(self._write, dict(facts), dict(arrays))

    def _own(self) -> bool:
        """Return whether the cell is this process's; a second process trains without a checkpoint."""
        if self._lock is None:
            return False
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            self._warn_of(error)
        return self._lock.is_locked

    def _write(self, facts: dict[str, Any], given: Mapping[str, Any]) -> None:
        begun = time.thread_time()
        arrays = {name: np.asarray(array, order="C") for name, array in given.items()}
        record = {"version": VERSION, "jax": jax.__version__, "sha256": _digest(facts, arrays), "facts": facts}
        beside = self._file.with_suffix(".part")
        try:
            save_file(arrays, beside, {"record": json.dumps(record)})
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(self._file)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            self._warn_of(error)
        self._next = time.monotonic() + (time.thread_time() - begun) / SHARE

    def _warn_of(self, error: Exception) -> None:
        """Say once that the cell has no checkpoint."""
        if self._warned:
            return
        self._warned = True
        free = ""
        with suppress(OSError):
            free = f", whose disk has {shutil.disk_usage(self._file.parent).free >> 20:,} MiB free"
        self._warn(
            f"No checkpoint of cell {self._file.stem[:12]} can be written to {str(self._file.parent)!r}{free}: "
            f"{error}. The training goes on; if it is stopped, it starts again."
        )


class Step(Checkpoint):
    """One of the trainings of a cell that has several: its state is saved beside the results of the others.

    Args:
        whole: of the cell.
        name: of the training.
        facts: saved with its state.
        arrays: likewise.
        begun: its facts and arrays where a killed run left off; None where it was not in it.
    """

    def __init__(
        self,
        whole: Checkpoint,
        name: str,
        facts: Mapping[str, Any],
        arrays: Mapping[str, Array],
        begun: tuple[dict[str, Any], dict[str, Array]] | None,
    ) -> None:
        super().__init__(None)
        self._whole, self._name, self._beside, self._arrays, self._begun = whole, name, facts, arrays, begun

    def load(self, restore: Callable[[dict[str, Any], dict[str, Array]], T]) -> T | None:
        """Return what ``restore`` makes of where this training stood; None where nothing can be used."""
        try:
            return None if self._begun is None else restore(*self._begun)
        # As of the whole: the training can begin again.
        except Exception as error:
            self._whole.warn_unusable(error)
            return None

    @property
    def due(self) -> bool:
        """As of the whole."""
        return self._whole.due

    def save(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Save the state of the cell with this one's."""
        self._whole.save({**self._beside, "step": self._name, "training": dict(facts)}, {**self._arrays, **arrays})


def remove_left(folder: Path, finished: Callable[[str], bool], asked: Collection[str]) -> None:
    """Remove what killed runs left and no run will go on with, unless a living process holds it.

    That is all of a cell that is stored, a first checkpoint that was not written to its end, and what no run has gone
    on with for `UNWANTED` days, as after an upgrade that gave all cells other ids. Checkpoints of other grids stay
    until then.

    Args:
        folder: of checkpoints.
        finished: whether a cell is stored, by its id.
        asked: ids of the cells of this run, whose checkpoints stay at any age.
    """
    with suppress(OSError):  # there is no such folder, or it cannot be read
        for name in sorted({entry.stem for entry in folder.iterdir() if entry.suffix in _SUFFIXES}):
            file = folder / f"{name}.safetensors"
            if finished(name) or not _wanted(file, name in asked):
                with suppress(OSError, Timeout), FileLock(file.with_suffix(".lock"), timeout=0):
                    _remove(file)
        folder.rmdir()


def _wanted(file: Path, asked: bool) -> bool:
    return file.is_file() and (asked or time.time() - file.stat().st_mtime < UNWANTED * 24 * 3600)


def _remove(file: Path) -> None:
    """Remove a checkpoint that this process has locked, with what a killed run left beside it."""
    with suppress(OSError):
        for suffix in _SUFFIXES:
            file.with_suffix(suffix).unlink(missing_ok=True)
        file.parent.rmdir()


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    with safe_open(file, "np") as stored:
        record = json.loads(stored.metadata()["record"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (no mapping)
    if record["version"] != VERSION or record["jax"] != jax.__version__:
        raise ValueError(f"it is of version {record['version']} and jax {record['jax']}")
    if _digest(record["facts"], arrays) != record["sha256"]:
        raise ValueError("its content does not match its checksum")
    return record["facts"], arrays


def _digest(facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.shape, str(array.dtype)]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
