"""Light and detail: brighter, flatter, in a mosaic, from few pixels."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

BITS = 22
"""Fractional bits of the weights of a resized image."""


def brighten(image: jax.Array, levels: jax.Array) -> jax.Array:
    """Add ``levels`` (1,) grey levels to every value."""
    return image + levels[0]


def flatten(image: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Bring every value nearer to the mean of its channel by the factor ``levels`` (1,).

    Args:
        image: (h, w, c) float32, padded.
        levels: the factor.
        size: (2,) height and width of the image without what it is padded with.
    """
    rows, columns = jnp.arange(image.shape[0]) < size[0], jnp.arange(image.shape[1]) < size[1]
    inside = (rows[:, None] & columns)[..., None]
    mean = jnp.where(inside, image, 0).sum((0, 1)) / (size[0] * size[1])
    return mean + levels[0] * (image - mean)


def tile(image: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return an image of equal squares, each the mean of its pixels.

    Sizes and weights are those of Pillow's ``BOX``, and ``NEAREST`` on the way back.

    Args:
        image: (h, w, c) float32, padded; likewise below.
        levels: (1,), squares along the shorter side.
        size: (2,) height and width, pixels.
    """
    small = _shrunk(levels, size)
    image = _resize(image, size, small, _box)
    # A pixel whose centre lies between two squares is in the first, as among the weights.
    rows, columns = (
        jnp.clip(-((-2 * jnp.arange(image.shape[axis]) - 1) * small[axis] // (2 * size[axis])) - 1, 0, small[axis] - 1)
        for axis in (0, 1)
    )
    return image[rows][:, columns]


def shrink(image: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return an image that was made smaller, to ``levels`` (1,) pixels of the shorter side, and larger again.

    Sizes and weights are those of Pillow's ``BILINEAR``, which looks at every pixel where it makes an image smaller.
    """
    small = _shrunk(levels, size)
    return _resize(_resize(image, size, small, _triangle), small, size, _triangle)


def _shrunk(levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return height and width of the smaller image, at least 1; those of the image where it is no larger."""
    share = jnp.minimum(levels[0] / size.min(), 1)
    return jnp.maximum(jnp.rint(size * share), 1).astype(jnp.int32)


_Weigh = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""From distances of centres, old and new length to weights that are not scaled, all whole numbers."""


def _resize(image: jax.Array, size: jax.Array, target: jax.Array, weigh: _Weigh) -> jax.Array:
    """Return an image of another size in an array of the same, as Pillow makes it: first along rows, then along
    columns, with whole grey levels in between.
    """
    values = image.astype(jnp.int32)
    for axis, form in ((1, "oi,hic->hoc"), (0, "oi,iwc->owc")):
        weights = _weights(image.shape[axis], size[axis], target[axis], weigh)
        values = jnp.clip((jnp.einsum(form, weights, values) + (1 << (BITS - 1))) >> BITS, 0, 255)
    return values.astype(jnp.float32)


def _weights(count: int, length: jax.Array, target: jax.Array, weigh: _Weigh) -> jax.Array:
    """Return the share of each input pixel in each output pixel, (count, count) int32 with `BITS` fractional bits.

    It is a long division of whole numbers: the last bit of a float would turn ties of grey levels.
    """
    at, to = jnp.arange(count)[None], jnp.arange(count)[:, None]
    # Distance of the centres, times twice the wanted length.
    away = (2 * at + 1) * target - (2 * to + 1) * length
    weights = jnp.where(at < length, weigh(away, length, target), 0)
    total, shares = jnp.maximum(weights.sum(1, keepdims=True), 1), jnp.zeros_like(weights)
    for bits in (6, 6, 6, BITS - 18):
        shares, weights = (shares << bits) + (weights << bits) // total, (weights << bits) % total
    return shares + (2 * weights >= total)


def _box(away: jax.Array, length: jax.Array, target: jax.Array) -> jax.Array:
    del target
    return ((away > -length) & (away <= length)).astype(jnp.int32)


def _triangle(away: jax.Array, length: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.maximum(0, 2 * jnp.maximum(length, target) - jnp.abs(away))
