"""The frozen stages as a compiled function of a batch, and the batch that fills the device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.networks import devices
from fer_bench.networks.backbone import Backbone

BATCH = 32
"""Images that go to a CPU at once."""
PIXELS = 8 * 149**2
"""Pixels of input that run together on a CPU, about: activations stay in cache, and products have many rows. At 71, 149
and 299 pixels (Xception, 2 cores with AMX) two images together take 4.6, 9.5 and 31.6 ms each, four 3.4, 8.7 and 31.9,
eight 2.9, 8.2 and 35.3, sixteen 2.8, 8.6 and 40.9."""
SIZES = (32, 64, 128, 256, 512, 1024)
"""Images that go to a GPU or TPU at once, and run together: what `probe` tries, times the number of devices."""
GAIN = 1.05
"""A larger batch must be faster by this factor, since it takes more memory."""
ROUNDING = 2.0**-10
"""Half precision does not hold an image whose values lose more than this share by rounding (root mean squares): numbers
within its range lose at most 2**-11, smaller ones up to all."""


@dataclass(frozen=True)
class Output:
    """What is kept of a pass.

    Attributes:
        stop: after how many stages; all of them give the features.
        variants: 1, or 2 for the mirrored image beside each.
        dtype: float16 or float32.
        rounded: whether the values of an image that half precision holds are rounded to it, in either ``dtype``: what
            is kept of an image does not depend on the others.
    """

    stop: int
    variants: int
    dtype: np.dtype[Any]
    rounded: bool = True


class Forward:
    """The first stages of a backbone on the devices of this host, compiled for batches of one size.

    Args:
        backbone: gives the stages and their numbers.
        outputs: what is kept.
        batch: images in a batch.
    """

    def __init__(self, backbone: Backbone, outputs: Sequence[Output], batch: int = BATCH):
        self.batch, self._outputs, self._devices = batch, outputs, devices.available()
        last = max(output.stop for output in outputs)
        self._state = self._devices.copy({stage: backbone.state[stage] for stage in backbone.stages[:last]})
        micro_batch = batch if devices.accelerated() else math.gcd(batch, _together(backbone.input_size))

        def run(state: Any, images: jax.Array) -> list[jax.Array]:
            variants: list[dict[int, jax.Array]] = []
            for variant in range(max(output.variants for output in outputs)):
                stops = {output.stop for output in outputs if output.variants > variant}
                variants.append(backbone.outputs(state, images[:, :, ::-1] if variant else images, stops))
            return [
                jnp.stack([made[output.stop] for made in variants[: output.variants]], axis=1) for output in outputs
            ]

        @jax.jit
        def step(state: Any, images: jax.Array) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
            parts = images.reshape(-1, micro_batch, *images.shape[1:])
            made = jax.lax.map(lambda part: run(state, part), parts)
            return [_keep(output, jnp.concatenate(values)) for output, values in zip(outputs, made, strict=True)]

        self._step = step

    def __call__(self, images: Array) -> list[tuple[Array, Array, Array]]:
        """Return what is kept of a batch.

        Args:
            images: (batch, h, w, 1 or 3) uint8.

        Returns:
            For each output its values (batch, variants, …) in its ``dtype``, whether those of each image are finite
            (batch,), and whether half precision holds them (batch, variants).
        """
        made = self._step(self._state, self._devices.divide(images))
        return [_round(output, arrays) for output, arrays in zip(self._outputs, made, strict=True)]


class Extraction:
    """The extractor of a frozen-only backbone in the place of a `Forward`.

    Args:
        backbone: gives the extractor.
        outputs: what is kept, all of it features.
    """

    def __init__(self, backbone: Backbone, outputs: Sequence[Output]):
        assert backbone.extractor is not None
        self.batch, self._backbone, self._outputs = backbone.extractor.batch, backbone, outputs
        self._extract, self._keep = backbone.extractor, jax.jit(_keep, static_argnums=0)

    def __call__(self, images: Sequence[Array]) -> list[tuple[Array, Array, Array]]:
        """Return what is kept of some images, each (h, w, 3) uint8; the rest is as for `Forward`.

        Raises:
            PluginError: the extractor returns other features than it declares.
        """
        variants: list[Array] = []
        for variant in range(max(output.variants for output in self._outputs)):
            shown = [np.ascontiguousarray(image[:, ::-1]) for image in images] if variant else images
            parts = [self._features(shown[at : at + self.batch]) for at in range(0, len(shown), self.batch)]
            variants.append(np.concatenate(parts))
        made = [self._keep(output, np.stack(variants[: output.variants], axis=1)) for output in self._outputs]
        return [_round(output, arrays) for output, arrays in zip(self._outputs, made, strict=True)]

    def _features(self, images: Sequence[Array]) -> Array:
        features = np.asarray(self._extract(images))
        declared = len(images), self._backbone.feature_size
        if features.shape != declared or features.dtype != np.float32:
            raise PluginError(
                f"Backbone {self._backbone.name!r} returned features {features.shape} {features.dtype}; it declares "
                f"{declared} float32."
            )
        return features


def _keep(output: Output, values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return values (b, variants, …) in the type that is kept, which images are finite, and which half precision holds.

    The last has a value for each image and variant.
    """
    finite = jnp.isfinite(values).reshape(len(values), -1).all(1)
    # The barrier keeps XLA from taking the numbers before rounding for those after it.
    half = jax.lax.optimization_barrier(values.astype(jnp.float16))
    rest = tuple(range(2, values.ndim))
    error, size = (jnp.sum(jnp.square(x.astype(jnp.float32)), rest) for x in (values - half, values))
    fits = jnp.isfinite(half).all(rest) & (error <= size * ROUNDING**2)
    return half if output.dtype == np.float16 else values.astype(output.dtype), finite, fits


def _round(output: Output, arrays: Sequence[jax.Array]) -> tuple[Array, Array, Array]:
    """Return what `_keep` made on the host, its values rounded where the output says so."""
    values, finite, fits = map(np.asarray, arrays)
    if output.rounded and output.dtype != np.float16 and fits.any():
        values = values.copy()
        values[fits] = values[fits].astype(np.float16)
    return values, finite, fits


def _together(input_size: int) -> int:
    """Return how many images of a batch run together on a CPU: the power of two that is closest to `PIXELS`."""
    return 2 ** min(4, max(0, round(math.log2(PIXELS / input_size**2))))


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
        times = []
        for _ in range(3):
            start = time.perf_counter()
            forward(images)
            times.append(time.perf_counter() - start)
        return min(times)

    count = len(devices.available())
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
