"""A claim of the statistics that a simulation measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ERRORS = 1.96
"""Monte Carlo errors on each side of a measured share in its 95 % confidence interval."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A share of cases that is promised.

    Attributes:
        name: of the claim.
        setting: in which it is measured.
        promised: lowest and highest share, 0 to 1.
        happens: whether it happens in a case drawn by a generator.
        draws: of the long table.
        quick: draws of a test; 0: the suite leaves it to ``tox run -e simulate``.
    """

    name: str
    setting: str
    promised: tuple[float, float]
    happens: Callable[[np.random.Generator], bool]
    draws: int = 2000
    quick: int = 60

    @property
    def title(self) -> str:
        """What tells the claim from others."""
        return f"{self.name} | {self.setting}"

    def measure(self, draws: int) -> tuple[float, float]:
        """Return the share in which it happens and its Monte Carlo error, one standard error."""
        rng = np.random.default_rng([17, *self.name.encode(), *self.setting.encode()])
        share = sum(self.happens(rng) for _ in range(draws)) / draws
        return share, math.sqrt(max(share * (1 - share), 1 / draws) / draws)

    def held(self, share: float, error: float, errors: float = ERRORS) -> bool:
        """Return whether the confidence interval of a share overlaps the promise.

        Args:
            share: as measured.
            error: its Monte Carlo error.
            errors: how many of them the interval reaches to each side.
        """
        low, high = self.promised
        return low - errors * error <= share <= high + errors * error

    def to_row(self, share: float, error: float, earlier: bool = False) -> str:
        """Return the row of the table, in Markdown; ``earlier`` where earlier code was measured."""
        low, high = self.promised
        promised = "none" if self.promised == (0, 1) else f"{100 * low:g} to {100 * high:g} %"
        said = "" if self.held(share, error) else ", not held"
        said += ", earlier code" if earlier else ""
        return f"| {self.title} | {promised} | {100 * share:.1f} %{said} | {100 * error:.1f} |"


@dataclass(frozen=True, kw_only=True)
class MeanClaim(Claim):
    """A mean that is promised, such as a bias: ``happens`` returns a number, and ``promised`` holds its mean."""

    happens: Callable[[np.random.Generator], float]

    def measure(self, draws: int) -> tuple[float, float]:
        """Return the mean and its Monte Carlo error, one standard error."""
        rng = np.random.default_rng([17, *self.name.encode(), *self.setting.encode()])
        values = np.array([self.happens(rng) for _ in range(draws)])
        return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(draws)
