"""By how much the best score of a search flatters: that of the inner folds, against that of the outer fold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """The mean of inner best minus outer score, both in the unit of a metric that is better where it is higher.

    Attributes:
        value: the mean over cells.
        low: lower end of its interval; likewise ``high``. None for searches in a single fold, which show no spread.
        level: of the interval.
    """

    value: float
    low: float | None
    high: float | None
    level: float


def measure_optimism(inner: Array, outer: Array, trainings: Array, *, level: float = 0.95) -> Optimism:
    """Return the optimism of a search, with Student's interval over folds.

    A person who raises the outer score of one fold raises the inner scores of all others, so that the mean over folds
    varies less than differences of single folds say, and the interval errs towards being wide. Seeds test the same
    people: only the folds of one seed count as draws.

    Args:
        inner: (p,) float, the inner best of each cell.
        outer: (p,) float, the score of its test part.
        trainings: (p,) int, the seed of each cell.
        level: of the interval.
    """
    differences = inner - outer
    value = float(differences.mean())
    seeds, code = np.unique(trainings, return_inverse=True)
    freedom = len(differences) - len(seeds)
    if not freedom:
        return Optimism(value=value, low=None, high=None, level=level)
    means = np.bincount(code, weights=differences) / np.bincount(code)
    variance = float(((differences - means[code]) ** 2).sum()) / freedom
    folds = len(differences) / len(seeds)
    reach = float(special.stdtrit(folds - 1, (1 + level) / 2)) * math.sqrt(variance / folds)
    return Optimism(value=value, low=value - reach, high=value + reach, level=level)
