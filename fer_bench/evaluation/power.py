"""How many subjects, seeds and data sets tell two methods apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.variances import Variances

MOST = 10_000_000
"""Larger numbers of subjects, seeds or data sets are not looked for."""
QUANTILES = (np.arange(200) + 0.5) / 200
"""At which the distribution of a standard error is taken."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A planned comparison of two methods.

    Attributes:
        units: subjects, or samples where no subject is known, of each data set.
        seeds: trainings of each method.
        datasets: with two or more, the question is whether the methods differ on data sets of this kind.
    """

    units: int
    seeds: int = 1
    datasets: int = 1


def find_power(variances: Variances, design: Design, difference: float, alpha: float = 0.05) -> float:
    """Return the probability that two methods that truly differ by ``difference`` are told apart, 0 to 1.

    Of the two-sided tests of ``compare_estimates`` (one data set) and ``compare_across`` (several): Student's
    statistic is then noncentral (J. Cohen, "Statistical power analysis for the behavioral sciences", 2nd ed., 1988,
    section 2.5). Its standard error counts what a training and a unit do together twice, once in the variance over
    units and once in that over seeds. With one seed it is the power for these trained models. On one data set fewer
    than ``FEWEST_UNITS`` subjects tell nothing apart. How it agrees with simulation: docs/statistics.md.

    Args:
        variances: what makes the difference vary.
        design: what is planned.
        difference: from 0, in the metric's unit.
        alpha: of the test.
    """
    error, estimated, df = _measure_error(variances, design)
    if df <= 0:
        return 0.0
    if error == 0:
        return float(difference > 0)
    critical, shift = float(special.stdtrit(df, 1 - alpha / 2)), difference / error
    # Over draws of the standard error.
    reach = critical * estimated / error * np.sqrt(special.chdtri(df, QUANTILES) / df)
    return float((special.ndtr(shift - reach) + special.ndtr(-shift - reach)).mean())


def find_difference(variances: Variances, design: Design, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the least true difference that is shown with probability ``power``; infinite where none is.

    The arguments are those of ``find_power``.
    """
    error, _, df = _measure_error(variances, design)
    if df <= 0 or error == 0:
        return math.inf if df <= 0 else 0.0
    low, high = 0.0, error
    while find_power(variances, design, high, alpha) < power:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        reached = find_power(variances, design, middle, alpha) >= power
        low, high = (low, middle) if reached else (middle, high)
    return high


def count_units(variances: Variances, design: Design, difference: float, power: float = 0.8) -> int | None:
    """Return how many units show a difference with a power, seeds and data sets as designed; None: no number does."""
    return count_least(lambda n: find_power(variances, replace(design, units=n), difference) >= power, 2)


def count_seeds(variances: Variances, design: Design, difference: float, power: float = 0.8) -> int | None:
    """Return how many seeds, two or more, show a difference with a power; None: no number does, or none is known."""
    if variances.seed is None:
        return None
    return count_least(lambda k: find_power(variances, replace(design, seeds=k), difference) >= power, 2)


def count_datasets(variances: Variances, design: Design, difference: float, power: float = 0.8) -> int | None:
    """Return how many data sets, two or more, show a difference with a power; None: how sets differ is not known."""
    if variances.dataset is None:
        return None
    return count_least(lambda d: find_power(variances, replace(design, datasets=d), difference) >= power, 2)


def _measure_error(variances: Variances, design: Design) -> tuple[float, float, float]:
    """Return the standard error of the difference, that of the test, and its degrees of freedom, 0 where nothing can be
    told apart.
    """
    n, k = design.units, design.seeds
    true = variances.find_variance(n, k)
    if design.datasets > 1:
        if variances.dataset is None:
            raise ValueError(f"how methods differ between data sets is not known; expected it for {design.datasets}")
        error = math.sqrt((variances.dataset.value + true) / design.datasets)
        return error, error, design.datasets - 1
    seed, interaction = (one.value if one else 0.0 for one in (variances.seed, variances.interaction))
    by_units, by_seeds = (variances.unit.value + interaction / k) / n, (seed + interaction / n) / k
    if k == 1 or by_seeds == 0:
        error = math.sqrt(by_units)
        return error, error, n - 1 if n >= FEWEST_UNITS else 0
    if n < 2:
        return 0.0, 0.0, 0
    spread = by_units**2 / (n - 1) + by_seeds**2 / (k - 1)
    return math.sqrt(true), math.sqrt(by_units + by_seeds), (by_units + by_seeds) ** 2 / spread


def count_least(reaches: Callable[[int], bool], least: int) -> int | None:
    """Return the least number from ``least`` that reaches, as all larger ones do; None where ``MOST`` does not."""
    low, high = least - 1, least
    while not reaches(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
