"""Where a gradient phase stands between two epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from fer_bench.networks.devices import Devices
from fer_bench.networks.parameters import Table


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a phase stands between two epochs: all that the rest of it depends on.

    Attributes:
        learning: what the optimizer changes, by the parameter's name.
        memory: of the optimizer.
        others: BatchNorm statistics and random states, by name.
        best: ``learning`` and ``others`` of the epoch with the lowest loss on the validation part; None where the phase
            does not stop early.
        best_loss: that loss.
        waited: epochs since then.
        last: loss of the last step.
        history: one row an epoch.
    """

    learning: dict[str, Any]
    memory: Any
    others: Table
    best: tuple[dict[str, Any], Table] | None
    best_loss: float = math.inf
    waited: int = 0
    last: float = math.nan
    history: tuple[dict[str, Any], ...] = ()

    def judged(self, loss: float) -> Progress:
        """Return this after an epoch whose loss on the validation part was ``loss``."""
        if loss < self.best_loss:
            return replace(self, best=(self.learning, self.others), best_loss=loss, waited=0)
        return replace(self, waited=self.waited + 1)

    def on(self, devices: Devices) -> Progress:
        """Return this with its numbers on every one of some devices."""
        learning, memory, others, best = devices.copy((self.learning, self.memory, self.others, self.best))
        return replace(self, learning=learning, memory=memory, others=others, best=best)

    def leaves(self) -> list[jax.Array]:
        """Return all numbers in a fixed order; random states stay as they begin."""
        return jax.tree.leaves(_numbers(self))

    def facts(self) -> dict[str, Any]:
        """Return the rest, as plain values."""
        names = ("best_loss", "waited", "last", "history")
        return {name: getattr(self, name) for name in names}

    def at(self, facts: Mapping[str, Any], leaves: Sequence[Any]) -> Progress:
        """Return the progress that these `facts` and `leaves` are of; this one gives the structure."""
        numbers = _numbers(self)
        arrays = map(jnp.asarray, leaves)
        learning, memory, others, best = jax.tree.unflatten(jax.tree.structure(numbers), arrays)
        best = best and (best[0], {**self.others, **best[1]})
        return Progress(
            learning, memory, {**self.others, **others}, best, **{**facts, "history": tuple(facts["history"])}
        )


def _numbers(progress: Progress) -> tuple[Any, ...]:
    def plain(table: Table) -> Table:
        return {name: leaf for name, leaf in table.items() if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)}

    best = progress.best and (progress.best[0], plain(progress.best[1]))
    return progress.learning, progress.memory, plain(progress.others), best
