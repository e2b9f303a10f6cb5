"""A picture in face coordinates, and shapes with smooth edges on it.

Only sums, products, quotients, square roots, remainders and comparisons of float32 touch pixels: IEEE 754 rounds each
of them in one way, so that no processor and no numpy version draws a different picture. (Sines and cosines of the pose
come from the C library; where one differs in its last bit, a pixel may differ by one level.)
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, sin

import numpy as np

from fer_bench_datasets.synthetic.anatomy import Colour
from fer_bench_datasets.synthetic.scene import Scene

Field = np.ndarray
"""A float32 array (h, w)."""
Window = tuple[slice, slice]
"""Rows and columns of a rectangle of pixels."""

_DEPTH = 0.55
_BEND_U, _BEND_V = 0.8, 0.35


def clip(x: Field) -> Field:
    """Clip ``x`` to [0, 1] in place and return it."""
    np.maximum(x, 0.0, out=x)
    return np.minimum(x, 1.0, out=x)


def edge(distance: Field, soft: float) -> Field:
    """Return the coverage of pixels at this signed distance (negative inside) from an edge ``soft`` wide."""
    x = distance * (-1.0 / soft)
    x += 0.5
    return clip(x)


def between(above: Field, below: Field, soft: float) -> Field:
    """Return the coverage of a strip, given the distances below its upper and above its lower edge, positive inside.

    Strips thinner than ``soft`` come out faint rather than thick, as if the picture had been drawn larger and shrunk.
    """
    return np.maximum(edge(-above, soft) + edge(-below, soft) - 1.0, 0.0)


def bump(x: Field) -> Field:
    """Return a smooth bump that is 1 at 0 and 0 beyond ±1: (1 - x²)²."""
    y = 1.0 - x * x
    np.maximum(y, 0.0, out=y)
    return y * y


@lru_cache(maxsize=8)
def _pixel_centres(size: int) -> Field:
    return (np.arange(size, dtype=np.float32) + 0.5) / size


class Canvas:
    """A picture under way.

    Attributes:
        size: side, pixels.
        scene: what is photographed.
        slide: how far a unit of depth moves to the right and down as the head turns.
        rgb: (3, s, s) float32, nominally in [0, 1].
        x: (s, s) horizontal head coordinates, the tilt undone, the turn not.
        y: (s, s) vertical ones, positive downwards.
        u: (s, s) horizontal coordinates on the face, the turn undone: where features are.
        v: (s, s) vertical ones.
        soft: width of an edge in face units: the wider of a pixel and the lens blur.
        shadow: (s, s) how much darker relief and stubble make the skin; negative for highlights.
    """

    def __init__(self, size: int, scene: Scene):
        self.size = size
        self.soft = scene.span * max(1.0 / size, scene.blur)
        self.scene = scene
        self._turn = (cos(scene.roll), sin(scene.roll))
        self.slide = (_DEPTH * sin(scene.yaw), _DEPTH * sin(scene.pitch))
        self._squash = (cos(scene.yaw), cos(scene.pitch))
        c, s = self._turn
        grid = _pixel_centres(size)
        across = (grid - (scene.centre[0])) * scene.span
        down = (grid - (scene.centre[1])) * scene.span
        self.x = (across * c)[None, :] + (down * s)[:, None]
        self.y = (down * c)[:, None] - (across * s)[None, :]
        self.u, self.v = self._unturn()
        self.rgb = np.empty((3, size, size), np.float32)
        self.shadow = np.zeros((size, size), np.float32)

    def _unturn(self) -> tuple[Field, Field]:
        """Invert the turn of the head by two steps of fixed-point iteration on its depth."""
        (kx, ky), (cx, cy) = self.slide, self._squash
        u, v = self.x, self.y
        for _ in range(2):
            depth = np.maximum(1.0 - _BEND_U * (u * u) - _BEND_V * (v * v), -0.5)
            u = (self.x - depth * kx) * (1.0 / cx)
            v = (self.y - depth * ky) * (1.0 / cy)
        return u, v

    def locate(self, u: float, v: float) -> tuple[float, float]:
        """Return the column and row, in pixels, of a point on the face."""
        depth = max(1.0 - _BEND_U * u * u - _BEND_V * v * v, -0.5)
        x, y = u * self._squash[0] + depth * self.slide[0], v * self._squash[1] + depth * self.slide[1]
        c, s = self._turn
        across, down = x * c - y * s, x * s + y * c
        scale = self.size / self.scene.span
        return across * scale + self.scene.centre[0] * self.size, down * scale + self.scene.centre[1] * self.size

    def window(self, u0: float, u1: float, v0: float, v1: float) -> Window:
        """Return the pixels that may show a rectangle of the face."""
        margin = self.soft + 0.03
        corners = [self.locate(u, v) for u in (u0 - margin, u1 + margin) for v in (v0 - margin, v1 + margin)]
        columns, rows = zip(*corners, strict=True)
        top, bottom = max(0, int(min(rows))), min(self.size, int(max(rows)) + 2)
        left, right = max(0, int(min(columns))), min(self.size, int(max(columns)) + 2)
        return slice(top, max(top, bottom)), slice(left, max(left, right))

    def paint(self, cover: Field, colour: Colour, where: Window | None = None) -> None:
        """Lay ``colour`` over the picture (or a window of it) with this coverage."""
        rgb = self.rgb if where is None else self.rgb[:, where[0], where[1]]
        rgb += cover * (np.array(colour, np.float32)[:, None, None] - rgb)

    def furrow(self, where: Window, distance: Field, width: float, strength: Field | float) -> None:
        """Darken skin along a line, given each pixel's distance from it; a negative strength makes a highlight."""
        wide = (width * width + self.soft * self.soft) ** 0.5
        line = bump(distance * (1.0 / wide))
        self.shadow[where] += line * (strength * (width / wide))
