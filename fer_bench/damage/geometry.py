"""What hides or moves a face: a bar over eyes or mouth, another crop, a rotation.

Points are (x, y) in pixels; the centre of the first pixel is (0.5, 0.5). Beyond the image lies its nearest pixel.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from fer_bench.faces.align import TEMPLATE

EYES_APART = float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
"""Distance between the eyes as a share of the shorter side, where landmarks are not known: that of an aligned face."""


def hide(
    image: jax.Array, key: jax.Array, levels: jax.Array, size: jax.Array, landmarks: jax.Array, part: str
) -> jax.Array:
    """Return an image with a black bar over a part of the face, along the line between the eyes; at random where no
    landmarks are known.

    Args:
        image: (h, w, c) float32, padded.
        key: of jax's.
        levels: (2,), width and height of the bar in distances between the eyes.
        size: (2,) height and width of the image, pixels.
        landmarks: (5, 2) as in `fer_bench.faces.detector.Face`; NaN where they are not known.
        part: ``eyes`` or ``mouth``.
    """
    has_landmarks = jnp.isfinite(landmarks).all()
    left, right = (landmarks[0], landmarks[1])
    middle = (left + right) / 2 if part == "eyes" else (landmarks[3] + landmarks[4]) / 2
    apart = jnp.where(has_landmarks, jnp.hypot(*(right - left)), EYES_APART * size.min())
    tilt = jnp.where(has_landmarks, jnp.arctan2(right[1] - left[1], right[0] - left[0]), 0.0)
    width, height = levels * apart
    # Where the bar may be anywhere, it lies inside of the image, as far as it fits.
    extent, whole = jnp.minimum(jnp.stack([width, height]), size[::-1]), size[::-1].astype(jnp.float32)
    anywhere = extent / 2 + jax.random.uniform(key, (2,), jnp.float32) * (whole - extent)
    x0, y0 = jnp.where(has_landmarks, middle, anywhere)
    right_of, below = _centres(image.shape[1]) - x0, (_centres(image.shape[0]) - y0)[:, None]
    along = right_of * jnp.cos(tilt) + below * jnp.sin(tilt)
    across = below * jnp.cos(tilt) - right_of * jnp.sin(tilt)
    inside = (jnp.abs(along) <= width / 2) & (jnp.abs(across) <= height / 2)
    return jnp.where(inside[..., None], 0.0, image)


def jitter(image: jax.Array, key: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return an image that is shifted and zoomed.

    Args:
        image: (h, w, c) float32, padded.
        key: of jax's; draws the direction of the shift, and how far the zoom goes to either side.
        levels: (2,), the shift as a share of the shorter side, and the largest zoom as a logarithm.
        size: (2,) height and width, pixels.
    """
    turn, far = jax.random.uniform(key, (2,), jnp.float32, -1, 1)
    shift = levels[0] * size.min() * jnp.stack([jnp.cos(math.pi * turn), jnp.sin(math.pi * turn)])
    return _sample(image, size, jnp.eye(2) * jnp.exp(levels[1] * far), shift)


def rotate(image: jax.Array, key: jax.Array, levels: jax.Array, size: jax.Array) -> jax.Array:
    """Return an image that is rotated around its middle by ``levels`` (1,) degrees, to a side that is drawn."""
    side = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
    angle = side * levels[0] * (math.pi / 180)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _sample(image, size, jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])]), jnp.zeros(2))


def _sample(image: jax.Array, size: jax.Array, matrix: jax.Array, shift: jax.Array) -> jax.Array:
    """Return the image whose point p shows the point ``matrix @ (p - middle) + middle + shift``; bilinear."""
    height, width = size[0], size[1]
    x, y = _centres(image.shape[1]) - width / 2, (_centres(image.shape[0]) - height / 2)[:, None]
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + width / 2 + shift[0] - 0.5
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + height / 2 + shift[1] - 0.5
    from_x, from_y = jnp.clip(from_x, 0, width - 1), jnp.clip(from_y, 0, height - 1)
    x0, y0 = jnp.floor(from_x).astype(jnp.int32), jnp.floor(from_y).astype(jnp.int32)
    x1, y1 = jnp.minimum(x0 + 1, width - 1), jnp.minimum(y0 + 1, height - 1)
    part_x, part_y = (from_x - x0)[..., None], (from_y - y0)[..., None]
    upper = image[y0, x0] * (1 - part_x) + image[y0, x1] * part_x
    lower = image[y1, x0] * (1 - part_x) + image[y1, x1] * part_x
    return upper * (1 - part_y) + lower * part_y


def _centres(count: int) -> jax.Array:
    return jnp.arange(count, dtype=jnp.float32) + 0.5
