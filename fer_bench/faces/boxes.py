"""Boxes as (n, 4) arrays of x0, y0, x1, y1, in pixels; the edges of pixel i are i and i + 1."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array


def suppress(boxes: Array, scores: Array, most: float) -> Array:
    """Return which boxes stay when each removes those of lower score that it overlaps.

    Greedy non-maximum suppression.

    Args:
        boxes: (n, 4).
        scores: (n,).
        most: intersection over union up to which a lower one stays, 0 to 1.

    Returns:
        Indices, by falling score; of equals, the first.
    """
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = boxes.T
    areas = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest])
        height = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest])
        both = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[best] + areas[rest] - both
        order = rest[both <= most * union]
    return np.asarray(kept, dtype=np.int64)


def shift(boxes: Array, offsets: Array) -> Array:
    """Return boxes moved by ``offsets`` (n, 4), which are shares of their width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.concatenate([sides, sides], axis=1)


def square(boxes: Array) -> Array:
    """Return the squares of the same centres whose side is the longer one of each box."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def main_face(boxes: Array, height: int, width: int) -> int:
    """Return which box shows the person whom the picture is about.

    The largest counts, less a penalty for lying off the centre: the area minus twice the squared distance of the
    centres of box and picture decides; of equals, the first.

    Args:
        boxes: (n, 4), n at least 1.
        height: of the picture, pixels.
        width: of the picture, pixels.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    off = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.array([width / 2, height / 2])
    return int(np.argmax(sides.prod(axis=1) - 2 * (off**2).sum(axis=1)))
