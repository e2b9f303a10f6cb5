"""Stored pixels of a task, for plans that train from the image on: decoded once where memory or a disk has room."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs
from fer_bench.networks import devices, resident, transforms
from fer_bench.tasks.task import Task

DISK_SHARE = 1 / 8
"""Of the free space of the disk with the cache folder that decoded images may take where the memory is too small."""


def pictures_of(task: Task, input_size: int, folder: Path) -> Inputs:
    """Return the images of a task: decoded once if all of them fit into the shares of memory or disk, else each time.

    Args:
        task: the samples.
        input_size: side of the backbone's input, pixels.
        folder: the cache folder.
    """
    pictures = Pictures(task, input_size)
    size = len(pictures) * int(np.prod(pictures.shape))
    if resident.fits(size):
        accelerated = devices.accelerated()
        return resident.Resident(pictures, pictures.shape, np.uint8, 0) if accelerated else Decoded(pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if size <= DISK_SHARE * shutil.disk_usage(folder).free:
            return Decoded(pictures, PixelFile(folder, pictures.shape))
    except OSError:  # the folder cannot be written
        pass
    return pictures


class Pictures:
    """Images as `Outputs` gives stage outputs: read when they are asked for, nothing kept.

    Args:
        task: the samples.
        input_size: side of the backbone's input, pixels.

    Attributes:
        shape: of an image, (h, w, c).
    """

    def __init__(self, task: Task, input_size: int):
        self._task = task
        shapes = {view.shape for view in task.parts}
        shape = shapes.pop() if len(shapes) == 1 else None
        self._side = transforms.host_side(shape, input_size)
        self._channels = max(view.channels for view in task.parts)
        self._ends = np.cumsum([len(view.rows) for view in task.parts])
        height, width = shape if shape is not None and self._side is None else (input_size, input_size)
        self.shape = height, width, self._channels

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return (k, h, w, c) uint8, or (steps, k, h, w, c); where ``variant`` is 1, mirrored left to right."""
        shape, mirrored, rows = np.shape(rows), _mirrored(rows, variant).ravel(), np.ravel(rows)
        which = np.searchsorted(self._ends, rows, side="right")
        images: list[Array] = [np.empty(0)] * len(rows)
        for number, view in enumerate(self._task.parts):
            own = np.flatnonzero(which == number)
            decoded = view.images(rows[own] - (self._ends[number] - len(view.rows))) if len(own) else []
            for place, image in zip(own, decoded, strict=True):
                images[place] = image
        batch = transforms.to_batch(images, self._side, self._channels)
        return _turned(batch, mirrored).reshape(*shape, *batch.shape[1:])


class PixelFile:
    """Images in a file without a name, which the operating system removes with the process.

    It is read and written by calls, not mapped: pages of a map count as the process's memory, and a full disk would end
    it by a signal.

    Args:
        folder: whose disk holds it.
        shape: of an image, (h, w, c).
    """

    def __init__(self, folder: Path, shape: Sequence[int]):
        self._shape, self._size = tuple(shape), int(np.prod(shape))
        self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115  (open as long as this object is)
        weakref.finalize(self, self._file.close)

    def __getitem__(self, rows: Array) -> Array:
        images = np.empty((rows.size, *self._shape), np.uint8)
        for row, image in zip(rows.ravel().tolist(), images, strict=True):
            self._file.seek(row * self._size)
            self._file.readinto(memoryview(image).cast("B"))
        return images.reshape(*rows.shape, *self._shape)

    def __setitem__(self, rows: Array, images: Array) -> None:
        for row, image in zip(rows.tolist(), images, strict=True):
            self._file.seek(row * self._size)
            if self._file.write(image.tobytes()) != self._size:  # what a disk does that is full in the middle of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Decoded:
    """Images that are decoded when they are asked for first, and then stay in the host's memory or a file.

    Args:
        pictures: what they are read from.
        file: where they stay instead.
    """

    def __init__(self, pictures: Pictures, file: PixelFile | None = None):
        self._pictures, self._known = pictures, np.zeros(len(pictures), bool)
        self._lock = threading.Lock()  # a validation reads while batches of the next epoch are read
        self._here = file or np.zeros((len(pictures), *pictures.shape), np.uint8)

    def __len__(self) -> int:
        return len(self._pictures)

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return what `Pictures.take` does."""
        rows, mirrored = np.asarray(rows), _mirrored(rows, variant)
        with self._lock:
            missing = np.unique(rows[~self._known[rows]])
            if len(missing):
                self._here[missing] = self._pictures.take(missing)
                self._known[missing] = True
            return _turned(self._here[rows], mirrored)


def _mirrored(rows: Array, variant: int | Array) -> Array:
    """Return of which rows the mirror image is asked for, (k,) bool."""
    return np.broadcast_to(np.asarray(variant), np.shape(rows)) == 1


def _turned(batch: Array, mirrored: Array) -> Array:
    """Turn some images of a batch left to right, in place."""
    batch[mirrored] = batch[mirrored, :, ::-1]
    return batch
