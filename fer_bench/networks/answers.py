"""From the expressions that a finished classifier knows to the classes of a task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.labels import EXPRESSIONS, canonical
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneSpec


def known(backbone: Component[BackboneSpec]) -> tuple[str, ...]:
    """Return the expressions that a backbone answers itself; none if it is no finished classifier.

    Raises:
        PluginError: the plugin raised, or named something else than expressions.
    """
    if not backbone.spec.answers:
        return ()
    names = tuple(backbone.ask(f"say what {str(backbone)!r} answers", backbone.spec.answers))
    strange = [name for name in names if name not in EXPRESSIONS]
    eight = backbone.spec.frozen_only or backbone.spec.feature_size == len(EXPRESSIONS)
    if strange or not names or not eight:
        raise PluginError(
            f"Backbone {backbone.spec.name!r} of plugin {backbone.plugin.name!r} answers {names} with "
            f"{number_of(backbone.spec.feature_size, 'feature')}; expected {len(EXPRESSIONS)}, some of "
            f"{', '.join(EXPRESSIONS)}."
        )
    return names


def columns(answers: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """Return for each class of a task its place in `EXPRESSIONS`; None if the classifier does not know it.

    Args:
        answers: the expressions that the classifier knows.
        classes: of the task, in any spelling that `fer_bench.labels.canonical` knows.

    Raises:
        PluginError: it knows none of them.
    """
    positions = [EXPRESSIONS.index(name) if (name := canonical(label)) in answers else None for label in classes]
    if all(place is None for place in positions):
        raise PluginError(
            f"The classifier knows {', '.join(answers)}; the task has the classes {', '.join(classes)}, none of them. "
            "Choose a common label set, such as --labels basic-7."
        )
    return positions


def take(probabilities: Array, answers: Sequence[str], classes: Sequence[str]) -> Array:
    """Return the probabilities of the classes of a task.

    Args:
        probabilities: (n, 8) of `EXPRESSIONS`.
        answers: as in `columns`.
        classes: as in `columns`, c of them.

    Returns:
        (n, c) float32, as `rearrange` says.
    """
    return rearrange(probabilities, columns(answers, classes)).astype(np.float32)


def rearrange(probabilities: Array, positions: Sequence[int | None]) -> Array:
    """Return (n, c) float64 probabilities of c classes, rows sum to 1.

    A row that has nothing left is spread evenly over the classes that have a column.

    Args:
        probabilities: (n, k) of other classes.
        positions: the column of each of the c classes; None of a class that has none and gets 0.
    """
    able = [place is not None for place in positions]
    rearranged = np.zeros((len(probabilities), len(positions)))
    rearranged[:, able] = probabilities[:, [place for place in positions if place is not None]]
    rearranged[rearranged.sum(1) == 0] = able
    return rearranged / rearranged.sum(1, keepdims=True)


def describe(answers: Sequence[str], classes: Sequence[str]) -> str:
    """Return in words what `take` does with expressions that only the task or only the classifier has."""
    positions = columns(answers, classes)
    missing = [name for name, place in zip(classes, positions, strict=True) if place is None]
    dropped = [name for name in answers if EXPRESSIONS.index(name) not in positions]
    parts = [f"it does not know {', '.join(missing)}: probability 0"] if missing else []
    parts += [f"what it gives to {', '.join(dropped)} is dropped and the rest scaled to sum to 1"] if dropped else []
    return "; ".join(parts) or "its classes are those of the task"
