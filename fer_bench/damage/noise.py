"""Noise: of the sensor, of few photons, of single pixels, and of a dark image.

Every function takes an image (h, w, c) float32 in grey levels 0 to 255, a key of jax's, and the numbers of a severity;
it returns grey levels that are neither rounded nor clipped. What is drawn does not depend on the severity.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

FEW, MOST = 12, 36
"""Below the first number of expected photons they are counted up to the second, which one image in millions exceeds."""


def add_normal(image: jax.Array, key: jax.Array, levels: jax.Array) -> jax.Array:
    """Add normal noise to every value; ``levels`` (1,) is its standard deviation in grey levels."""
    return image + levels[0] * jax.random.normal(key, image.shape, jnp.float32)


def draw_photons(image: jax.Array, key: jax.Array, levels: jax.Array) -> jax.Array:
    """Draw every value from a Poisson distribution; ``levels`` (1,) is the mean number of photons of a white pixel.

    The number of photons is the quantile of a uniform number: summed up term by term where few are expected, else by
    the expansion of E. A. Cornish and R. A. Fisher (Revue de l'Institut International de Statistique 5, 1938), which is
    off by one photon at most, as where a sum is near the uniform number.
    """
    mean = image * (levels[0] / 255)
    uniform = jax.random.uniform(key, image.shape, jnp.float32, 1e-6, 1 - 1e-6)
    low = jnp.minimum(mean, FEW)
    share = below = jnp.exp(-low)
    few = jnp.zeros_like(mean)
    for photon in range(1, MOST + 1):
        few += uniform > below
        share *= low / photon
        below += share
    z, root = jax.scipy.special.ndtri(uniform), jnp.sqrt(jnp.maximum(mean, FEW))
    many = mean + root * z + (z**2 - 1) / 6 + (z - z**3) / (72 * root)
    return jnp.where(mean < FEW, few, jnp.rint(many)) * (255 / levels[0])


def set_pixels(image: jax.Array, key: jax.Array, levels: jax.Array) -> jax.Array:
    """Make pixels black or white, each as often; ``levels`` (1,) is the share of pixels that change."""
    uniform = jax.random.uniform(key, (*image.shape[:2], 1), jnp.float32)
    return jnp.where(uniform < levels[0] / 2, 0.0, jnp.where(uniform > 1 - levels[0] / 2, 255.0, image))


def darken(image: jax.Array, key: jax.Array, levels: jax.Array) -> jax.Array:
    """Multiply by the first of ``levels`` (2,), then add normal noise whose standard deviation is the second."""
    return add_normal(image * levels[0], key, levels[1:])
