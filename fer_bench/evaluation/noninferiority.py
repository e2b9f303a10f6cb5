"""Has a method got worse by more than a margin? A paired test with three answers, of which one is "too few data".

PASS is the test of W. C. Blackwelder, "Proving the null hypothesis in clinical trials" (Controlled Clinical Trials 3,
1982), with Student's bound on what each unit adds to the difference; where a few units lost much more than the others,
it is lowered by what their skewness asks for (P. Hall, "On the removal of skewness by transformation", Journal of the
Royal Statistical Society B 54, 1992). FAIL asks that a drop is shown, by a one-sided test: the signs of the units are
flipped, see ``flip_parts``. With several seeds the variance over seeds is added, and the upper bound is Student's too,
as in ``compare_estimates``.

Where the answers of few units changed (fewer than ``FEW_CHANGED``), their variance is too small to be true as often as
it is too large, and only the lower bound gets a term for what was not seen: the rule of three, -ln(alpha) / n
(J. A. Hanley and A. Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983), n being the units
that have samples of the class in which one unit counts most. The same predictions are no few data: nothing got worse,
and the verdict is PASS.

With several seeds of the first method, one of the second will do: it is then taken to vary over seeds as the first
does. With one seed of each the test speaks of these two trained models on other samples (subjects) of the same kind;
how much another training of the same method would differ is then no part of it, and a margin must leave room for that.
Measured error rates: docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import group_codes
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import Estimate, measure, measure_parts
from fer_bench.evaluation.influence import measure_slope
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.power import MOST, count_least
from fer_bench.evaluation.variances import measure_tails

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]

FEW_CHANGED = 20
"""Units whose answers changed: with fewer, the lower bound has a term for changes that were not seen."""
CHANGED = 1e-9
"""A unit's part of the difference above this is a change."""
POWER = 0.9
"""Of the smallest drop that data are said to show."""


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """What a non-inferiority test found. All differences are in the metric's unit, positive where the second is better.

    Attributes:
        verdict: ``PASS``: a drop of the margin or more is excluded, or nothing changed. ``FAIL``: it is not excluded,
            and a drop is shown. ``UNDERPOWERED``: neither can be told from these data.
        identical: whether both gave the same predictions; the bounds are then 0.
        difference: second minus first.
        low: one-sided lower bound; likewise ``high``, the upper one. Each is wrong in a share ``alpha`` of cases.
        standard_error: of the difference, from units and seeds.
        p_value: of the hypothesis that the drop is as large as the margin or larger.
        detectable_drop: the smallest true drop for which data like these give a ``high`` below 0 in 9 of 10 cases.
        units: subjects or samples that were compared.
        units_needed: the least and the most that would settle it, as far as these data tell how much units differ.
        seeds: trainings of the method with more; with one, the verdict is of these trained models only.
        margin: of the test; likewise ``alpha``.
    """

    verdict: Verdict
    identical: bool
    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    detectable_drop: float
    units: int
    units_needed: tuple[int, int]
    seeds: int
    margin: float
    alpha: float


def noninferiority_test(
    metric: Metric,
    true: Array,
    first: Array,
    second: Array,
    groups: Array | None = None,
    seeds: Array | None = None,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
) -> NonInferiority:
    """Test whether the second method is worse than the first by ``margin`` or more, on the same samples and seeds.

    Args:
        metric: any; a gain is positive also where lower is better.
        true: (n,) int labels.
        first: (n, c) probabilities, of the baseline.
        second: (n, c) probabilities.
        groups: (n,) names of subjects; or sample ids, if samples were tested once per seed. None: each row is a unit.
        seeds: (n,) int, the seed of each row; None: all are of one.
        margin: above 0, in the metric's unit.
        alpha: above 0 and below 0.5.

    Raises:
        ValueError: predictions, groups, margin or alpha are not valid, or there is but one unit.
    """
    before, after = (measure(metric, true, method, seeds, groups) for method in (first, second))
    identical, units = np.array_equal(np.asarray(first), np.asarray(second)), group_codes(groups, len(true))[1]
    return judge_estimates(before, after, units, identical=identical, margin=margin, alpha=alpha)


def judge_estimates(
    before: Estimate,
    after: Estimate,
    units: int,
    *,
    identical: bool,
    margin: float,
    alpha: float,
    fail_alpha: float | None = None,
    power: float = POWER,
) -> NonInferiority:
    """Test whether a method is worse than another by ``margin`` or more; the module says how.

    Args:
        before: of the first method; ``after`` of the second, of the same metric and units.
        after: likewise.
        units: how many subjects or samples there are.
        identical: whether both gave the same predictions.
        margin: above 0, in the metric's unit.
        alpha: above 0 and below 0.5, of the lower bound and of PASS.
        fail_alpha: of the upper bound and of FAIL, where guards share alpha; None: ``alpha``.
        power: with which the number of units that is needed settles it.

    Raises:
        ValueError: units, margin or alpha are not valid, or there is but one unit.
    """
    _check_terms(units, margin, alpha)
    sign, fail_alpha = 1.0 if before.metric.higher_is_better else -1.0, fail_alpha or alpha
    estimate = compare_estimates(before, after, level=1 - 2 * fail_alpha)
    difference, high = sign * estimate.value, max(sign * estimate.low, sign * estimate.high)
    parts = sign * measure_parts(before, after)
    changed = int(np.count_nonzero(np.abs(parts) > CHANGED))
    few = 0 < changed < FEW_CHANGED or (changed == 0 and not identical)
    unseen = _rule_of_three(before, alpha)
    error = math.hypot(estimate.error, unseen if few else 0.0)
    t, t_fail = (float(special.stdtrit(estimate.df, 1 - level)) for level in (alpha, fail_alpha))
    low = difference - (t + _correct_skew(parts, t)) * error
    verdict: Verdict = "PASS" if identical or low > -margin else "FAIL" if high < 0 else "UNDERPOWERED"
    shortfall = (difference + margin) / error if error else math.inf * (difference + margin)
    own = parts - difference * (before.shares + after.shares) / 2
    return NonInferiority(
        verdict=verdict,
        identical=identical,
        difference=difference,
        low=low,
        high=high,
        standard_error=estimate.error,
        p_value=float(special.stdtr(estimate.df, -shortfall)),
        detectable_drop=(t_fail + float(special.ndtri(POWER))) * estimate.error,
        units=units,
        units_needed=_count_units(own, changed / before.n, unseen, units, (margin, alpha, power)),
        seeds=estimate.seeds,
        margin=margin,
        alpha=alpha,
    )


def _check_terms(units: int, margin: float, alpha: float) -> None:
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin is {margin}; expected a number above 0, such as 0.02")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; expected a number between 0 and 0.5, such as 0.05")
    if units < 2:
        raise ValueError("there is one subject (or sample); expected two or more to compare")


def show_equivalence(
    metric: Metric,
    true: Array,
    first: Array,
    second: Array,
    groups: Array | None = None,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
) -> tuple[bool, NonInferiority]:
    """Return whether the two differ by less than ``margin`` either way, and the test of the second against the first.

    Two one-sided tests at ``alpha`` (D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the
    power approach", Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). Arguments: ``noninferiority_test``.
    """
    test = noninferiority_test(metric, true, first, second, groups, margin=margin, alpha=alpha)
    turned = noninferiority_test(metric, true, second, first, groups, margin=margin, alpha=alpha)
    return test.verdict == turned.verdict == "PASS", test


def _correct_skew(parts: Array, t: float) -> float:
    """Return what to add to a quantile ``t`` of a lower bound where the units' parts are skewed to losses; else 0."""
    centred = parts - parts.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread <= CHANGED:
        return 0.0
    skewness = float((centred**3).mean()) / spread**3
    return max(0.0, -skewness) * (1 + 2 * t**2) / (6 * math.sqrt(len(parts)))


def _rule_of_three(estimate: Estimate, alpha: float) -> float:
    """Return the standard error whose bound is the rule of three for the units' largest step; 0 without counts."""
    if estimate.tables is None:
        return 0.0
    reach = _largest_step(estimate.metric, estimate.tables)
    return -math.log(alpha) / float(special.ndtri(1 - alpha)) * reach


def _largest_step(metric: Metric, tables: Array) -> float:
    """Return by how much one unit's answers move a metric of counts: all that it said, or all that it said of the class
    in which that counts most, on average over the units that have any.

    Args:
        metric: of counts.
        tables: (n, c, c) float, confusion matrices of the units.
    """
    slope = measure_slope(metric, tables.sum(axis=0))
    reach = slope.max(axis=1) - slope.min(axis=1)
    held = tables.sum(axis=2)
    samples, holders = held.sum(axis=0), np.count_nonzero(held, axis=0)
    by_class = (reach * samples)[samples > 0] / holders[samples > 0]
    return max(float(reach @ samples) / len(tables), float(by_class.max()))


def _count_units(
    parts: Array, changed: float, unseen: float, units: int, wanted: tuple[float, float, float]
) -> tuple[int, int]:
    """Return how many units exclude a drop of the margin where there is none: at the least and at the most.

    The range is that of the variance over units with 90 %, see ``measure_tails``. What seeds add does not fall with
    more units, and is left out.

    Args:
        parts: (n,) float, what each unit adds to the difference, less its share of it.
        changed: share of the units whose answers changed.
        unseen: standard error of what was not seen, where few answers changed.
        units: how many there are, before any were merged into n.
        wanted: margin, alpha of the lower bound, and the power.
    """
    variance, df = float((parts**2).sum()) * len(parts) / (len(parts) - 1), measure_tails(parts)
    margin, z, z_power = wanted[0], float(special.ndtri(1 - wanted[1])), float(special.ndtri(wanted[2]))

    def count(variance: float) -> int:
        def excludes(n: int) -> bool:
            error = math.sqrt(variance * units / n)
            return z_power * error + z * math.hypot(error, unseen * units / n * (n * changed < FEW_CHANGED)) < margin

        return count_least(excludes, 2) or MOST

    least, most = (count(variance * df / tail) for tail in special.chdtri(df, np.array([0.05, 0.95])).tolist())
    return least, most
