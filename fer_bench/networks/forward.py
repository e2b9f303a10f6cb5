"""The frozen stages as a compiled function of a batch, and the batch that fills the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
"""Images that go to a GPU or TPU at once, and run together, times the number of devices."""
FILLING = 128 * 299**2
"""Pixels of input that fill a GPU: an H100 takes 5,001 images of 299 pixels a second in batches of 128 and 5,062 in
batches of 256 (Xception in bfloat16)."""
HELD = 32
"""Bytes of memory that a pass is taken to need for each byte of the largest stage output: layers in a stage are wider
than its ends, and several are held. On a CPU, Xception needs 23, mini-Xception 12, ViT-Ti 10 and MobileNet 2."""
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
                jnp.stack([by_stop[output.stop] for by_stop in variants[: output.variants]], axis=1)
                for output in outputs
            ]

        @partial(jax.jit, compiler_options=devices.compiler_options())
        def step(state: Any, images: jax.Array) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
            parts = images.reshape(-1, micro_batch, *images.shape[1:])
            pieces = jax.lax.map(lambda part: run(state, part), parts)
            return [_keep(output, jnp.concatenate(values)) for output, values in zip(outputs, pieces, strict=True)]

        self._step = step

    def __call__(self, images: Array) -> list[tuple[Array, Array, Array]]:
        """Return what is kept of a batch.

        Args:
            images: (batch, h, w, 1 or 3) uint8.

        Returns:
            For each output its values (batch, variants, …) in its ``dtype``, whether those of each image are finite
            (batch,), and whether half precision holds them (batch, variants).
        """
        results = self._step(self._state, self._devices.divide(images))
        return [_round(output, arrays) for output, arrays in zip(self._outputs, results, strict=True)]


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
            inputs = [np.ascontiguousarray(image[:, ::-1]) for image in images] if variant else images
            parts = [self._features(inputs[at : at + self.batch]) for at in range(0, len(inputs), self.batch)]
            variants.append(np.concatenate(parts))
        results = [self._keep(output, np.stack(variants[: output.variants], axis=1)) for output in self._outputs]
        return [_round(output, arrays) for output, arrays in zip(self._outputs, results, strict=True)]

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
    axes = tuple(range(2, values.ndim))
    error, size = (jnp.sum(jnp.square(x.astype(jnp.float32)), axes) for x in (values - half, values))
    fits = jnp.isfinite(half).all(axes) & (error <= size * ROUNDING**2)
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


def accelerator_batch(pixels: int, output_bytes: int, free: int | None, count: int) -> int:
    """Return how many images a batch should have on a GPU or TPU; nothing is compiled to find it.

    For a CPU take `BATCH` instead, so that results are the same to the bit; another size changes them by rounding.

    Args:
        pixels: of an image, as the network takes it.
        output_bytes: of an image's largest stage output.
        free: bytes of memory of a device; None where it does not say.
        count: devices that share a batch.

    Returns:
        The smallest of `SIZES` that fills a device, or the largest below it that memory should hold, for all devices.
    """
    filling = next((size for size in SIZES if size * pixels >= FILLING), SIZES[-1])
    fits = [size for size in SIZES if free is None or size * output_bytes * HELD <= free]
    return count * min(filling, fits[-1] if fits else SIZES[0])
