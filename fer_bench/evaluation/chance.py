"""What no method should fall below: guessing, and always naming the commonest class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from fer_bench.evaluation.checks import check_labels
from fer_bench.evaluation.classification import accuracy, uar

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Chance:
    """What guessing reaches on a test set.

    Attributes:
        uniform: expected accuracy of guessing every class alike, 1 / classes.
        prior: expected accuracy of guessing each class as often as it occurs in the training part.
        uar: expected UAR of guessing by the training part: 1 / classes, as of guessing every class alike, unless a
            class is missing from the test set.
        uniform_limit: accuracy that guessing every class alike stays at or below with probability ``level``.
        prior_limit: likewise for guessing by the training part. It is the binomial limit, an upper bound: with the
            labels given, the number of hits varies less (W. Hoeffding, Annals of Mathematical Statistics 27, 1956).
        level: of the limits.
    """

    uniform: float
    prior: float
    uar: float
    uniform_limit: float
    prior_limit: float
    level: float


def measure_chance(true: Array, train_counts: Array, level: float = 0.95) -> Chance:
    """Return the exact chance level of a test set.

    Args:
        true: (n,) int labels of the test set.
        train_counts: (c,) samples of each class in the training part.
        level: of the upper limits.

    Raises:
        ValueError: a label has no class, or the counts are negative or all 0.
    """
    counts = _check_counts(train_counts)
    true, _ = check_labels(true, true, len(counts))
    shares = counts / counts.sum()
    present, n = np.bincount(true, minlength=len(counts)), len(true)
    uniform, prior = 1 / len(counts), float(present @ shares / n)
    return Chance(
        uniform=uniform,
        prior=prior,
        uar=float(shares[present > 0].mean()),
        uniform_limit=float(scipy.stats.binom.ppf(level, n, uniform) / n),
        prior_limit=float(scipy.stats.binom.ppf(level, n, min(prior, 1.0)) / n),
        level=level,
    )


def score_majority(true: Array, train_counts: Array) -> dict[str, float]:
    """Return accuracy and UAR of always naming the commonest class of the training part; of equals, the first."""
    named = np.full(len(true), int(_check_counts(train_counts).argmax()))
    return {"accuracy": accuracy(true, named), "uar": uar(true, named)}


def _check_counts(train_counts: Array) -> Array:
    counts = np.asarray(train_counts, dtype=np.float64)
    if counts.ndim != 1 or len(counts) < 2 or not (counts >= 0).all() or not counts.sum() > 0:
        raise ValueError(f"train_counts are {counts.tolist()}; expected a count from 0 for each of two classes or more")
    return counts
