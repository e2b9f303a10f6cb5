"""The numbers of a model in a gradient phase: what stays, what learns, what a step takes and changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from fer_bench.learning import rules
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import Table, divide

Learning = dict[str, Any]
"""What the optimizer changes, by the parameter's name: the parameter, or the two factors of a change of it."""

LOW_RANK = ("/left", "/right")
"""Ends of the names of the two factors of a parameter's change."""


@dataclass(frozen=True, eq=False)
class Model:
    """All numbers of one fold's model.

    Attributes:
        parameters: of backbone and head, float32, by name.
        others: BatchNorm statistics and random states, by name.
    """

    parameters: Table
    others: Table

    @classmethod
    def first(cls, backbone: Backbone, classes: int) -> Model:
        """Return the numbers of a backbone, with a head for that number of classes, which begins at 0."""
        parameters, others = divide(backbone)
        head = jax.device_put((np.zeros((backbone.feature_size, classes), np.float32), np.zeros(classes, np.float32)))
        return cls(parameters | dict(zip(rules.HEAD, head, strict=True)), others)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {name: leaf.shape for name, leaf in self.parameters.items()}


class State(NamedTuple):
    """What a step changes.

    Attributes:
        learning: what learns.
        memory: of the optimizer.
        others: BatchNorm statistics and random states, by name.
    """

    learning: Learning
    memory: Any
    others: Table


class Batches(NamedTuple):
    """What steps take; of a single step, without the first axis.

    Attributes:
        x: (steps, batch, …), what `Inputs` gave.
        target: (steps, batch, c) float32, the probability of each class.
        rate: (steps,) float32.
    """

    x: jax.Array
    target: jax.Array
    rate: jax.Array


def merged(learning: Learning, frozen: Mapping[str, jax.Array]) -> Table:
    """Return the parameters that learn as the model uses them."""
    return {
        name: changed(frozen[name], *value) if isinstance(value, tuple) else value for name, value in learning.items()
    }


def changed(matrix: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """Return a matrix, but for axes of length one in front, and the product of two factors (m, r) and (r, n)."""
    return matrix + (left @ right).reshape(matrix.shape)
