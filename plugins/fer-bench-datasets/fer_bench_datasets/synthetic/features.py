"""Eyes, brows, mouth and what grows around it."""

from __future__ import annotations

import numpy as np

from fer_bench_datasets.synthetic.anatomy import Identity, mix
from fer_bench_datasets.synthetic.canvas import Canvas, between, bump, clip, edge
from fer_bench_datasets.synthetic.posing import Geometry

_WHITE = (0.94, 0.92, 0.90)
_BLACK = (0.05, 0.03, 0.03)


def paint_eyes(canvas: Canvas, identity: Identity, face: Geometry, gaze: tuple[float, float]) -> None:
    """Draw white, iris, pupil, glint and lashes between the lids."""
    half = identity.eye_width
    radius = 0.079
    for side, eye in zip((-1.0, 1.0), face.eyes, strict=True):
        centre = side * identity.eye_u
        where = canvas.window(centre - half, centre + half, identity.eye_v - eye.upper, identity.eye_v + eye.lower)
        across = canvas.u[where] - centre
        out = across * side
        v = canvas.v[where] - identity.eye_v + out * identity.eye_slant
        t = out * (1.0 / half)
        arch = 1.0 - t * t
        upper = arch * (eye.upper - t * (eye.upper * eye.peak))
        lower = arch * eye.lower
        opening = between(v + upper, lower - v, canvas.soft)
        canvas.paint(opening, mix(_WHITE, identity.skin, 0.12), where)
        canvas.paint(opening * bump((v + upper) * (1 / 0.05)) * 0.35, (0.3, 0.22, 0.2), where)
        iris_u, iris_v = across - (gaze[0] * 0.06), v + (0.012 - gaze[1] * 0.04)
        ring = np.sqrt(iris_u * iris_u + iris_v * iris_v)
        canvas.paint(opening * edge(ring - radius, canvas.soft), mix(identity.iris, _BLACK, 0.25), where)
        canvas.paint(opening * edge(ring - (radius * 0.5), canvas.soft), _BLACK, where)
        glint_u, glint_v = iris_u + 0.025, iris_v + 0.03
        glint = edge(np.sqrt(glint_u * glint_u + glint_v * glint_v) - 0.016, canvas.soft)
        canvas.paint(opening * glint, (1.0, 1.0, 1.0), where)
        reach = edge(np.abs(t) - 1.04, canvas.soft / half)
        lash = between(v + upper + 0.012, 0.012 - v - upper, canvas.soft) * reach
        canvas.paint(lash * 0.9, mix(_BLACK, identity.brow, 0.3), where)
        rim = between(v - lower + 0.004, 0.006 + lower - v, canvas.soft) * reach
        canvas.paint(rim * 0.6, mix(identity.skin, (0.25, 0.1, 0.08), 0.7), where)


def paint_brows(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw the brows as tapering strips through their three heights."""
    length = identity.brow_length
    for side, brow in zip((-1.0, 1.0), face.brows, strict=True):
        near, far = side * brow.start, side * (brow.start + length)
        heights = (brow.inner, brow.middle, brow.outer)
        where = canvas.window(min(near, far), max(near, far), min(heights) - 0.05, max(heights) + 0.05)
        t = (canvas.u[where] * side - brow.start) * (1.0 / length)
        bend = 2.0 * (brow.inner + brow.outer - 2.0 * brow.middle)
        tilt = brow.outer - brow.inner - bend
        steep = (1.0 + ((brow.outer - brow.inner) / length) ** 2) ** 0.5
        v = canvas.v[where] - (brow.inner + t * (tilt + t * bend))
        thick = (1.0 - 0.65 * clip(t.copy())) * (identity.brow_thickness * steep)
        ends = edge(np.abs(t - 0.5) - 0.5, 0.12 + canvas.soft / length)
        canvas.paint(between(thick + v, thick - v, canvas.soft) * ends * 0.9, identity.brow, where)


def paint_beard(canvas: Canvas, identity: Identity, face: Geometry, head: np.ndarray) -> None:
    """Draw stubble, beard and moustache on the skin; the mouth comes over them."""
    if identity.stubble + identity.beard + identity.moustache <= 0.02:
        return
    mouth = face.mouth
    where = canvas.window(-identity.width, identity.width, 0.1, face.chin + 0.05)
    u, v = canvas.u[where], canvas.v[where]
    uu = u * u
    inside = edge(head[where], canvas.soft + 0.04)
    jaw = edge(mouth.v + 0.02 - uu * 0.9 - v, 0.14)
    lip = mouth.v - mouth.gap_upper - mouth.upper
    above = bump((v - (lip - 0.045) - uu) * (1 / 0.075)) * edge(np.abs(u) - (mouth.width + 0.03), 0.1)
    texture = 0.85 + 0.15 * np.abs((u * 23 + v * 9) % 2.0 - 1.0)
    hair = np.maximum(jaw * max(identity.beard, identity.stubble * 0.5),
                      above * max(identity.moustache, identity.stubble * 0.5))  # fmt: skip
    canvas.paint(hair * inside * texture, mix(identity.hair, (0.08, 0.06, 0.05), 0.3), where)


def paint_mouth(canvas: Canvas, identity: Identity, face: Geometry) -> None:
    """Draw lips, the line or the opening between them, and teeth."""
    m = face.mouth
    reach = abs(m.lift) + m.gap_upper + m.upper + m.curl
    where = canvas.window(-m.width, m.width, m.v - reach, m.v + abs(m.lift) + m.gap_lower + m.lower)
    u, v = canvas.u[where], canvas.v[where]
    t = u * (1.0 / m.width)
    tt = np.minimum(t * t, 1.3)
    q = 1.0 - tt
    line = (m.v + 0.35 * m.lift) - m.lift * tt * (0.55 + 0.45 * tt)
    open_shape = q * (1.0 + m.flatness * tt)
    top = line - m.gap_upper * open_shape
    bottom = line + m.gap_lower * open_shape
    bow = q * (0.82 + bump((np.abs(t) - 0.22) * (1 / 0.3)) * 0.3)
    pulled = bump((np.abs(t) - 0.5) * (1 / 0.45)) * m.curl
    top -= pulled * min(1.0, 12.0 * (m.gap_upper + m.gap_lower))
    upper = top - bow * m.upper - pulled * 0.3
    lower = bottom + q * m.lower
    lip = mix(identity.skin, (0.66, 0.16, 0.18), 0.25 + 0.5 * identity.lip_redness)
    ends = edge(np.abs(t) - 1.0, canvas.soft / m.width)
    canvas.paint(between(v - upper, top - v + 0.004, canvas.soft) * ends, mix(lip, _BLACK, 0.22), where)
    canvas.paint(between(v - bottom + 0.004, lower - v, canvas.soft) * ends, lip, where)
    shine = bump((v - bottom - 0.45 * m.lower) * (1.0 / (0.5 * m.lower + 0.5 * canvas.soft)))
    canvas.paint(shine * bump(t * 1.8) * 0.22, (1.0, 0.92, 0.9), where)
    cavity = between(v - top, bottom - v, canvas.soft) * ends
    canvas.paint(cavity, (0.20, 0.06, 0.06), where)
    gap = m.gap_upper + m.gap_lower + m.curl
    if gap > 0.01:
        row = m.teeth * min(gap, 0.075)
        canvas.paint(cavity * edge(v - top - row, canvas.soft) * edge(np.abs(t) - 0.85, 0.1), (0.93, 0.91, 0.86), where)
        if m.lower_teeth > 0.05:
            row = m.lower_teeth * min(0.4 * gap, 0.045)
            canvas.paint(
                cavity * edge(bottom - v - row, canvas.soft) * edge(np.abs(t) - 0.7, 0.1), (0.86, 0.83, 0.77), where
            )
    seam = between(v - line + 0.009, 0.009 + line - v, canvas.soft) * ends
    canvas.paint(seam * (0.8 * max(0.0, 1.0 - 25.0 * gap)), mix(identity.skin, (0.12, 0.03, 0.03), 0.85), where)
