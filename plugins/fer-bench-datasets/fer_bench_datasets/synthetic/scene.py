"""How a face is photographed: pose, framing, light, background, occlusion and grain, by domain."""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench_datasets.synthetic.actions import Manner
from fer_bench_datasets.synthetic.anatomy import Colour
from fer_bench_datasets.synthetic.stream import Stream

OCCLUSIONS = ("none", "hand", "bar", "hair")
"""What may lie in front of a face."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One blurred disc or stripe of a background: centre and radius as shares of the image."""

    x: float
    y: float
    radius: float
    colour: Colour
    stripe: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Occluder:
    """Something in front of the face: its kind, centre in face units, direction in radians and colour."""

    kind: str
    u: float
    v: float
    angle: float
    colour: Colour


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One photograph but for the person.

    Attributes:
        yaw: turn of the head, radians, positive to the right of the picture.
        pitch: nod, radians, positive downwards.
        roll: tilt, radians.
        span: height of the image in face units.
        centre: of the face, as shares of the image.
        light: direction that light comes from: right, down, and how strong the shading is.
        tint: colour of the light.
        contrast: around middle grey.
        blur: width of the lens blur, as a share of the image.
        grain: amplitude of the noise.
        gaze: where the eyes look, in irises to the right and down.
        background: colours of its upper and lower edge.
        shapes: in front of it.
        cloth: colour of the clothes.
        occluder: what covers part of the face.
        imbalance: see ``posing.pose_face``.
    """

    yaw: float
    pitch: float
    roll: float
    span: float
    centre: tuple[float, float]
    light: tuple[float, float, float]
    tint: Colour
    contrast: float
    blur: float
    grain: float
    gaze: tuple[float, float]
    background: tuple[Colour, Colour]
    shapes: tuple[Shape, ...]
    cloth: Colour
    occluder: Occluder
    imbalance: float

    @property
    def pose_band(self) -> str:
        """``frontal``, ``turned`` or ``strongly turned``: below 10, 20 and more degrees of yaw or pitch."""
        turn = max(abs(self.yaw), abs(self.pitch))
        return "frontal" if turn < 0.1745 else "turned" if turn < 0.349 else "strongly turned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """Ranges of one kind of photographs.

    Attributes:
        code: part of the random key.
        spread: how far people differ, in face and in habits.
        manner: how expressions are posed.
        turn: standard deviation of yaw, radians; and of roll; that of pitch is half of it.
        framing: standard deviation of scale and, as a share of the image, a third of it of position.
        lighting: how uneven and how coloured the light is.
        clutter: most shapes in the background.
        hidden: probability of an occluder.
        blur: widest lens blur, as a share of the image.
        grain: strongest noise.
    """

    code: int
    spread: float
    manner: Manner
    turn: float
    framing: float
    lighting: float
    clutter: int
    hidden: float
    blur: float
    grain: float


DOMAINS: dict[str, Domain] = {
    "lab": Domain(
        code=1, spread=1.0, turn=0.06, framing=0.07, lighting=0.25, clutter=0, hidden=0.0, blur=0.005, grain=0.012,
        manner=Manner(low=0.6, high=1.35, favoured=0.8, mixed=0.1, noise=0.05, speech=0.03, masked=0.05),
    ),
    "wild": Domain(
        code=2, spread=1.1, turn=0.1, framing=0.08, lighting=1.0, clutter=5, hidden=0.15, blur=0.01, grain=0.02,
        manner=Manner(low=0.55, high=1.35, favoured=0.7, mixed=0.15, noise=0.05, speech=0.06, masked=0.05),
    ),
}  # fmt: skip
"""The two kinds of photographs: posed in a laboratory, and found anywhere."""


def _any_colour(stream: Stream, low: float, high: float) -> Colour:
    level, vivid = stream.uniform(low, high), stream.uniform(0.0, 0.35)
    r, g, b = (min(1.0, max(0.0, level + vivid * stream.uniform(-1.0, 1.0))) for _ in range(3))
    return r, g, b


def _sample_occluder(stream: Stream, domain: Domain, skin: Colour, hair: Colour) -> Occluder:
    kind = stream.choice(OCCLUSIONS[1:]) if stream.chance(domain.hidden) else "none"
    side = 1.0 if stream.chance(0.5) else -1.0
    if kind == "hand":
        return Occluder(kind=kind, u=side * stream.uniform(0.3, 0.7), v=stream.uniform(0.45, 0.95),
                        angle=side * stream.uniform(0.1, 0.9), colour=skin)  # fmt: skip
    if kind == "hair":
        return Occluder(
            kind=kind, u=side * stream.uniform(0.1, 0.45), v=-0.7, angle=side * stream.uniform(0.0, 0.5), colour=hair
        )
    return Occluder(kind=kind, u=stream.uniform(-0.5, 0.5), v=stream.uniform(-0.5, 0.8),
                    angle=stream.uniform(-1.5, 1.5), colour=_any_colour(stream, 0.1, 0.9))  # fmt: skip


def sample_scene(stream: Stream, domain: Domain, skin: Colour, hair: Colour) -> Scene:
    """Return the circumstances of one photograph; nothing here knows the expression."""
    plain = stream.uniform(0.55, 0.75)
    wall: Colour = (plain, plain, plain + 0.02)
    cluttered = domain.clutter > 0
    uneven = domain.lighting
    return Scene(
        yaw=stream.bell(domain.turn),
        pitch=stream.bell(domain.turn * 0.5),
        roll=stream.bell(domain.turn),
        span=2.0 * (1.0 + stream.bell(domain.framing)),
        centre=(0.5 + stream.bell(domain.framing / 3.0), 0.45 + stream.bell(domain.framing / 3.0)),
        light=(stream.uniform(-1.0, 1.0), stream.uniform(-0.9, 0.3), 0.12 + uneven * stream.uniform(0.0, 0.35)),
        tint=(
            1.0 + 0.10 * uneven * stream.uniform(-1.0, 1.0),
            1.0 + 0.03 * uneven * stream.uniform(-1.0, 1.0),
            1.0 + 0.12 * uneven * stream.uniform(-1.0, 1.0),
        ),
        contrast=1.0 + uneven * stream.uniform(-0.2, 0.15),
        blur=domain.blur * stream.unit() * stream.unit(),
        grain=domain.grain * stream.unit(),
        gaze=(stream.bell(0.1 + 0.2 * uneven), stream.bell(0.05 + 0.08 * uneven)),
        background=(_any_colour(stream, 0.1, 0.9), _any_colour(stream, 0.1, 0.9)) if cluttered else (wall, wall),
        shapes=tuple(
            Shape(x=stream.unit(), y=stream.unit(), radius=stream.uniform(0.05, 0.3),
                  colour=_any_colour(stream, 0.1, 0.9), stripe=stream.chance(0.3))
            for _ in range(int(stream.unit() * (domain.clutter + 1)))
        ),
        cloth=_any_colour(stream, 0.1, 0.8),
        occluder=_sample_occluder(stream, domain, skin, hair),
        imbalance=stream.bell(0.06 + 0.08 * uneven),
    )  # fmt: skip
