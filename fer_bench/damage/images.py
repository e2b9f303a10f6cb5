"""Corrupt stored images on the device, each by itself: what an image becomes does not depend on its batch.

Images are padded to a few shapes, so that XLA compiles a kind of corruption once for many sizes.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array
from fer_bench.corruption import KINDS, Corruption
from fer_bench.damage import blur, geometry, jpeg, noise, tones

BATCH = 32
"""Images that go to the device at once, as far as they have few pixels."""
PIXELS = 1 << 22
"""Pixels that go to the device at once, unless a single image has more."""
STEP = 16
"""Padded sides are multiples of it: two blocks of JPEG."""
UNKNOWN = np.full((5, 2), np.nan)
"""Landmarks of a face that nobody looked for, or that was not found."""


def corrupt(
    images: Sequence[Array], names: Array, corruption: Corruption, landmarks: Sequence[Array] | None = None
) -> list[Array]:
    """Return corrupted images.

    Args:
        images: n of them, each (h, w, 1 or 3) uint8; sizes may differ.
        names: (n,) of numpy's type ``S32``, which identify the images: equal ones are corrupted alike.
        corruption: what is done.
        landmarks: of each image, (5, 2) as in `fer_bench.faces.detector.Face`, in its pixels; None or NaN where they
            are not known.

    Returns:
        Arrays of the same shapes, uint8.
    """
    corrupted: list[Array] = [np.empty(0)] * len(images)
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number, image in enumerate(images):
        groups[_padded(image.shape[0]), _padded(image.shape[1]), image.shape[2]].append(number)
    words = np.frombuffer(names.astype("S32").tobytes(), ">u4").reshape(len(names), -1)[:, :2].astype(np.uint32)
    points = np.stack([UNKNOWN] * len(images) if landmarks is None else [*landmarks]).astype(np.float32)
    for (height, width, channels), members in groups.items():
        size = max(1, min(BATCH, PIXELS // (height * width)))
        for start in range(0, len(members), size):
            rows = np.array(members[start : start + size])
            filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows))])
            batch = np.zeros((size, height, width, channels), np.uint8)
            sizes = np.array([images[row].shape[:2] for row in filled], np.int32)
            for into, row, (h, w) in zip(batch, filled, sizes, strict=True):
                into[...] = np.pad(images[row], ((0, height - h), (0, width - w), (0, 0)), "edge")
            levels = np.array(KINDS[corruption.kind].levels[corruption.severity - 1], np.float32)
            seed = np.uint32(corruption.seed)
            outputs = np.asarray(_run(corruption.kind, batch, sizes, words[filled], points[filled], levels, seed))
            for row, image, (h, w) in zip(rows, outputs, sizes, strict=False):
                corrupted[row] = np.ascontiguousarray(image[:h, :w])
    return corrupted


def _padded(length: int) -> int:
    """Return the side that an image is padded to: up to an eighth longer, or by less than `STEP`."""
    step = max(STEP, 1 << max(0, length.bit_length() - 4))
    return -(-length // step) * step


@functools.partial(jax.jit, static_argnums=0)
def _run(
    kind: str,
    images: jax.Array,
    sizes: jax.Array,
    words: jax.Array,
    landmarks: jax.Array,
    levels: jax.Array,
    seed: jax.Array,
) -> jax.Array:
    """Corrupt a batch of padded images; on a CPU one after another, which takes as long and rounds alike everywhere."""

    def one(image: jax.Array, size: jax.Array, name: jax.Array, points: jax.Array) -> jax.Array:
        key = jax.random.key(seed, impl="threefry2x32")
        for word in (jnp.uint32(KINDS[kind].number), name[0], name[1]):
            key = jax.random.fold_in(key, word)
        corrupted = _apply(kind, image.astype(jnp.float32), key, levels, size, points)
        return jnp.clip(jnp.rint(corrupted), 0, 255).astype(jnp.uint8)

    together = None if jax.default_backend() == "cpu" else len(images)
    return jax.lax.map(lambda parts: one(*parts), (images, sizes, words, landmarks), batch_size=together)


def _apply(
    kind: str, image: jax.Array, key: jax.Array, levels: jax.Array, size: jax.Array, landmarks: jax.Array
) -> jax.Array:
    """Return what a kind makes of one padded image (h, w, c) float32; arguments as of the modules of this package."""
    match kind:
        case "gaussian-noise":
            return noise.add_normal(image, key, levels)
        case "shot-noise":
            return noise.draw_photons(image, key, levels)
        case "impulse-noise":
            return noise.set_pixels(image, key, levels)
        case "low-light":
            return noise.darken(image, key, levels)
        case "defocus-blur":
            return blur.average_disc(image, levels, size.min())
        case "motion-blur":
            return blur.average_line(image, key, levels, size.min())
        case "jpeg":
            return jpeg.compress(image, levels, size)
        case "brightness":
            return tones.brighten(image, levels)
        case "contrast":
            return tones.flatten(image, levels, size)
        case "pixelate":
            return tones.tile(image, levels, size)
        case "downscaling":
            return tones.shrink(image, levels, size)
        case "occluded-eyes" | "occluded-mouth":
            return geometry.hide(image, key, levels, size, landmarks, KINDS[kind].part)
        case "crop-jitter":
            return geometry.jitter(image, key, levels, size)
        case "rotation":
            return geometry.rotate(image, key, levels, size)
        case _:
            raise ValueError(f"no kind of corruption is called {kind!r}")
