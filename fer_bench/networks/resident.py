"""Inputs of a task that stay on an accelerator: no step waits until the host has read and moved them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.networks import devices

SHARE = 1 / 8
"""Of the free memory of a device that the images of a task may take, and each stage's outputs of them."""


def fits(bytes_needed: int) -> bool:
    """Return whether so many bytes are within `SHARE` of the free memory of a device, or of the host without one."""
    return bytes_needed <= SHARE * devices.room()


def of_outputs(outputs: Outputs, variants: int) -> Inputs:
    """Return stage outputs that stay on an accelerator, if there is one and they fit; else ``outputs``.

    Args:
        outputs: of a stage.
        variants: that are asked for, 1 or 2.
    """
    size = len(outputs) * variants * int(np.prod(outputs.shape)) * outputs.dtype.itemsize
    if not devices.accelerated() or not fits(size):
        return outputs
    return Resident(outputs, outputs.shape, outputs.dtype, variants)


class Resident:
    """Inputs that are read when they are asked for first, and then stay on the device.

    Args:
        inputs: what they are read from.
        shape: of one.
        dtype: of all.
        variants: that are read and kept of each sample; of 0 the mirrored image is made on the device.
    """

    def __init__(self, inputs: Inputs, shape: Sequence[int], dtype: Any, variants: int):
        self._inputs, self._variants = inputs, variants
        kept = len(inputs) * max(1, variants)
        self._known = np.zeros(kept, bool)
        self._lock = threading.Lock()  # a validation reads while batches of the next epoch are read
        self._values = devices.available().copy(jnp.zeros((kept, *shape), dtype))

    def __len__(self) -> int:
        return len(self._inputs)

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return the inputs of some samples, as `Inputs.take` does, on the device."""
        rows, variant = np.asarray(rows), np.broadcast_to(np.asarray(variant), np.shape(rows))
        slots = rows * self._variants + variant if self._variants else rows
        with self._lock:
            self._read(slots.ravel())
            if self._variants:
                return _gather(self._values, slots)
            return _gather_images(self._values, slots, variant == 1)

    def _read(self, slots: Array) -> None:
        """Keep those of the inputs that are not known yet."""
        missing = slots[~self._known[slots]]
        if not len(missing):
            return
        missing = np.unique(missing)
        rows, variant = np.divmod(missing, max(1, self._variants))
        # As many as are asked for, so that one program serves every count.
        again = np.arange(len(slots)) % len(missing)
        self._values = _scatter(self._values, missing[again], self._inputs.take(rows, variant)[again])
        self._known[missing] = True


@jax.jit
def _gather(values: jax.Array, slots: Array) -> jax.Array:
    """Return some of the values."""
    return values[slots]


@jax.jit
def _gather_images(images: jax.Array, rows: Array, mirrored: Array) -> jax.Array:
    """Return some of the images, mirrored left to right where that is wanted."""
    gathered = images[rows]
    return jnp.where(mirrored[..., None, None, None], gathered[..., ::-1, :], gathered)


@partial(jax.jit, donate_argnums=0)
def _scatter(values: jax.Array, slots: Array, replacements: Array) -> jax.Array:
    """Return the values with some of them put in."""
    return values.at[slots].set(replacements)
