"""Who is drawn: everything about a face that stays when its expression changes.

Lengths are in face units: the head is about two units high, its centre is the origin, ``v`` points down.
"""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench_datasets.synthetic.stream import Stream

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_SKIN: tuple[Colour, ...] = (
    (0.97, 0.84, 0.76),
    (0.93, 0.76, 0.65),
    (0.85, 0.66, 0.52),
    (0.72, 0.52, 0.38),
    (0.55, 0.37, 0.26),
    (0.37, 0.25, 0.19),
)
_HAIR: tuple[Colour, ...] = (
    (0.07, 0.06, 0.06),
    (0.16, 0.11, 0.08),
    (0.30, 0.19, 0.11),
    (0.50, 0.33, 0.17),
    (0.78, 0.62, 0.36),
    (0.55, 0.22, 0.09),
    (0.72, 0.71, 0.70),
)
_IRIS: tuple[Colour, ...] = (
    (0.22, 0.12, 0.06),
    (0.33, 0.21, 0.10),
    (0.30, 0.36, 0.20),
    (0.30, 0.45, 0.62),
    (0.40, 0.46, 0.48),
)

HAIR_STYLES = ("bald", "short", "receding", "fringe", "parted", "long", "curly")
"""Hair styles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One person who does not exist; lengths in face units, strengths in [0, 1]."""

    skin: Colour
    tone_band: str
    width: float
    chin: float
    squareness: float
    ears: float
    hair_style: str
    hair: Colour
    hairline: float
    volume: float
    eye_u: float
    eye_v: float
    eye_width: float
    lid_upper: float
    lid_lower: float
    eye_slant: float
    iris: Colour
    brow: Colour
    brow_gap: float
    brow_inner: float
    brow_length: float
    brow_thickness: float
    brow_arch: float
    brow_slant: float
    nose_tip: float
    nose_width: float
    mouth_v: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lip_redness: float
    mouth_curve: float
    forehead_lines: float
    frown_lines: float
    folds: float
    bags: float
    stubble: float
    moustache: float
    beard: float
    glasses: str
    frame: Colour


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour ``share`` of the way from ``first`` to ``second``."""
    r, g, b = (x + (y - x) * share for x, y in zip(first, second, strict=True))
    return r, g, b


def sample_identity(stream: Stream, spread: float) -> Identity:
    """Return a new person; ``spread`` > 0 is how far people differ, 1 being natural."""
    tone = stream.uniform(0.0, len(_SKIN) - 1.001)
    skin = mix(_SKIN[int(tone)], _SKIN[int(tone) + 1], tone - int(tone))
    age = stream.unit()
    masculine = stream.chance(0.5)
    hair = stream.choice(_HAIR[:4] if tone > 2.5 else _HAIR[:6])
    if age > 0.7 and stream.chance(0.6):
        hair = mix(hair, _HAIR[6], stream.uniform(0.4, 1.0))
    styles = HAIR_STYLES[:5] if masculine else HAIR_STYLES[3:]
    bearded = masculine and stream.chance(0.35)
    wrinkles = age * age * spread

    def about(mean: float, deviation: float) -> float:
        return mean + stream.bell(deviation * spread)

    return Identity(
        skin=skin,
        tone_band=("light", "medium", "dark")[min(2, int(tone / 5.0 * 3.0))],
        width=about(0.76, 0.035),
        chin=about(1.0, 0.035),
        squareness=stream.uniform(0.1, 0.5) + (0.3 if masculine else 0.0),
        ears=about(0.12, 0.02),
        hair_style=stream.choice(styles),
        hair=hair,
        hairline=about(-0.62, 0.04),
        volume=stream.uniform(0.05, 0.16),
        eye_u=about(0.335, 0.016),
        eye_v=about(-0.08, 0.02),
        eye_width=about(0.172, 0.011),
        lid_upper=about(0.080, 0.009),
        lid_lower=about(0.050, 0.006),
        eye_slant=about(0.03, 0.06),
        iris=_IRIS[0] if tone > 3 else stream.choice(_IRIS),
        brow=mix(hair, (0.1, 0.07, 0.05), 0.45),
        brow_gap=about(0.215, 0.02),
        brow_inner=about(0.14, 0.014),
        brow_length=about(0.36, 0.025),
        brow_thickness=about(0.034 if masculine else 0.024, 0.006),
        brow_arch=about(0.035, 0.013),
        brow_slant=about(0.0, 0.024),
        nose_tip=about(0.25, 0.025),
        nose_width=about(0.135, 0.015),
        mouth_v=about(0.54, 0.02),
        mouth_width=about(0.255, 0.018),
        lip_upper=about(0.042, 0.008),
        lip_lower=about(0.056, 0.009),
        lip_redness=stream.uniform(0.15, 0.5) if masculine else stream.uniform(0.35, 0.95),
        mouth_curve=about(0.0, 0.014),
        forehead_lines=wrinkles * stream.uniform(0.2, 0.8),
        frown_lines=wrinkles * stream.uniform(0.0, 0.8),
        folds=0.12 + wrinkles * stream.uniform(0.2, 0.6),
        bags=0.1 + wrinkles * stream.uniform(0.1, 0.5),
        stubble=stream.uniform(0.0, 0.35) if masculine else 0.0,
        moustache=stream.uniform(0.5, 0.95) if bearded and stream.chance(0.7) else 0.0,
        beard=stream.uniform(0.5, 0.95) if bearded and stream.chance(0.7) else 0.0,
        glasses="yes" if stream.chance(0.2) else "no",
        frame=stream.choice(((0.06, 0.05, 0.05), (0.3, 0.16, 0.08), (0.45, 0.45, 0.48), (0.45, 0.08, 0.1))),
    )
