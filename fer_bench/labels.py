"""Canonical expression names and the spellings that data sets use for them."""

from __future__ import annotations

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The canonical expressions: Ekman's six, neutral and contempt."""

BASIC_7 = EXPRESSIONS[:7]
"""The seven of most benchmarks: six basic emotions and neutral."""

_SPELLINGS = {
    "neutral": ("neutrality", "ne", "calm"),
    "happiness": ("happy", "ha", "joy"),
    "sadness": ("sad", "sa"),
    "surprise": ("surprised", "su"),
    "fear": ("fearful", "fe", "af", "afraid"),
    "disgust": ("disgusted", "di"),
    "anger": ("angry", "an"),
    "contempt": ("contemptuous",),
}
_CANONICAL = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in (name, *spellings)}


def canonical(name: str) -> str | None:
    """Return the canonical expression that ``name`` spells, or None if it spells none.

    Case and surrounding white space do not count.

    Example:
        >>> canonical(" Happy "), canonical("bored")
        ('happiness', None)
    """
    return _CANONICAL.get(name.strip().lower())
