"""Canonical expression names, the spellings that data sets use for them, and the label sets of benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The canonical expressions: Ekman's six, neutral and contempt."""

BASIC_7 = EXPRESSIONS[:7]
"""The seven of most benchmarks: six basic emotions and neutral."""

LABEL_SETS: Mapping[str, tuple[str, ...]] = {
    "basic-6": BASIC_7[1:],
    "basic-7": BASIC_7,
    "basic-8": EXPRESSIONS,
}
"""Declared label sets: Ekman's six emotions; with neutral; with neutral and contempt."""

NATIVE = "native"
"""The name for a data set's own labels, which nothing is mapped to."""

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


def expression_of(label: str, declared: Mapping[str, str]) -> str | None:
    """Return the expression that a native label means: what is declared, else what its spelling says; None for none."""
    return (declared[label] or None) if label in declared else canonical(label)


def map_labels(
    native: Sequence[str], label_set: str, declared: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return what each native label becomes in a label set; None where the set has no place for it.

    Args:
        native: label names of a data set.
        label_set: a name in `LABEL_SETS`, or ``native``.
        declared: what the data set says that its labels mean, see `fer_bench.specs.DatasetSpec.expressions`.

    Example:
        >>> map_labels(["Happy", "bored"], "basic-6")
        {'Happy': 'happiness', 'bored': None}
    """
    if label_set == NATIVE:
        return {name: name for name in native}
    members = LABEL_SETS[label_set]
    return {
        name: expression if (expression := expression_of(name, declared or {})) in members else None for name in native
    }
