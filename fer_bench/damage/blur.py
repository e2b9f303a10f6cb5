"""Blur: the mean over a disc, as out of focus, and over a line, as of a face that moves.

Beyond the image lies its nearest pixel.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from fer_bench.corruption import KINDS

REACH = {kind: max(levels[0] for levels in KINDS[kind].levels) for kind in ("defocus-blur", "motion-blur")}
"""The largest radius and length, as shares of the shorter side."""


def average_disc(image: jax.Array, levels: jax.Array, side: jax.Array) -> jax.Array:
    """Return the mean over a disc whose edge pixels count in part.

    Args:
        image: (h, w, c) float32, beyond its height and width padded by its nearest pixel; likewise below.
        levels: (1,), the radius as a share of ``side``.
        side: shorter side of the image, pixels.
    """
    reach = math.ceil(REACH["defocus-blur"] * min(image.shape[:2])) + 1
    down, right = _grid(reach)
    distance = jnp.sqrt(down**2 + right**2)
    return _convolve(image, jnp.clip(levels[0] * side + 0.5 - distance, 0, 1))


def average_line(image: jax.Array, key: jax.Array, levels: jax.Array, side: jax.Array) -> jax.Array:
    """Return the mean over a line of random direction that is one pixel wide; ``levels`` (1,) is its length as a share
    of ``side``.
    """
    reach = math.ceil(REACH["motion-blur"] * min(image.shape[:2]) / 2) + 1
    down, right = _grid(reach)
    angle = jax.random.uniform(key, (), jnp.float32, 0, math.pi)
    along = right * jnp.cos(angle) + down * jnp.sin(angle)
    across = down * jnp.cos(angle) - right * jnp.sin(angle)
    ends = jnp.clip(levels[0] * side / 2 + 0.5 - jnp.abs(along), 0, 1)
    return _convolve(image, ends * jnp.clip(1 - jnp.abs(across), 0, 1))


def _grid(reach: int) -> tuple[jax.Array, jax.Array]:
    at = jnp.arange(-reach, reach + 1, dtype=jnp.float32)
    return at[:, None], at[None]


def _convolve(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return the means under a symmetric (k, k) kernel, whose sum becomes 1; by Fourier transforms."""
    reach = len(kernel) // 2
    padded = jnp.pad(image, ((reach, reach), (reach, reach), (0, 0)), "edge").transpose(2, 0, 1)
    shape = padded.shape[1:]
    product = jnp.fft.rfft2(padded) * jnp.fft.rfft2(kernel / kernel.sum(), shape)
    return jnp.fft.irfft2(product, shape)[:, 2 * reach :, 2 * reach :].transpose(1, 2, 0)
