"""A cell in training, on disk after every epoch, so that a killed run goes on where it was.

What is kept is all that the rest of the training depends on; everything random is a function of seed, epoch and step.
So a run that was killed ends in the same numbers as one that was not, to the bit where the device computes the same
twice, as CPUs do.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from filelock import FileLock, Timeout

Array = np.ndarray[Any, Any]

VERSION = 1


@dataclass(frozen=True)
class Saved:
    """What was read back.

    Attributes:
        facts: plain values.
        leaves: arrays, in the order in which they were saved.
    """

    facts: dict[str, Any]
    leaves: list[Any]


class Checkpoint:
    """The newest state of one cell, written beside the training; use it as a context, which keeps other processes out.

    Args:
        folder: of the cell; its name is the cell's identity, so that no other code or data finds it. None keeps
            nothing.
        warn: told why a checkpoint is not used.
    """

    def __init__(self, folder: Path | None, warn: Callable[[str], None] = lambda message: None) -> None:
        self._folder, self._warn = folder or Path(), warn
        self._kept = folder is not None
        self._lock: FileLock | None = None
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Checkpoint:
        if not self._kept:
            return self
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder.with_suffix(".lock"))
        # Two processes on one cell: the second one trains without checkpoints, and whoever ends first is stored.
        with suppress(Timeout):
            lock.acquire(timeout=0)
            self._lock = lock
        return self

    def __exit__(self, *failure: object) -> None:
        """Let go of the cell; what is saved stays where the process is being stopped, else it has served."""
        self._writer.shutdown()
        if self._lock is None:
            return
        if not isinstance(failure[1], KeyboardInterrupt | SystemExit):
            shutil.rmtree(self._folder, ignore_errors=True)
            with suppress(OSError):
                self._folder.with_suffix(".lock").unlink()
                self._folder.parent.rmdir()
        self._lock.release()

    def save(self, facts: dict[str, Any], leaves: Sequence[Any]) -> None:
        """Replace what is saved, atomically, while the caller goes on; one state is written at a time.

        Args:
            facts: what JSON can hold; numbers come back as they are.
            leaves: arrays, which stay as they are.

        Raises:
            OSError: the state before this one could not be written.
        """
        if self._lock is None:
            return
        arrays = [np.asarray(leaf) for leaf in leaves]
        if self._writing is not None:
            self._writing.result()
        self._writing = self._writer.submit(self._write, facts, arrays)

    def _write(self, facts: dict[str, Any], arrays: Sequence[Array]) -> None:
        import orbax.checkpoint as ocp

        number = 1 + max(self._numbers(), default=-1)
        record = {"version": VERSION, "jax": jax.__version__, "sha256": _digest(arrays), "facts": facts}
        composite = ocp.args.Composite(state=ocp.args.PyTreeSave(_filled(arrays)), record=ocp.args.JsonSave(record))
        # Weights compress by a fifth, for half as much work again.
        plain = ocp.PyTreeCheckpointHandler(use_compression=False)
        handlers = ocp.CompositeCheckpointHandler(state=plain, record=ocp.JsonCheckpointHandler())
        with ocp.Checkpointer(handlers) as writer:
            writer.save(self._folder.absolute() / str(number), composite)
        for old in self._numbers():
            if old != number:
                shutil.rmtree(self._folder / str(old), ignore_errors=True)

    def load(self, like: Callable[[dict[str, Any]], Sequence[Any]]) -> Saved | None:
        """Return what is saved, or None where there is nothing that can be used.

        Args:
            like: from the facts, arrays (or their shapes and types) in the order in which they were saved.
        """
        if self._lock is None or not (numbers := self._numbers()):
            return None
        place = self._folder.absolute() / str(max(numbers))
        try:
            return _read(place, like)
        # Whatever a damaged file makes orbax raise, the training can begin again.
        except Exception as error:
            self._warn(
                f"The checkpoint {place.name} of cell {self._folder.name[:12]} cannot be used "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); its training begins anew."
            )
            return None

    def _numbers(self) -> list[int]:
        return [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]


def _read(place: Path, like: Callable[[dict[str, Any]], Sequence[Any]]) -> Saved:
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
        record = reader.restore(place, ocp.args.Composite(record=ocp.args.JsonRestore())).record
        if record["version"] != VERSION or record["jax"] != jax.__version__:
            raise ValueError(f"it is of version {record['version']} and jax {record['jax']}")
        wanted = [np.zeros(leaf.shape, leaf.dtype) for leaf in like(record["facts"])]
        filled = iter(reader.restore(place, ocp.args.Composite(state=ocp.args.StandardRestore(_filled(wanted)))).state)
    arrays = [np.asarray(next(filled)) if leaf.size else leaf for leaf in wanted]
    if [(leaf.shape, leaf.dtype) for leaf in arrays] != [(leaf.shape, leaf.dtype) for leaf in wanted]:
        raise ValueError("its arrays have other shapes")
    if _digest(arrays) != record["sha256"]:
        raise ValueError("its arrays do not match their checksum")
    return Saved(record["facts"], arrays)


def _filled(arrays: Sequence[Array]) -> list[Array]:
    """Return those that hold something: orbax refuses empty arrays."""
    return [array for array in arrays if array.size]


def _digest(arrays: Sequence[Array]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(json.dumps([array.shape, str(array.dtype)]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
