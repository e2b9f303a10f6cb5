"""JPEG as Pillow writes and reads it: quantised cosine transforms of 8 x 8 pixels, colour at half of the resolution.

ITU-T T.81 (1992), annex A.3 and tables K.1 and K.2; the entropy coding loses nothing and is left out. Whole numbers are
rounded where the Independent JPEG Group's library rounds them, in its transform of 13 fractional bits (C. Loeffler,
A. Ligtenberg and G. Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989), its colours of
16 fractional bits and its interpolation of colour. So the pixels are those of Pillow's decoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array

BLOCK = 8
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Steps of the quantiser at quality 50, by vertical and horizontal frequency: table K.1."""
CHROMINANCE = np.full((BLOCK, BLOCK), 99)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""Likewise of colour: table K.2."""
TO_YCC = np.rint(
    2**16 * np.array([[0.299, 0.587, 0.114], [-0.16874, -0.33126, 0.5], [0.5, -0.41869, -0.08131]])
).astype(np.int32)
TO_RGB = np.rint(2**16 * np.array([[1, 0, 1.402], [1, -0.34414, -0.71414], [1, 1.772, 0]])).astype(np.int32)
"""Between red, green, blue and luminance, blue and red difference, with 16 fractional bits: JFIF 1.02."""
BITS, MORE = 13, 2
"""Fractional bits of the transform, and of what its first pass hands to the second."""


def _transform() -> Array:
    """Return the (8, 8) cosine transform, times the root of 8 and 2**13, as sums of the rounded factors of the paper's
    flow graph: frequencies by pixels, int32.
    """
    cosines = [math.sqrt(2) * math.cos(k * math.pi / 16) for k in range(BLOCK)]

    def rounded(*signs: tuple[int, int]) -> int:
        return round(2**BITS * sum(sign * cosines[k] for k, sign in signs))

    first, second, third, fourth = np.eye(BLOCK, dtype=np.int32)[:4] + np.eye(BLOCK, dtype=np.int32)[:3:-1]
    outer, inner = first - fourth, second - third
    both = rounded((6, 1)) * (outer + inner)
    even = [
        (first + second + third + fourth) << BITS,
        both + rounded((2, 1), (6, -1)) * outer,
        (first + fourth - second - third) << BITS,
        both - rounded((2, 1), (6, 1)) * inner,
    ]
    seven, six, five, four = np.eye(BLOCK, dtype=np.int32)[:4] - np.eye(BLOCK, dtype=np.int32)[:3:-1]
    shared = rounded((3, 1)) * (four + five + six + seven)
    ends, middle = (
        -rounded((3, 1), (7, -1)) * (four + seven),
        -rounded((1, 1), (3, 1)) * (five + six),
    )
    left, right = (
        shared - rounded((3, 1), (5, 1)) * (four + six),
        shared - rounded((3, 1), (5, -1)) * (five + seven),
    )
    odd = [
        rounded((1, 1), (3, 1), (5, -1), (7, -1)) * seven + ends + right,
        rounded((1, 1), (3, 1), (5, 1), (7, -1)) * six + middle + left,
        rounded((1, 1), (3, 1), (5, -1), (7, 1)) * five + middle + right,
        rounded((1, -1), (3, 1), (5, 1), (7, -1)) * four + ends + left,
    ]
    return np.stack([row for pair in zip(even, odd, strict=True) for row in pair])


TRANSFORM = _transform()


def compress(image: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return an image as it comes out of a JPEG file.

    Args:
        image: (h, w, 1 or 3) float32, whole numbers, padded by its nearest pixel to multiples of 16.
        levels: (1,), the quality, 1 to 100.
        size: (2,) height and width of the image, pixels.

    Returns:
        Whole numbers, int32; 0 to 255 once they are clipped.
    """
    quality = levels[0].astype(jnp.int32)
    scale = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    luminance, chrominance = (jnp.clip((table * scale + 50) // 100, 1, 255) for table in (LUMINANCE, CHROMINANCE))
    values = image.astype(jnp.int32)
    if image.shape[-1] == 1:
        return _quantise(values[..., 0], luminance)[..., None]
    grey, *colours = _mix(values, TO_YCC, (1 << 15, *([(128 << 16) + (1 << 15) - 1] * 2)))
    planes = [_enlarge(_quantise(_halve(plane, size), chrominance), size) - 128 for plane in colours]
    return jnp.stack(_mix(jnp.stack([_quantise(grey, luminance), *planes], -1), TO_RGB, [1 << 15] * 3), -1)


def _mix(image: jax.Array, matrix: Array, more: Sequence[int]) -> list[jax.Array]:
    """Return planes that mix the channels of an image (h, w, 3) by 16 fractional bits, with ``more`` of them added."""
    red, green, blue = (image[..., channel] for channel in range(3))
    return [
        (first * red + second * green + third * blue + added) >> 16
        for (first, second, third), added in zip(matrix.tolist(), more, strict=True)
    ]


def _quantise(plane: jax.Array, steps: jax.Array) -> jax.Array:
    """Return a (h, w) plane of 0 to 255 whose cosine transforms are whole multiples of (8, 8) steps."""
    height, width = plane.shape
    blocks = plane.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK) - 128
    rows = _descale(jnp.einsum("vx,aybx->abyv", TRANSFORM, blocks), BITS - MORE)
    shares = _descale(jnp.einsum("uy,abyv->abuv", TRANSFORM, rows), BITS + MORE)  # eight times the orthonormal ones
    whole = jnp.sign(shares) * ((jnp.abs(shares) + 4 * steps) // (8 * steps)) * steps
    columns = _descale(jnp.einsum("uy,abuv->abyv", TRANSFORM, whole), BITS - MORE)
    pixels = _descale(jnp.einsum("vx,abyv->aybx", TRANSFORM, columns), BITS + MORE + 3)
    return jnp.clip(pixels + 128, 0, 255).reshape(height, width)


def _descale(values: jax.Array, bits: int) -> jax.Array:
    """Return whole numbers over 2**bits, a half rounded up."""
    return (values + (1 << (bits - 1))) >> bits


def _halve(plane: jax.Array, size: jax.Array) -> jax.Array:
    """Return the means of 2 x 2 pixels, in whole blocks; a half is rounded down in even columns and up in odd ones."""
    height, width = plane.shape
    sums = plane.reshape(height // 2, 2, width // 2, 2).sum((1, 3))
    halved = (sums + 1 + jnp.arange(width // 2) % 2) >> 2
    return halved[jnp.minimum(jnp.arange(height // 2), (size[0] + 1) // 2 - 1)]


def _enlarge(plane: jax.Array, size: jax.Array) -> jax.Array:
    """Return a plane of twice the size: each pixel three quarters of the nearest and one of the next in each direction.

    Of sixteenths 8 are added in even columns and 7 in odd ones, before the rest is cut off.
    """
    down, right = jnp.arange(2 * plane.shape[0]), jnp.arange(2 * plane.shape[1])
    last = (size + 1) // 2 - 1
    far_down, far_right = (
        jnp.clip(at // 2 + 2 * (at % 2) - 1, 0, end) for at, end in ((down, last[0]), (right, last[1]))
    )
    columns = 3 * plane[down // 2] + plane[far_down]
    return (3 * columns[:, right // 2] + columns[:, far_right] + 8 - right % 2) >> 4
