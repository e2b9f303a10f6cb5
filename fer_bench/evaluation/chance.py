"""What no method should fall below: guessing, and always naming the commonest class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_labels


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


def measure_chance(
    true: Array,
    train_counts: Array,
    part: Array | None = None,
    seeds: Array | None = None,
    n: int | None = None,
    level: float = 0.95,
) -> Chance:
    """Return the exact chance level of what scores are: all test parts of a seed pooled, averaged over seeds.

    Args:
        true: (n,) int labels of the test set.
        train_counts: (c,) samples of each class in the training part; (p, c) with ``part``.
        part: (n,) int, the fold and seed of each row, from 0 to p - 1; no part is empty.
        seeds: (p,) int, the seed of each part; None: all are of one.
        n: distinct images among them, of which the limits speak; None: all are.
        level: of the upper limits.

    Raises:
        ValueError: a label has no class, or the counts are negative or all 0.
    """
    counts = _check_counts(train_counts)
    shares, classes = counts / counts.sum(axis=1, keepdims=True), counts.shape[1]
    true, _ = check_labels(true, true, classes)
    part = np.zeros(len(true), np.int64) if part is None else part
    present = np.bincount(part * classes + true, minlength=counts.size).reshape(counts.shape)
    run = np.zeros(len(counts), np.int64) if seeds is None else np.unique(seeds, return_inverse=True)[1]
    hits, sizes = np.zeros((2, run.max() + 1, classes))
    np.add.at(hits, run, present * shares)
    np.add.at(sizes, run, present)
    uniform, prior = 1 / classes, float((hits.sum(axis=1) / sizes.sum(axis=1)).mean())
    recalls = np.divide(hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    n = len(true) if n is None else n
    return Chance(
        uniform=uniform,
        prior=prior,
        uar=float((recalls.sum(axis=1) / np.count_nonzero(sizes, axis=1)).mean()),
        uniform_limit=_find_limit(n, uniform, level),
        prior_limit=_find_limit(n, prior, level),
        level=level,
    )


def _check_counts(train_counts: Array) -> Array:
    """Return the counts of each class of each training part, (p, c) float64."""
    counts = np.atleast_2d(np.asarray(train_counts, dtype=np.float64))
    if counts.ndim != 2 or counts.shape[1] < 2 or not (counts >= 0).all() or not (counts.sum(axis=1) > 0).all():
        listed = np.asarray(train_counts).tolist()
        raise ValueError(f"train_counts are {listed}; expected a count from 0 for each of two classes or more")
    return counts


def _find_limit(n: int, probability: float, level: float) -> float:
    """Return the smallest share of ``n`` hits that is not exceeded with probability ``level``."""
    hits = np.arange(n + 1)
    return float(np.searchsorted(special.bdtr(hits, n, min(probability, 1.0)), level) / n)
