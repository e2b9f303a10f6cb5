"""The three nets of MTCNN as pure functions (Zhang et al., 2016, arXiv:1604.02878, figure 2).

All take pixels as ``(value - 127.5) / 128``. The weights were trained in MATLAB's column order: fully connected layers
read a feature map as (width, height, channels).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

CELL = 12
"""Side of the window of a P-Net output, pixels."""
STRIDE = 2
"""Distance of neighbouring P-Net windows, pixels."""
R_SIDE, O_SIDE = 24, 48
"""Sides of the inputs of R-Net and O-Net, pixels."""

Arrays = Sequence[jax.Array]


def pnet(weights: Arrays, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Propose faces in every window of pictures.

    Args:
        weights: 13 arrays.
        x: (b, h, w, 3).

    Returns:
        Box offsets (b, h', w', 4), as shares of the window: x0, y0, x1, y1; probability of a face (b, h', w').
    """
    w = weights
    x = _pool(_prelu(_conv(x, w[0], w[1]), w[2]), 2, "SAME")
    x = _prelu(_conv(x, w[3], w[4]), w[5])
    x = _prelu(_conv(x, w[6], w[7]), w[8])
    return _conv(x, w[9], w[10]), _face(_conv(x, w[11], w[12]))


def rnet(weights: Arrays, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Refine boxes.

    Args:
        weights: 16 arrays.
        x: (n, 24, 24, 3).

    Returns:
        Box offsets (n, 4) as shares of the box; probability of a face (n,).
    """
    w = weights
    x = _pool(_prelu(_conv(x, w[0], w[1]), w[2]), 3, "SAME")
    x = _pool(_prelu(_conv(x, w[3], w[4]), w[5]), 3, "VALID")
    x = _flatten(_prelu(_conv(x, w[6], w[7]), w[8]))
    x = _prelu(x @ w[9] + w[10], w[11])
    return x @ w[12] + w[13], _face(x @ w[14] + w[15])


def onet(weights: Arrays, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Refine boxes and find landmarks.

    Args:
        weights: 21 arrays.
        x: (n, 48, 48, 3).

    Returns:
        Box offsets (n, 4) as shares of the box; landmarks (n, 10) as shares of the box: x of the eye on the left of
        the picture, the eye on the right, the nose, the left and right corner of the mouth, then y of each; probability
        of a face (n,).
    """
    w = weights
    x = _pool(_prelu(_conv(x, w[0], w[1]), w[2]), 3, "SAME")
    x = _pool(_prelu(_conv(x, w[3], w[4]), w[5]), 3, "VALID")
    x = _pool(_prelu(_conv(x, w[6], w[7]), w[8]), 2, "SAME")
    x = _flatten(_prelu(_conv(x, w[9], w[10]), w[11]))
    x = _prelu(x @ w[12] + w[13], w[14])
    return x @ w[15] + w[16], x @ w[17] + w[18], _face(x @ w[19] + w[20])


def _conv(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=dimensions) + bias


def _prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    return jnp.maximum(x, 0) + slope.reshape(-1) * jnp.minimum(x, 0)


def _pool(x: jax.Array, side: int, padding: str) -> jax.Array:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, side, side, 1), (1, 2, 2, 1), padding)


def _flatten(x: jax.Array) -> jax.Array:
    return x.transpose(0, 2, 1, 3).reshape(len(x), -1)


def _face(logits: jax.Array) -> jax.Array:
    return jax.nn.softmax(logits)[..., 1]
