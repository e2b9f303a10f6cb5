"""What a model's outputs mean: the declared order of labels, those of known data sets, and the one that fits best."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.labels import EXPRESSIONS, class_of, expression_of
from fer_bench.networks.answers import rearrange
from fer_bench.registry import Registry
from fer_bench.specs import DatasetSpec

SHOWN = 2
"""Data sets that are named where more of them share an order."""


@dataclass(frozen=True)
class Order:
    """What the outputs of a model mean.

    Attributes:
        labels: of each output, k of them.
        origin: whose order it is; empty for one that was fitted to the answers.
    """

    labels: tuple[str, ...]
    origin: str = ""

    @property
    def what(self) -> str:
        """What it is, so that "with …" can be said."""
        return f"labels in the order {f'of {self.origin}' if self.origin else ', '.join(self.labels)}"


def known_orders(registry: Registry, outputs: Sequence[str]) -> list[Order]:
    """Return the orders that data sets of the installed plugins and of common habit give to a model's labels.

    Orders that are equal are one, with several origins; the declared one is left out, and so are orders that lack one
    of the labels.

    Args:
        registry: its data sets have labels in an order of their own.
        outputs: the model's labels as declared, expressions.
    """
    listed: dict[str, list[str]] = {}
    for _, _, spec in registry.specs("dataset"):
        if isinstance(spec, DatasetSpec) and spec.labels and not spec.synthetic:
            meant = [expression_of(label, spec.expressions) for label in spec.labels]
            listed[spec.title.partition(",")[0]] = [name for name in meant if name]
    listed |= {"the alphabet": sorted(outputs), "fer-bench": list(EXPRESSIONS)}
    origins: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for origin, names in listed.items():
        order = tuple(name for name in dict.fromkeys(names) if name in outputs)
        if set(order) == set(outputs) and order != tuple(outputs):
            origins[order].append(origin)
    return [Order(order, " and ".join(names[:SHOWN])) for order, names in origins.items()]


def fit_order(outputs: Sequence[str], raw: Array, labels: Array, classes: Sequence[str]) -> Order:
    """Return the order under which the model's answers fit the labels best: the sum of recalls is the largest.

    An assignment problem (H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics
    Quarterly 2, 1955). An output that nothing speaks of keeps its declared label where it can.

    Args:
        outputs: as declared, k of them.
        raw: (n, k) probabilities of the outputs.
        labels: (n,) int of ``classes``.
        classes: names of the task's classes.
    """
    gain = 1e-6 * np.eye(len(outputs))
    top = raw.argmax(1)
    for label, place in enumerate(match(outputs, classes)):
        rows = labels == label
        if place is not None and rows.any():
            gain[:, place] += np.bincount(top[rows], minlength=len(outputs)) / rows.sum()
    _, columns = linear_sum_assignment(gain, maximize=True)
    return Order(tuple(outputs[column] for column in columns.tolist()))


def read_outputs(raw: Array, order: Sequence[str], classes: Sequence[str]) -> Array:
    """Return (n, c) float64 probabilities of a task's classes, rows sum to 1.

    A class that no output means has 0; what goes to others is dropped. A row that has nothing left is spread evenly
    over the classes that the model knows.

    Args:
        raw: (n, k) probabilities of the outputs.
        order: what each output means.
        classes: names of the task's classes.
    """
    return rearrange(raw, match(order, classes))


def match(order: Sequence[str], classes: Sequence[str]) -> list[int | None]:
    """Return the output that means each class; None where none does.

    Raises:
        FerBenchError: two outputs mean one class, or none of the classes is known.
    """
    names = [class_of(name, {}) for name in order]
    if twice := sorted(str(name) for name, count in Counter(names).items() if count > 1):
        raise FerBenchError(f"Several outputs of the model mean {', '.join(twice)}; expected one each.")
    places = [names.index(name) if (name := class_of(label, {})) in names else None for label in classes]
    if all(place is None for place in places):
        raise FerBenchError(
            f"The model answers {', '.join(order)}; the images have the classes {', '.join(classes)}, none of them. "
            "Write a common label set into the claim, such as 'labels: basic-7'."
        )
    return places
