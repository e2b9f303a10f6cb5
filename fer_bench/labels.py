"""Canonical expression names, the spellings that data sets use for them, and the label sets of benchmarks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from fer_bench.errors import FerBenchError, did_you_mean

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
    "neutral": ("neutrality", "normal", "ne", "calm"),
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


def class_of(label: str, declared: Mapping[str, str]) -> str | None:
    """Return the class of a label set that a native label belongs to.

    It is the expression that the label means, else its own name in lower case. None where the label spells an
    expression and the data set declares that it means none.

    Example:
        >>> class_of("Happy", {}), class_of("Bored", {}), class_of("sad", {"sad": ""})
        ('happiness', 'bored', None)
    """
    expression = expression_of(label, declared)
    return expression if expression or canonical(label) else _plain(label)


def parse_label_set(text: str) -> str:
    """Return the one name of a label set: ``native``, a name in `LABEL_SETS`, or its classes with commas between them.

    Order, case and spelling do not count, and a list that has the classes of a declared set is that set.

    Args:
        text: such a name, or a list of two or more classes in any spelling, such as ``happy,sad,bored``.

    Raises:
        FerBenchError: it is neither; all faults at once.

    Example:
        >>> parse_label_set("Sad,bored,joy")
        'happiness,sadness,bored'
    """
    names = [name.strip() for name in text.split(",")]
    declared = (NATIVE, *LABEL_SETS)
    if len(names) == 1 and names[0] in declared:
        return names[0]
    if len(names) == 1:
        raise FerBenchError(
            f"Label set {text!r} is unknown. {did_you_mean(text, declared)} "
            "Or name two or more classes, such as happy,sad,neutral."
        )
    faults = [f"{name!r} is a label set, name only classes" for name in names if name in declared]
    if "" in names:
        faults.append("a name is empty, remove the comma too many")
    spellings = _by_class(filter(None, names), {})
    faults += [f"{_listed(same)} are one class, name it once" for same in spellings.values() if len(same) > 1]
    if faults:
        raise FerBenchError(f"Label set {text!r} has faults: {'; '.join(faults)}.")
    return _name(spellings)


def classes_of(label_set: str) -> tuple[str, ...]:
    """Return the classes of a label set that `parse_label_set` returned, other than ``native``."""
    return LABEL_SETS.get(label_set) or tuple(label_set.split(","))


def fitting_sets(classes: Iterable[str]) -> list[str]:
    """Return the label sets that need no other classes than these, the one of all of them first.

    A class with a comma in its name cannot be named in a set.

    Example:
        >>> fitting_sets(["sadness", "happiness"]), fitting_sets(["sadness"])
        (['happiness,sadness'], [])
    """
    present = {name for name in classes if "," not in name}
    sets = [_name(present)] if len(present) > 1 else []
    sets += [name for name in reversed(list(LABEL_SETS)) if set(LABEL_SETS[name]) <= present]
    return list(dict.fromkeys(sets))


def describe_spellings(native: Sequence[str], declared: Mapping[str, str]) -> str:
    """Return a warning that names all labels that are several spellings of one class; empty where there are none."""
    spellings = _by_class(native, declared)
    several = [f"{name} ({_listed(same)})" for name, same in spellings.items() if len(same) > 1]
    if not several:
        return ""
    fits = fitting_sets(spellings)
    joined = f", or join them with '--labels {fits[0]}'" if fits else ""
    return f"labels that mean the same are classes of their own: {', '.join(several)}. Spell each in one way{joined}."


def map_labels(
    native: Sequence[str], label_set: str, declared: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return what each native label becomes in a label set; None where the set has no place for it.

    Args:
        native: label names of a data set.
        label_set: as `parse_label_set` returns it.
        declared: what the data set says that its labels mean, see `fer_bench.specs.DatasetSpec.expressions`.

    Example:
        >>> map_labels(["Happy", "bored"], "basic-6")
        {'Happy': 'happiness', 'bored': None}
    """
    if label_set == NATIVE:
        return {name: name for name in native}
    members = classes_of(label_set)
    return {name: label if (label := class_of(name, declared or {})) in members else None for name in native}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().lower()


def _by_class(labels: Iterable[str], declared: Mapping[str, str]) -> dict[str, list[str]]:
    """Return class -> the labels that belong to it, in the order of `_name`."""
    members: dict[str, list[str]] = {}
    for label in labels:
        if (name := class_of(label, declared)) is not None:
            members.setdefault(name, []).append(label)
    return {name: members[name] for name in _ordered(members)}


def _ordered(classes: Iterable[str]) -> list[str]:
    """Return expressions in their canonical order, then all other names sorted."""
    names = set(classes)
    return [*(name for name in EXPRESSIONS if name in names), *sorted(names - set(EXPRESSIONS))]


def _name(classes: Iterable[str]) -> str:
    """Return the name of the label set that has these classes."""
    names = _ordered(classes)
    return next((name for name, members in LABEL_SETS.items() if list(members) == names), ",".join(names))


def _listed(names: Iterable[str]) -> str:
    return " and ".join(map(repr, names))
