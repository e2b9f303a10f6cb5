"""Stored pixels of a task, for plans that train from the image on."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.networks import transforms
from fer_bench.tasks.task import Task


class Pictures:
    """Images as `Outputs` gives stage outputs: read when they are asked for, nothing kept.

    Args:
        task: the samples.
        input_size: side of the backbone's input, pixels.
    """

    def __init__(self, task: Task, input_size: int):
        self._task = task
        shapes = {view.shape for view in task.parts}
        shape = shapes.pop() if len(shapes) == 1 else None
        # Images of one shape are resized on the device.
        self._side = None if shape is not None and max(shape) <= 2 * input_size else input_size
        self._channels = max(view.channels for view in task.parts)
        self._ends = np.cumsum([len(view.rows) for view in task.parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return (k, h, w, c) uint8; where ``variant`` is 1, mirrored left to right."""
        which = np.searchsorted(self._ends, rows, side="right")
        images: list[Array] = [np.empty(0)] * len(rows)
        for number, view in enumerate(self._task.parts):
            here = np.flatnonzero(which == number)
            decoded = view.images(rows[here] - (self._ends[number] - len(view.rows))) if len(here) else []
            for place, image in zip(here, decoded, strict=True):
                images[place] = image
        batch = transforms.to_batch(images, self._side, self._channels)
        mirrored = np.broadcast_to(np.asarray(variant), np.shape(rows)) == 1
        batch[mirrored] = batch[mirrored, :, ::-1]
        return batch
