"""The head: outline, light on it, and the furrows that age and action units press into its skin."""

from __future__ import annotations

import numpy as np

from fer_bench_datasets.synthetic.anatomy import Identity
from fer_bench_datasets.synthetic.canvas import Canvas, Field, bump, clip, edge
from fer_bench_datasets.synthetic.posing import Geometry
from fer_bench_datasets.synthetic.scene import Scene

_TOP = -1.08
_MIDDLE = -0.15
_ABSORBED = np.array((0.62, 0.80, 0.88), np.float32)[:, None, None]


def measure_head(canvas: Canvas, identity: Identity, chin: float, grow: float = 0.0) -> Field:
    """Return the signed distance, in face units, from the outline of the head, ``grow`` wider all round."""
    sway = canvas.slide[0] * 0.35
    v = canvas.y - (_MIDDLE + 0.25 * canvas.slide[1])
    x = canvas.x - sway * (v + 0.6)
    below = (v > 0).astype(np.float32)
    down, up = 1.0 / (chin - _MIDDLE + grow), 1.0 / (_MIDDLE - _TOP + grow)
    reach = up + below * (down - up)
    t = v * reach
    tt = t * t
    square = below * identity.squareness
    fall = tt + square * (tt * tt - tt)
    slope = (2.0 + square * (4.0 * tt - 2.0)) * t * reach
    w = 1.0 / (identity.width + grow)
    a = x * w
    implicit = a * a + fall - 1.0
    a *= 2.0 * w
    return implicit / np.sqrt(a * a + slope * slope + 0.3)


def shade_head(canvas: Canvas, identity: Identity, scene: Scene) -> None:
    """Begin the shadow with that of light on a rounded head: darker away from the light and near the outline."""
    lx, ly, depth = scene.light
    nx = canvas.x * (1.0 / (identity.width * 1.1))
    ny = canvas.y * 0.75
    rim = np.minimum(nx * nx + ny * ny, 1.3)
    canvas.shadow += (nx * -lx + ny * -ly) * depth + rim * (0.5 * depth + 0.06)


def press_brow_furrows(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw the lines of the forehead (units 1 and 2) and those between the brows (unit 4)."""
    relief = face.relief
    where = canvas.window(-0.5, 0.5, -0.66, 0.0)
    u, v = canvas.u[where], canvas.v[where]
    brow = min(face.brows[0].middle, face.brows[1].middle)
    uu = u * u
    centre = bump(u * (1 / 0.32))
    sides = bump(u * (1 / 0.6)) - centre
    strength = centre * (0.3 * relief.forehead) + sides * (0.3 * relief.forehead_sides)
    bend = 0.3 * (relief.forehead_sides - relief.forehead) - 0.15
    if relief.forehead + relief.forehead_sides > 0.05:
        rise = (brow - 0.0575) - v + uu * bend
        canvas.furrow(where, rise % 0.065 - 0.0325, 0.018, strength * edge(np.abs(rise - 0.0975) - 0.0975, 0.01))
    if relief.frown > 0.02:
        inner = 0.5 * (face.brows[0].inner + face.brows[1].inner)
        along = bump((v - (inner + 0.02)) * (1 / 0.15)) * (0.55 * relief.frown)
        canvas.furrow(where, np.abs(u) - 0.05, 0.02, along)


def press_eye_furrows(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw sockets, pouches under the eyes and crow's feet (units 6 and 7)."""
    relief = face.relief
    for side, eye in zip((-1.0, 1.0), face.eyes, strict=True):
        centre = side * identity.eye_u
        where = canvas.window(centre - 0.34, centre + 0.34, identity.eye_v - 0.2, identity.eye_v + 0.36)
        out = (canvas.u[where] - centre) * side
        v = canvas.v[where] - identity.eye_v
        t = out * (1.0 / identity.eye_width)
        tt = t * t
        canvas.shadow[where] += bump(out * (1 / 0.27)) * bump((v + 0.03) * (1 / 0.16)) * 0.16
        # The fold above the lid, the pouch below it and the cheek that unit 6 pushes up.
        window = bump(t * 0.75)
        canvas.furrow(where, v + (eye.upper + 0.032) - tt * eye.upper, 0.014, window * 0.3)
        canvas.furrow(where, v - (eye.lower + 0.045) + tt * 0.03, 0.022, window * (0.36 * relief.pouch))
        if relief.cheek > 0.02:
            cheek = bump(out * (1 / 0.22)) * bump((v - 0.22) * (1 / 0.13))
            canvas.shadow[where] -= cheek * (0.16 * relief.cheek)
        if relief.crow > 0.02:
            begin = bump((out - (identity.eye_width + 0.06)) * (1 / 0.07)) * (0.42 * relief.crow)
            ahead = out - identity.eye_width
            fan = np.abs(v) - 0.5 * np.abs(ahead * 0.55 + 0.0165)
            canvas.furrow(where, np.abs(fan) - 0.5 * np.abs(ahead * 0.55 + 0.0165), 0.013, begin)


def press_nose(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw the nose: its sides, tip, wings and nostrils, and the wrinkles of unit 9 across its bridge."""
    tip = identity.nose_tip - face.nose_lift
    half = identity.nose_width * face.nose_flare
    where = canvas.window(-0.3, 0.3, -0.3, tip + 0.12)
    u = canvas.u[where] - 0.22 * canvas.slide[0]
    v = canvas.v[where]
    side = np.abs(u)
    top = identity.eye_v - 0.1
    along = clip((v - top) * (1.0 / (tip - top)))
    below = edge(v - (tip + 0.03), 0.08)
    lx = canvas.scene.light[0]
    wall = 0.055 + along * (half * 0.45)
    uneven = 0.2 - np.sign(u) * (0.14 * lx)
    canvas.furrow(where, side - wall, 0.05, uneven * below * (along > 0))
    canvas.shadow[where] -= bump(u * (1 / 0.06)) * along * below * 0.14
    wing_u, wing_v = side - half * 0.78, v - tip
    ring = np.sqrt(wing_u * wing_u + wing_v * wing_v)
    canvas.furrow(where, ring - half * 0.36, 0.018, edge(-0.02 - wing_u, 0.02) * 0.4)
    canvas.furrow(where, wing_v - half * 0.34 + side * 0.1, 0.03, bump(u * (0.9 / half)) * 0.45)
    hole_u, hole_v = (side - half * 0.45) * (1 / 0.045), (wing_v - half * 0.22) * (1 / 0.024)
    hole = np.sqrt(hole_u * hole_u + hole_v * hole_v)
    canvas.shadow[where] += edge((hole - 1.0) * 0.03, canvas.soft) * 0.75
    if face.relief.nose > 0.03:
        window = bump(u * (1 / 0.15)) * (0.55 * face.relief.nose)
        level = v - (identity.eye_v - 0.035) - side * 0.35
        canvas.furrow(where, level % 0.07 - 0.035, 0.018, window * edge(np.abs(level - 0.105) - 0.105, 0.01))


def press_mouth_furrows(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw the folds from nose to mouth (10, 12), the droop under its corners (15) and the chin (17)."""
    relief, mouth = face.relief, face.mouth
    top = identity.nose_tip - face.nose_lift - 0.02
    corner = mouth.v - 0.65 * mouth.lift
    end = corner + 0.10
    where = canvas.window(-0.62, 0.62, top, face.chin)
    side, v = np.abs(canvas.u[where]), canvas.v[where]
    t = (v - top) * (1.0 / (end - top))
    start, stop = identity.nose_width * face.nose_flare + 0.03, mouth.width + 0.07 + relief.fold_reach * 0.6
    bow = 0.04 + relief.fold_reach
    line = start + t * (stop - start + bow) - t * t * bow
    canvas.furrow(where, side - line, 0.026, bump((t - 0.5) * (1 / 0.62)) * (0.5 * relief.folds))
    corner_u, corner_v = side - (mouth.width + 0.012), v - corner
    near = np.sqrt(corner_u * corner_u + corner_v * corner_v)
    canvas.furrow(where, near, 0.045, 0.4 + 0.25 * relief.droop)
    if relief.droop > 0.03:
        slant = corner_u - corner_v * 0.5
        canvas.furrow(where, slant, 0.026, bump((corner_v - 0.07) * (1 / 0.09)) * (0.5 * relief.droop))
    lower = mouth.v + mouth.gap_lower + mouth.lower + 0.035
    canvas.furrow(where, v - lower + side * side * 0.5, 0.04, bump(side * (1 / 0.24)) * (0.3 + 0.25 * relief.chin))
    if relief.chin > 0.03:
        ball = bump(side * (1 / 0.16)) * bump((v - (lower + 0.1)) * (1 / 0.1))
        canvas.shadow[where] += ball * (np.abs(((side * 40 + v * 28) % 2.0) - 1.0) - 0.3) * (0.3 * relief.chin)


def paint_skin(canvas: Canvas, identity: Identity, cover: Field) -> None:
    """Lay skin over the head with all shadows so far; red is absorbed least, as in real skin."""
    shadow = np.minimum(np.maximum(canvas.shadow, -0.35), 0.92)
    skin = np.array(identity.skin, np.float32)[:, None, None]
    canvas.rgb += cover * (skin - shadow * (skin * _ABSORBED) - canvas.rgb)
