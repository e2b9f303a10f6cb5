"""Is the difference between two methods real, for other people and for another training? A paired test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from fer_bench.evaluation.estimate import Estimate, measure_parts, measure_seed_variance, pair_series
from fer_bench.evaluation.flips import flip_parts


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference of two methods.

    Attributes:
        value: second minus first, in the metric's unit.
        low: lower end of the interval; likewise ``high``. Infinite where so few units allow none.
        level: of the interval, such as 0.95.
        p_value: two-sided; at most 1 - level exactly where the interval leaves out 0.
        unit_error: standard error from the units, given what was trained.
        seed_error: standard error from the seeds; 0 where they agree, None of one seed: the difference is then of
            these trained models only.
        df: degrees of freedom of the standard errors together.
        units: how many subjects, or samples where no subject is known.
        seeds: how many; of the method with more, where they are not as many.
        test: ``sign flips`` of units where no seed adds variance, else ``two variances``.
    """

    value: float
    low: float
    high: float
    level: float
    p_value: float
    unit_error: float
    seed_error: float | None
    df: float
    units: int
    seeds: int
    test: Literal["sign flips", "two variances"]

    @property
    def error(self) -> float:
        """The standard error."""
        return math.hypot(self.unit_error, self.seed_error or 0.0)

    @property
    def differs(self) -> bool:
        """Whether 1 - level is reached."""
        return self.p_value <= 1 - self.level


def compare_estimates(first: Estimate, second: Estimate, *, level: float = 0.95) -> Difference:
    """Return the difference of two methods that tested the same units.

    Two variances add up: that over units of the difference averaged over seeds, as another draw of people would give,
    and s² / k of the differences between k seeds, as other trainings would, or between k splits where methods were
    trained on several. Methods with the same seeds, or the same several splits, are paired by them; else their
    variances over seeds add up, and one with a single seed is taken to vary as the other does. The ratio is
    compared with Student's distribution; its degrees of freedom are those of F. E. Satterthwaite, "An approximate
    distribution of estimates of variance components" (Biometrics Bulletin 2, 1946). What a seed and a unit do together
    is in both variances, so that the sum errs upwards. X. Bouthillier et al., "Accounting for variance in machine
    learning benchmarks" (MLSys 3, 2021), show why the seeds' variance may not be left out.

    Where all seeds agree (nothing random in either method), or there is one seed, units' signs are flipped, see
    ``flip_parts``; with one seed the answer is about these trained models only. Measured error rates:
    docs/statistics.md; with two seeds that differ far more than people do, 0.05 is up to 0.13.

    Args:
        first: of one method; both are of one metric and have the same units in the same order.
        second: of the other.
        level: of the interval.

    Raises:
        ValueError: the units differ, or level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    value = second.value - first.value
    parts, shares, n = measure_parts(first, second), (first.shares + second.shares) / 2, first.n
    by_units = float(((parts - value * shares) ** 2).sum()) * n / (n - 1) if n > 1 else 0.0
    terms = _seed_terms(first, second)
    by_seeds = None if terms is None else sum(variance for variance, _ in terms)
    sources = [(by_units, n - 1), *(terms or [])]
    spread = sum(variance**2 / freedom for variance, freedom in sources if variance)
    df = sum(variance for variance, _ in sources) ** 2 / spread if spread else float(max(n - 1, 1))
    if n < 2:
        p_value, low, high = 1.0, -math.inf, math.inf
    elif by_seeds:
        error = math.sqrt(by_units + by_seeds)
        p_value = float(2 * special.stdtr(df, -abs(value) / error))
        reach = float(special.stdtrit(df, (1 + level) / 2)) * error
        low, high = value - reach, value + reach
    else:
        p_value, low, high = flip_parts(parts, shares, level)
    return Difference(
        value=value,
        low=low,
        high=high,
        level=level,
        p_value=p_value,
        unit_error=math.sqrt(by_units),
        seed_error=None if by_seeds is None else math.sqrt(by_seeds),
        df=df,
        units=first.units,
        seeds=max(len(first.seeds), len(second.seeds)),
        test="two variances" if by_seeds else "sign flips",
    )


def _seed_terms(first: Estimate, second: Estimate) -> list[tuple[float, int]] | None:
    """Return (variance of the difference, degrees of freedom) from the seeds; None where there is one seed only."""
    series = pair_series(first, second)
    terms = [(values.size, variance) for values in series if (variance := measure_seed_variance(values)) is not None]
    if not terms:
        return None
    if len(terms) < len(series):
        ((k, variance),) = terms
        return [(variance * (1 / k + 1), k - 1)]
    return [(variance / k, k - 1) for k, variance in terms]
