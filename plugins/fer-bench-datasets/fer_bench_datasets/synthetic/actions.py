"""Expressions as facial action units.

The units and their numbers are those of the Facial Action Coding System (Ekman & Friesen, 1978; Ekman, Friesen & Hager,
2002), the prototypes those of its emotion table (EMFACS, Friesen & Ekman, 1983) with some of their common variants.
"""

from __future__ import annotations

from dataclasses import dataclass

from fer_bench_datasets.synthetic.stream import Stream

UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    43: "eyes close",
}
"""Action units that the faces can show."""

Actions = dict[int, float]
"""Action unit -> intensity: 0 is absent, 1 is FACS level E."""

PROTOTYPES: dict[str, tuple[Actions, ...]] = {
    "neutral": ({},),
    "happiness": (
        {6: 0.7, 12: 0.9, 25: 0.6},
        {6: 0.5, 12: 0.8},
        {6: 0.9, 12: 1.0, 25: 0.8, 26: 0.4},
    ),
    "sadness": (
        {1: 0.9, 4: 0.5, 15: 0.9},
        {1: 0.8, 4: 0.6, 15: 0.8, 17: 0.7},
        {1: 0.9, 4: 0.4, 7: 0.3, 15: 0.7, 43: 0.3},
    ),
    "surprise": (
        {1: 0.9, 2: 0.9, 5: 0.7, 25: 0.6, 26: 0.8},
        {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.5, 26: 0.4},
        {1: 0.7, 2: 0.8, 5: 0.5, 25: 0.6, 26: 1.0},
    ),
    "fear": (
        {1: 0.9, 2: 0.5, 4: 0.6, 5: 0.9, 7: 0.3, 20: 0.8, 25: 0.6, 26: 0.3},
        {1: 0.8, 2: 0.4, 4: 0.7, 5: 0.8, 20: 0.9, 25: 0.5},
        {1: 0.9, 2: 0.6, 4: 0.5, 5: 1.0, 20: 0.5, 25: 0.7, 26: 0.5},
    ),
    "disgust": (
        {4: 0.3, 7: 0.4, 9: 1.0, 10: 0.5, 15: 0.4, 16: 0.4, 25: 0.3},
        {7: 0.3, 9: 0.9, 10: 0.9, 25: 0.5},
        {6: 0.3, 9: 0.8, 10: 0.7, 15: 0.5, 17: 0.6},
    ),
    "anger": (
        {4: 1.0, 5: 0.6, 7: 0.5, 23: 0.9},
        {4: 1.0, 7: 0.8, 17: 0.5, 24: 0.9},
        {4: 0.9, 5: 0.7, 7: 0.4, 10: 0.4, 16: 0.4, 23: 0.3, 25: 0.8, 26: 0.3},
    ),
}
"""Expression -> its variants at full intensity."""

_UPPER_FACE = (1, 2, 4, 5, 6, 7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """How one person shows emotions.

    Attributes:
        expressivity: factor on every intensity.
        gains: action unit -> factor.
        variants: expression -> the variant that this person favours.
    """

    expressivity: float
    gains: dict[int, float]
    variants: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How the images of a domain are posed.

    Attributes:
        low: weakest intensity.
        high: strongest intensity.
        favoured: probability of the person's own variant.
        mixed: probability that a second expression shows through.
        noise: standard deviation of the intensity of single units.
        speech: probability of lips or jaw moving for no emotion.
        masked: probability that only the upper or the lower face takes part fully.
    """

    low: float
    high: float
    favoured: float
    mixed: float
    noise: float
    speech: float
    masked: float


def sample_habits(stream: Stream, spread: float) -> Habits:
    """Return the habits of a new person; ``spread`` >= 0 is how far people differ."""
    return Habits(
        expressivity=1.0 + spread * stream.uniform(-0.25, 0.2),
        gains={unit: max(0.25, 1.0 + stream.bell(0.3 * spread)) for unit in UNITS},
        variants={name: int(stream.unit() * len(options)) for name, options in PROTOTYPES.items()},
    )


def sample_actions(stream: Stream, label: str, habits: Habits, manner: Manner) -> tuple[Actions, float]:
    """Return the action units of one image and the intensity in [0, 1] of the expression (0 for neutral).

    Args:
        stream: the image's own draws.
        label: an expression of ``PROTOTYPES``.
        habits: of the person.
        manner: of the domain.
    """
    options = PROTOTYPES[label]
    variant = options[habits.variants[label]] if stream.chance(manner.favoured) else stream.choice(options)
    strength = min(1.0, stream.uniform(manner.low, manner.high) * habits.expressivity)
    other = stream.choice(tuple(PROTOTYPES))
    share = stream.uniform(0.15, 0.4) if stream.chance(manner.mixed) else 0.0
    masked, spared = stream.chance(manner.masked), stream.chance(0.5)
    damping = stream.uniform(0.2, 0.6)
    actions: Actions = {}
    for unit in UNITS:
        value = strength * (variant.get(unit, 0.0) + share * PROTOTYPES[other][0].get(unit, 0.0))
        if masked and (unit in _UPPER_FACE) == spared:
            value *= damping
        actions[unit] = value * habits.gains[unit] + manner.noise * (abs(stream.bell(1.0)) - 0.3)
    actions[43] = actions[43] + (stream.uniform(0.2, 0.9) if stream.chance(0.3 * manner.speech) else 0.0)
    if stream.chance(manner.speech):
        actions[25] += stream.uniform(0.2, 0.8)
        actions[26] += stream.uniform(0.0, 0.4)
    actions = {unit: min(1.0, max(0.0, value)) for unit, value in actions.items()}
    return actions, strength if variant else 0.0
