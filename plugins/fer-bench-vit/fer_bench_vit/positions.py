"""Positions for another size of input, as the families' own code resamples them, as products with two matrices."""

from __future__ import annotations

import math

import numpy as np

from fer_bench.arrays import Array
from fer_bench_vit.architectures import Resampling


def resample(grid: Array, side: int, how: Resampling) -> Array:
    """Return positions for a grid of another side.

    Args:
        grid: (g, g, d) float.
        side: of the result, in patches.
        how: ``bicubic`` as torch's `interpolate` (MAE, SigLIP in transformers), ``antialiased`` as that with
            ``antialias=True`` (timm, open_clip, DINOv2 with registers), or ``offset`` as DINOv2 without registers,
            which adds 0.1 to the side before it divides.

    Returns:
        (side, side, d) float32; the same numbers where the side is the grid's.
    """
    before = grid.shape[0]
    if side == before:
        return grid.astype(np.float32)
    if how == "antialiased":
        matrix = _antialiased(before, side)
    else:
        matrix = _bicubic(before, side, before / (side + 0.1 * (how == "offset")))
    return np.einsum("ig,jh,ghd->ijd", matrix, matrix, grid.astype(np.float64), optimize=True).astype(np.float32)


def _cubic(x: Array, a: float) -> Array:
    """Return the cubic convolution kernel (Keys 1981, eq. 4, with a free parameter)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _bicubic(before: int, after: int, scale: float) -> Array:
    """Return the (after, before) matrix of a cubic interpolation at four points, a = -0.75, edges repeated."""
    matrix = np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * scale - 0.5
        first = math.floor(centre)
        for column in range(first - 1, first + 3):
            matrix[row, min(max(column, 0), before - 1)] += _cubic(np.asarray(centre - column), -0.75)
    return matrix


def _antialiased(before: int, after: int) -> Array:
    """Return the (after, before) matrix of a cubic filter, a = -0.5, that widens where the grid shrinks."""
    scale = before / after
    stretch = max(scale, 1.0)
    matrix = np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * scale
        first = max(int(centre - 2 * stretch + 0.5), 0)
        last = min(int(centre + 2 * stretch + 0.5), before)
        weights = _cubic((np.arange(first, last) - centre + 0.5) / stretch, -0.5)
        matrix[row, first:last] = weights / weights.sum()
    return matrix
