"""Windows of an image that are predicted beside it or instead of it: its middle and its four corners.

A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (NeurIPS
2012), section 4.1: a network predicts five 224-pixel patches of a 256-pixel image, and their predictions are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fer_bench.arrays import Array

WINDOWS: Mapping[str, tuple[int, int]] = {
    "middle": (1, 1),
    "top left": (0, 0),
    "top right": (0, 2),
    "bottom left": (2, 0),
    "bottom right": (2, 2),
}
"""Name of a window -> halves of the free height above it and of the free width to its left."""
SHARE = 7, 8
"""Side of a window as a fraction of the image's: 224 of 256."""


def shape_of(shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the windows of an image of this height and width, in pixels."""
    part, whole = SHARE
    return max(1, shape[0] * part // whole), max(1, shape[1] * part // whole)


def cut(image: Array, window: str) -> Array:
    """Return a window of an image (h, w, channels)."""
    down, right = WINDOWS[window]
    height, width = shape_of((image.shape[0], image.shape[1]))
    top, left = (image.shape[0] - height) * down // 2, (image.shape[1] - width) * right // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])
