"""Cut a face out of a picture by a similarity transform.

Coordinates are (x, y) in pixels; the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fer_bench.arrays import Array
from fer_bench.faces.parameters import Crop

TEMPLATE = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.82]])
"""Where the eye on the left of the picture, the eye on its right and the middle of the mouth come to lie, as shares of
the side of the crop: brows and chin stay inside."""


def cut(image: Array, box: Array, landmarks: Array, crop: Crop) -> Array:
    """Return the face in ``image``.

    Sampling is bilinear, over an area where the face is made smaller. Outside the picture lies its nearest pixel.

    Args:
        image: (h, w, 1 or 3) uint8.
        box: (4,): x0, y0, x1, y1.
        landmarks: (5, 2): eyes, nose, corners of the mouth; left in the picture comes first.
        crop: how.

    Returns:
        (size, size, 1 or 3) uint8.
    """
    return warp(image, place(box, landmarks, crop), crop.size)


def place(box: Array, landmarks: Array, crop: Crop) -> Array:
    """Return the (2, 3) matrix that brings points of the crop to those of the picture that they show; see `cut`."""
    if crop.method == "align":
        anchors = np.array([landmarks[0], landmarks[1], (landmarks[3] + landmarks[4]) / 2])
        return similarity(TEMPLATE * crop.size, anchors)
    centre = (box[:2] + box[2:]) / 2
    side = (box[2:] - box[:2]).max() * (1 + 2 * crop.margin)
    scale = side / crop.size
    return np.array([[scale, 0, centre[0] - side / 2], [0, scale, centre[1] - side / 2]])


def outside(matrix: Array, size: int, height: int, width: int) -> float:
    """Return the share of a crop that shows no point of its picture, judged by 16 x 16 points.

    Args:
        matrix: (2, 3), from `place`.
        size: of the crop.
        height: of the picture, pixels.
        width: of the picture, pixels.
    """
    at = (np.arange(16) + 0.5) * size / 16
    x = matrix[0, 0] * at + matrix[0, 1] * at[:, None] + matrix[0, 2]
    y = matrix[1, 0] * at + matrix[1, 1] * at[:, None] + matrix[1, 2]
    return float(((x < 0) | (x > width) | (y < 0) | (y > height)).mean())


def whole(image: Array, size: int) -> Array:
    """Return the square in the middle of a picture without a face, in the size of a crop."""
    height, width = image.shape[:2]
    side = min(height, width)
    scale = side / size
    return warp(image, np.array([[scale, 0, (width - side) / 2], [0, scale, (height - side) / 2]]), size)


def similarity(source: Array, target: Array) -> Array:
    """Return the (2, 3) matrix of the rotation, scaling and shift that brings ``source`` closest to ``target``.

    Least squares, without reflection (Umeyama, 1991, doi:10.1109/34.88573); in the plane, a rotation with scaling is a
    product of complex numbers.

    Args:
        source: (n, 2), n at least 2, not all in one place.
        target: (n, 2).
    """
    z, w = source @ [1, 1j], target @ [1, 1j]
    z0, w0 = z.mean(), w.mean()
    a = np.vdot(z - z0, w - w0) / np.vdot(z - z0, z - z0).real
    b = w0 - a * z0
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(image: Array, matrix: Array, size: int) -> Array:
    """Return the (size, size, c) uint8 picture whose point p shows the point ``matrix @ (p, 1)`` of ``image``."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale > 1:  # Bilinear sampling by itself would skip pixels; shrink the picture first, each direction by itself.
        height, width = image.shape[:2]
        small = (max(1, round(width / scale)), max(1, round(height / scale)))
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        image = np.asarray(picture.resize(small, Image.Resampling.BILINEAR)).reshape(small[1], small[0], -1)
        matrix = matrix * np.array([[small[0] / width], [small[1] / height]])
    height, width = image.shape[:2]
    centres = np.arange(size) + 0.5
    x = matrix[0, 0] * centres + matrix[0, 1] * centres[:, None] + matrix[0, 2] - 0.5
    y = matrix[1, 0] * centres + matrix[1, 1] * centres[:, None] + matrix[1, 2] - 0.5
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    lower = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return np.rint(upper * (1 - fy) + lower * fy).astype(np.uint8)
