"""What some metrics of plugins ask for beside labels and probabilities: annotators' votes, groups of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fer_bench.arrays import Array

Kind = Literal["soft_labels", "groups"]


@dataclass(frozen=True, eq=False)
class Extra:
    """What else is known of n samples.

    Attributes:
        soft_labels: (n, c) float64, shares of annotators, rows sum to 1; None where they are not known.
        groups: name of a column, such as ``sex`` -> (n,) names as objects, empty where a sample has none.
    """

    soft_labels: Array | None = None
    groups: Mapping[str, Array] = field(default_factory=dict[str, Array])

    def take(self, rows: Array) -> Extra:
        """Return that of some samples."""
        soft = None if self.soft_labels is None else self.soft_labels[rows]
        return Extra(soft, {name: names[rows] for name, names in self.groups.items()})

    def pick(self, wants: Sequence[Kind]) -> dict[str, Any]:
        """Return what is wanted, as keyword arguments."""
        kinds: dict[Kind, Any] = {"soft_labels": self.soft_labels, "groups": dict(self.groups)}
        return {kind: kinds[kind] for kind in wants}

    def has(self, wants: Sequence[Kind]) -> bool:
        """Return whether all that is wanted is known."""
        return not (("soft_labels" in wants and self.soft_labels is None) or ("groups" in wants and not self.groups))


NOTHING = Extra()
