"""A claimed score beside a measured one: the words of the verdict, and the tests behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import Interval, bootstrap_interval
from fer_bench.evaluation.metrics import Metric

Verdict = Literal["CONFIRMED", "REFUTED", "NOT COMPARABLE", "UNDERPOWERED"]
EXIT_CODES: dict[Verdict, int] = {"CONFIRMED": 0, "REFUTED": 1, "NOT COMPARABLE": 2, "UNDERPOWERED": 3}
"""As of ``fer-bench check``."""
REPEATED = 0.0005
"""A measured score this near to the claimed one repeats it to the last digit that people write."""
CLOSED = 0.5
"""Share of the shortfall that a reason explains at least."""


@dataclass(frozen=True, kw_only=True)
class ClaimTerms:
    """What is asked of a score.

    Attributes:
        metric: of which.
        claimed: its value.
        margin: smallest shortfall that matters, above 0.
        alpha: error rate of each bound.
    """

    metric: Metric
    claimed: float
    margin: float
    alpha: float

    def gain(self, value: float, other: float) -> float:
        """Return by how much ``value`` is better than ``other``."""
        return value - other if self.metric.higher_is_better else other - value


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Predictions for some images, and how well they do.

    Attributes:
        labels: (n,) int.
        probabilities: (n, c) float64.
        units: (n,) codes of subjects, sequences or copies; None where each image is a unit.
        shown: the 95 % interval of the score, which is its ``estimate``.
        bounds: the interval whose ends are wrong in a share alpha each.
    """

    labels: Array
    probabilities: Array
    units: Array | None
    shown: Interval
    bounds: Interval

    @property
    def value(self) -> float:
        """The score."""
        return self.shown.estimate


def score(terms: ClaimTerms, labels: Array, probabilities: Array, units: Array | None) -> Measured:
    """Return the score of predictions with its intervals.

    Raises:
        ValueError: there is but one unit.
    """
    intervals = [
        bootstrap_interval(terms.metric, labels, probabilities, units, level=level)
        for level in (0.95, 1 - 2 * terms.alpha)
    ]
    return Measured(labels=labels, probabilities=probabilities, units=units, shown=intervals[0], bounds=intervals[1])


def judge(terms: ClaimTerms, measured: Measured) -> Verdict:
    """Return whether a claim holds, as the gate decides about a drop: of the margin or more, and shown or not.

    CONFIRMED: a shortfall of the margin or more is excluded, or the score is the claimed one to the last digit.
    REFUTED: it is not excluded, and there is a shortfall. UNDERPOWERED: neither can be told from these images. A score
    above the claim confirms it.
    """
    low, high = sorted(
        (terms.gain(measured.bounds.low, terms.claimed), terms.gain(measured.bounds.high, terms.claimed))
    )
    if low > -terms.margin or abs(measured.value - terms.claimed) <= REPEATED:
        return "CONFIRMED"
    return "REFUTED" if high < 0 else "UNDERPOWERED"


def explains(terms: ClaimTerms, before: Measured, after: Measured) -> bool:
    """Return whether other settings explain why a claim was not reached, on the same images.

    They do where the claim is not refuted under them, they close half of the shortfall, and their gain is shown by a
    paired test.
    """
    return closes(terms, before.value, after.value) and judge(terms, after) != "REFUTED" and gains(terms, before, after)


def closes(terms: ClaimTerms, before: float, after: float) -> bool:
    """Return whether a score closes half of the shortfall of another."""
    return terms.gain(after, before) >= CLOSED * terms.gain(terms.claimed, before)


def gains(terms: ClaimTerms, before: Measured, after: Measured) -> bool:
    """Return whether the second predictions are shown to be better than the first, on the same images."""
    first, second = (measure(terms.metric, one.labels, one.probabilities, None, one.units) for one in (before, after))
    difference = compare_estimates(first, second, level=1 - 2 * terms.alpha)
    return min(terms.gain(difference.low, 0.0), terms.gain(difference.high, 0.0)) > 0


def cut_in_halves(units: Array | None, n: int, seed: int = 0) -> tuple[Array, Array]:
    """Return the images to search on and those to confirm on: halves of the units at random, each image in one.

    Args:
        units: (n,) codes; None where each image is a unit.
        n: images.
        seed: of the halves.
    """
    codes = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    shuffled = np.random.default_rng(seed).permutation(int(codes.max()) + 1)
    first = np.zeros(len(shuffled), bool)
    first[shuffled[: len(shuffled) // 2]] = True
    return np.flatnonzero(first[codes]), np.flatnonzero(~first[codes])
