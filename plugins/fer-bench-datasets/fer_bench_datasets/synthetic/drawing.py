"""From an index to a drawn face: the rule that spreads labels and subjects, and the order of the layers of paint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_bench_datasets.synthetic.actions import PROTOTYPES, Actions, Habits, sample_actions, sample_habits
from fer_bench_datasets.synthetic.anatomy import Identity, sample_identity
from fer_bench_datasets.synthetic.canvas import Canvas, edge
from fer_bench_datasets.synthetic.features import paint_beard, paint_brows, paint_eyes, paint_mouth
from fer_bench_datasets.synthetic.posing import pose_face
from fer_bench_datasets.synthetic.scene import DOMAINS, Scene, sample_scene
from fer_bench_datasets.synthetic.skin import (
    measure_head,
    paint_skin,
    press_brow_furrows,
    press_eye_furrows,
    press_mouth_furrows,
    press_nose,
    shade_head,
)
from fer_bench_datasets.synthetic.stream import Stream
from fer_bench_datasets.synthetic.surround import (
    expose,
    paint_background,
    paint_body,
    paint_glasses,
    paint_hair,
    paint_occluder,
)

LABELS = tuple(PROTOTYPES)
"""The seven expressions, in the order of ``fer_bench.labels.BASIC_7``."""

_SUBJECT, _IMAGE = 1, 2
_GRAIN_SIDE = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One drawn face.

    Attributes:
        image: (s, s, 3) uint8, RGB.
        label: one of ``LABELS``.
        subject: such as ``"lab-017"``.
        intensity: of the expression, in [0, 1]; 0 for neutral.
        groups: columns for group scores: ``glasses``, ``skin_tone``, ``pose``, ``occlusion``, ``strength``.
    """

    image: np.ndarray
    label: str
    subject: str
    intensity: float
    groups: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an index stands: the number of its subject, its label, and how often the pair came before."""

    subject: int
    label: str
    take: int


def place_of(index: int, subjects: int) -> Place:
    """Return the place of image ``index`` >= 0 among ``subjects`` >= 1 people.

    Seven consecutive images show all expressions of one person, and people take turns: every prefix whose length is a
    multiple of seven is balanced, and the first k images of each label show min(k, subjects) people.

    Example:
        >>> place_of(15, subjects=2)
        Place(subject=0, label='happiness', take=1)
    """
    block, expression = divmod(index, len(LABELS))
    return Place(subject=block % subjects, label=LABELS[expression], take=block // subjects)


@lru_cache(maxsize=4096)
def _person(seed: int, domain: str, subject: int) -> tuple[Identity, Habits]:
    kind = DOMAINS[domain]
    stream = Stream(seed, kind.code, _SUBJECT, subject)
    return sample_identity(stream, kind.spread), sample_habits(stream, kind.spread)


def render(identity: Identity, actions: Actions, scene: Scene, grain: np.ndarray, size: int) -> np.ndarray:
    """Return the picture (s, s, 3) uint8 of a person with these action units in this scene.

    Args:
        identity: the person.
        actions: intensities by unit.
        scene: the circumstances.
        grain: (g, g) noise in [-1, 1), see ``surround.expose``.
        size: side of the picture, pixels.
    """
    face = pose_face(identity, actions, scene.imbalance)
    canvas = Canvas(size, scene)
    paint_background(canvas, scene)
    paint_body(canvas, identity, scene)
    head = measure_head(canvas, identity, face.chin)
    shade_head(canvas, identity, scene)
    press_brow_furrows(canvas, identity, face)
    press_eye_furrows(canvas, identity, face)
    press_nose(canvas, identity, face)
    press_mouth_furrows(canvas, identity, face)
    paint_skin(canvas, identity, edge(head, canvas.soft))
    paint_beard(canvas, identity, face, head)
    paint_mouth(canvas, identity, face)
    paint_eyes(canvas, identity, face, scene.gaze)
    paint_brows(canvas, identity, face)
    paint_hair(canvas, identity, scene)
    paint_glasses(canvas, identity)
    paint_occluder(canvas, scene)
    return expose(canvas, scene, grain)


def draw(index: int, *, size: int, domain: str, seed: int, subjects: int) -> Drawing:
    """Draw image ``index``, a function only of the arguments; another ``size`` shows the same scene.

    Args:
        index: from 0; see ``place_of``.
        size: side of the picture, pixels, >= 16.
        domain: ``"lab"`` or ``"wild"``.
        seed: of the whole data set, >= 0.
        subjects: how many people there are, >= 1.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> draw(1, size=48, domain="lab", seed=0, subjects=40).label
        'happiness'
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain {domain!r} is unknown; expected one of {', '.join(map(repr, DOMAINS))}")
    if index < 0 or size < 16 or seed < 0 or subjects < 1:
        raise ValueError(
            f"index {index}, size {size}, seed {seed}, subjects {subjects}: "
            "expected index and seed >= 0, size >= 16, subjects >= 1"
        )
    place = place_of(index, subjects)
    kind = DOMAINS[domain]
    identity, habits = _person(seed, domain, place.subject)
    stream = Stream(seed, kind.code, _IMAGE, place.subject, LABELS.index(place.label), place.take)
    scene = sample_scene(stream, kind, identity.skin, identity.hair)
    actions, intensity = sample_actions(stream, place.label, habits, kind.manner)
    grain = stream.noise(_GRAIN_SIDE)
    return Drawing(
        image=render(identity, actions, scene, grain, size),
        label=place.label,
        subject=f"{domain}-{place.subject:03d}",
        intensity=intensity,
        groups={
            "glasses": identity.glasses,
            "skin_tone": identity.tone_band,
            "pose": scene.pose_band,
            "occlusion": scene.occluder.kind,
            "strength": "none" if place.label == "neutral" else "weak" if intensity < 0.5 else "strong",
        },
    )
