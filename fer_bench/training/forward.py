"""The frozen stages as a compiled function of a batch, and the batch that fills the device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.training import devices
from fer_bench.training.backbone import Backbone

Array = np.ndarray[Any, Any]

BATCH = 32
"""Images that go to a CPU at once."""
MICRO_BATCH = 4
"""Images that run together on a CPU, so that activations stay in cache: 125 images/s against 109 for whole batches of
16 at 149 pixels (Xception, 2 cores with AMX), 30 against 22 at 299."""
SIZES = (32, 64, 128, 256, 512, 1024)
"""Images that go to a GPU or TPU at once, and run together: what `probe` tries, times the number of devices."""
GAIN = 1.05
"""A larger batch must be faster by this factor, since it takes more memory."""
_ROUNDING = 2.0**-10
"""Half precision is given up where its rounding takes more than this share of the values (root mean squares): numbers
within its range lose at most 2**-11, smaller ones up to all."""


class Forward:
    """The first stages of a backbone on the devices of this host, compiled for batches of one size.

    Args:
        backbone: gives the stages and their numbers.
        stop: how many stages run; all of them give the features.
        variants: 1, or 2 for the mirrored image beside each.
        dtype: of the result, float16 or float32.
        batch: images in a batch.
    """

    def __init__(self, backbone: Backbone, stop: int, variants: int, dtype: np.dtype[Any], batch: int = BATCH):
        self.batch, self._devices = batch, devices.here()
        self._state = self._devices.copy({stage: backbone.state[stage] for stage in backbone.stages[:stop]})
        micro_batch = MICRO_BATCH if jax.default_backend() == "cpu" else batch

        def run(state: Any, images: jax.Array) -> jax.Array:
            mirrored = (images, images[:, :, ::-1])[:variants]
            return jnp.stack([backbone.prefix(state, pictures, stop) for pictures in mirrored], axis=1)

        @jax.jit
        def step(state: Any, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            parts = images.reshape(-1, micro_batch, *images.shape[1:])
            values = jnp.concatenate(jax.lax.map(lambda part: run(state, part), parts))
            stored = values.astype(dtype)
            error, size = (jnp.sum(jnp.square(x.astype(jnp.float32))) for x in (values - stored, values))
            finite = jnp.isfinite(values).reshape(len(values), -1).all(1)
            return stored, finite, jnp.isfinite(stored).all() & (error <= size * _ROUNDING**2)

        self._step = step

    def __call__(self, images: Array) -> tuple[Array, Array, bool]:
        """Return the outputs of a batch.

        Args:
            images: (batch, h, w, 1 or 3) uint8.

        Returns:
            Values (batch, variants, …) in ``dtype``, whether those of each image are finite (batch,), and whether
            ``dtype`` holds them.
        """
        values, finite, fits = map(np.asarray, self._step(self._state, self._devices.divide(images)))
        return values, finite, bool(fits)


def fitting_batch(make: Callable[[int], Forward], shape: tuple[int, ...]) -> int:
    """Return how many images a batch should have on the devices of this host: batches of black images are timed.

    For a CPU take `BATCH` instead, so that results are the same to the bit; another size changes them by rounding.

    Args:
        make: gives the stages for a size of batch.
        shape: of an image, (h, w, c).
    """

    def seconds(size: int) -> float:
        forward, images = make(size), np.zeros((size, *shape), np.uint8)
        forward(images)
        found = []
        for _ in range(3):
            start = time.perf_counter()
            forward(images)
            found.append(time.perf_counter() - start)
        return min(found)

    count = len(devices.here())
    return probe(seconds, [size * count for size in SIZES])


def probe(seconds: Callable[[int], float], sizes: list[int]) -> int:
    """Return the smallest size that is within `GAIN` of the fastest, of those up to the first that gains nothing.

    Args:
        seconds: what a batch of a size takes; raises ``RESOURCE_EXHAUSTED`` where memory is too small.
        sizes: to try, rising.

    Raises:
        JaxRuntimeError: not even the smallest fits.
    """
    rates: dict[int, float] = {}
    for size in sizes:
        try:
            rate = size / seconds(size)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or not rates:
                raise
            break
        gains = rate >= GAIN * max(rates.values(), default=0)
        rates[size] = rate
        if not gains:
            break
    return min(size for size, rate in rates.items() if GAIN * rate >= max(rates.values()))
