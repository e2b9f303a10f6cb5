"""What is around and in front of the face: background, clothes, hair, glasses, occluders."""

from __future__ import annotations

from math import cos, sin

import numpy as np

from fer_bench_datasets.synthetic.anatomy import Identity, mix
from fer_bench_datasets.synthetic.canvas import Canvas, Field, between, bump, edge
from fer_bench_datasets.synthetic.scene import Scene
from fer_bench_datasets.synthetic.skin import measure_head


def paint_background(canvas: Canvas, scene: Scene) -> None:
    """Fill the picture with a gradient and the scene's shapes, out of focus."""
    grid = (np.arange(canvas.size, dtype=np.float32) + 0.5) / canvas.size
    for plane, first, last in zip(canvas.rgb, *scene.background, strict=True):
        plane[:] = (first + grid * (last - first))[:, None]
    for shape in scene.shapes:
        dx, dy = grid[None, :] - shape.x, grid[:, None] - shape.y
        if shape.stripe:
            cover = np.broadcast_to(edge(np.abs(dx) - (shape.radius * 0.4), 0.04), (canvas.size, canvas.size))
        else:
            cover = edge(np.sqrt(dx * dx + dy * dy) - shape.radius, 0.05)
        canvas.paint(cover, shape.colour)


def paint_body(canvas: Canvas, identity: Identity, scene: Scene) -> None:
    """Draw hair behind the head, neck, shoulders and ears."""
    x, y = canvas.x, canvas.y
    if identity.hair_style in ("long", "curly"):
        fall = 1.5 if identity.hair_style == "long" else 0.45
        a = x * (1.0 / (identity.width + 0.13 + identity.volume))
        b = np.where(y > 0, y * (1.0 / fall), y * (1.0 / 1.2))
        canvas.paint(edge((a * a + b * b - 1.0) * 0.45, canvas.soft), mix(identity.hair, (0, 0, 0), 0.35))
    canvas.paint(
        edge(np.abs(x) - identity.width * 0.55, canvas.soft) * (y > 0.3), mix(identity.skin, (0.1, 0.05, 0.03), 0.38)
    )
    canvas.paint(edge(1.05 - y + x * x * 0.3 - bump(x * (1 / 0.4)) * -0.12, canvas.soft), scene.cloth)
    dx = (np.abs(x + 0.3 * canvas.slide[0]) - identity.width) * (1.0 / (0.6 * identity.ears))
    dy = (y - 0.02) * (1.0 / (1.5 * identity.ears))
    ears = edge((np.sqrt(dx * dx + dy * dy) - 1.0) * 0.08, canvas.soft)
    canvas.paint(ears, mix(identity.skin, (0.25, 0.08, 0.05), 0.2))


def paint_hair(canvas: Canvas, identity: Identity, scene: Scene) -> None:
    """Draw the hair in front of the head, from its outline to the hairline."""
    style = identity.hair_style
    if style == "bald":
        return
    grow = 0.03 + identity.volume * (0.9 if style != "short" else 0.5)
    cap = edge(measure_head(canvas, identity, identity.chin, grow), canvas.soft)
    u, v = canvas.u, canvas.v
    a = u * (1.0 / identity.width)
    aa = np.minimum(a * a, 1.6)
    temple = {"short": 0.42, "receding": 0.5, "fringe": 0.45, "parted": 0.45, "long": 1.3, "curly": 0.85}[style]
    line = identity.hairline + aa * aa * aa * temple
    if style == "receding":
        line -= bump((np.abs(a) - 0.5) * (1 / 0.4)) * 0.2 + 0.1
    elif style == "fringe":
        line += bump(a * (1 / 1.2)) * 0.16 + np.abs((u * 9) % 2.0 - 1.0) * 0.03
    elif style in ("parted", "long"):
        line += a * 0.12 + bump((a + 0.4) * (1 / 0.5)) * -0.14
    elif style == "curly":
        line += np.abs((u * 7 + v * 2) % 2.0 - 1.0) * 0.06
    cover = cap * edge(v - line, canvas.soft + 0.03)
    comb = u * (1.6 - 0.7 * v)
    strands = np.abs(comb * 13.0 % 2.0 - 1.0) * 0.09
    strands += np.abs(comb * 5.3 % 2.0 - 1.0) * 0.08
    strands += 0.86 + canvas.x * (scene.light[0] * scene.light[2])
    strands += bump((v + 0.86) * (1 / 0.2)) * bump(u * (1 / 0.7)) * 0.22
    canvas.rgb += cover * (strands * np.array(identity.hair, np.float32)[:, None, None] - canvas.rgb)


def paint_glasses(canvas: Canvas, identity: Identity) -> None:
    """Draw two rounded frames, a bridge, temples and a faint reflection."""
    if identity.glasses != "yes":
        return
    where = canvas.window(-0.85, 0.85, identity.eye_v - 0.22, identity.eye_v + 0.28)
    side, v = np.abs(canvas.u[where]), canvas.v[where] - (identity.eye_v + 0.02)
    a, b = (side - (identity.eye_u + 0.01)) * (1 / 0.245), v * (1 / 0.175)
    aa, bb = a * a, b * b
    ring = (np.sqrt(np.sqrt(aa * aa + bb * bb)) - 1.0) * 0.2
    lens = edge(ring, canvas.soft)
    canvas.paint(lens * 0.1, (0.85, 0.92, 1.0), where)
    frame = between(ring + 0.016, 0.016 - ring, canvas.soft)
    bar = between(v + 0.06, -0.03 - v, canvas.soft)
    outside = np.maximum(
        edge(side - (identity.eye_u - 0.22), canvas.soft), edge((identity.eye_u + 0.25) - side, canvas.soft)
    ) * edge(side - (identity.width + 0.01), canvas.soft)
    canvas.paint(np.maximum(frame, bar * outside), identity.frame, where)


def _measure_capsule(x: Field, y: Field, x0: float, y0: float, x1: float, y1: float, radius: float) -> Field:
    dx, dy = x1 - x0, y1 - y0
    px, py = x - x0, y - y0
    along = (px * dx + py * dy) * (1.0 / (dx * dx + dy * dy))
    np.maximum(along, 0.0, out=along)
    np.minimum(along, 1.0, out=along)
    px -= along * dx
    py -= along * dy
    return np.sqrt(px * px + py * py) - radius


def paint_occluder(canvas: Canvas, scene: Scene) -> None:
    """Draw a hand, a bar or a lock of hair in front of the face."""
    thing = scene.occluder
    if thing.kind == "none":
        return
    c, s = cos(thing.angle), sin(thing.angle)
    dx, dy = canvas.x - thing.u, canvas.y - thing.v
    x, y = dx * c + dy * s, dy * c - dx * s
    if thing.kind == "hand":
        dark = mix(thing.colour, (0.12, 0.05, 0.03), 0.5)
        palm = _measure_capsule(x, y, 0.0, 0.25, 0.0, 1.2, 0.24)
        parts = [
            _measure_capsule(x, y, -0.18 + 0.12 * k, 0.25, -0.22 + 0.145 * k, -0.22 - 0.07 * (k in (1, 2)), 0.062)
            for k in range(4)
        ]
        for part in (palm, *parts):
            canvas.paint(edge(part - 0.014, canvas.soft) * 0.7, dark)
            canvas.paint(edge(part, canvas.soft), mix(thing.colour, (0.3, 0.12, 0.08), 0.08))
    elif thing.kind == "bar":
        canvas.paint(edge(np.abs(y) - 0.085, canvas.soft), thing.colour)
    else:
        width = 0.1 - np.abs(y - 0.3) * 0.05
        lock = np.abs(x + y * y * 0.12) - width
        cover = edge(lock, canvas.soft + 0.02) * edge(np.abs(y - 0.4) - 0.75, 0.1)
        canvas.paint(cover * 0.92, thing.colour)


def expose(canvas: Canvas, scene: Scene, grain: np.ndarray) -> np.ndarray:
    """Return the finished picture (s, s, 3) uint8: tinted, contrasted, grained and rounded.

    Args:
        canvas: the picture.
        scene: its light and noise.
        grain: (g, g) in [-1, 1): noise on a lattice that any picture size interpolates.
    """
    cells = grain.shape[0] - 2
    place = (np.arange(canvas.size, dtype=np.float32) + 0.5) * (cells / canvas.size)
    low = place.astype(np.int32)
    share = place - low.astype(np.float32)
    rows = grain[low] + (grain[low + 1] - grain[low]) * share[:, None]
    noise = rows[:, low] + (rows[:, low + 1] - rows[:, low]) * share[None, :]
    noise *= scene.grain * 255.0
    noise += 127.5 * (1.0 - scene.contrast) + 0.5
    levels = canvas.rgb * (np.array(scene.tint, np.float32) * (scene.contrast * 255.0))[:, None, None]
    levels += noise
    np.maximum(levels, 0.0, out=levels)
    np.minimum(levels, 255.0, out=levels)
    return np.ascontiguousarray(levels.transpose(1, 2, 0).astype(np.uint8))
