"""Has a method got worse by more than a margin? A paired test with three answers, of which one is "too few data"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, group_codes
from fer_bench.evaluation.classification import count_answers
from fer_bench.evaluation.influence import measure_influence, measure_slope
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.resampling import resample_metric

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]

POWER = 0.9
"""Of the smallest drop that data are said to show."""


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """What a non-inferiority test found. All differences are in the metric's unit, positive where the second is better.

    Attributes:
        verdict: ``PASS``: a drop of the margin or more is excluded. ``FAIL``: it is not, and there is a drop.
            ``UNDERPOWERED``: neither can be told from these data.
        difference: second minus first.
        low: one-sided lower bound; likewise ``high``, the upper one. Each is wrong in a share ``alpha`` of cases.
        standard_error: of the difference.
        p_value: of the hypothesis that the drop is as large as the margin or larger.
        detectable_drop: the smallest true drop for which data like these give a ``high`` below 0 in 9 of 10 cases.
        units: subjects or samples that were compared.
        units_needed: how many would settle it: with so many, ``high - low`` is the margin, and either answer holds.
        margin: of the test; likewise ``alpha``.
    """

    verdict: Verdict
    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    detectable_drop: float
    units: int
    units_needed: int
    margin: float
    alpha: float


def noninferiority_test(
    metric: Metric,
    true: Array,
    first: Array,
    second: Array,
    groups: Array | None = None,
    *,
    margin: float = 0.02,
    alpha: float = 0.05,
) -> NonInferiority:
    """Test whether the second method is worse than the first by ``margin`` or more, on the same samples.

    The one-sided bounds are Student's, on what each unit adds to the difference: its influence value, the derivative
    of metric(second) - metric(first) by the unit's weight (the infinitesimal jackknife: B. Efron, "The jackknife, the
    bootstrap and other resampling plans", 1982, chapter 6). It serves UAR, which is no mean of samples, as well as
    accuracy, and whole subjects as well as samples. PASS is the test of W. C. Blackwelder, "Proving the null
    hypothesis in clinical trials" (Controlled Clinical Trials 3, 1982). FAIL asks that a drop is shown as well, so that
    a method that did not get worse fails in at most ``alpha`` of cases, however few the data.

    Where no answer changed, a variance from the data would be 0 and ten samples as good as ten thousand. So the
    standard error has a floor for which the bound is then the rule of three, -ln(alpha) / n (J. A. Hanley and A.
    Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983), n being the units, subjects where
    they are known, that have samples of the class in which one unit counts most. A metric that is
    neither of counts nor a mean is bootstrapped instead.

    It speaks of these two trained models on other samples (subjects) of the same kind. How much another training of
    the same method would differ is no part of it; a margin must leave room for that.

    Args:
        metric: any; a gain is positive also where lower is better.
        true: (n,) int labels.
        first: (n, c) probabilities, of the baseline.
        second: (n, c) probabilities.
        groups: (n,) names of subjects; or sample ids, if samples were tested once per seed. None: each row is a unit.
        margin: above 0, in the metric's unit.
        alpha: above 0 and below 0.5.

    Raises:
        ValueError: predictions, groups, margin or alpha are not valid, or there is but one unit.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin is {margin}; expected a number above 0, such as 0.02")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; expected a number between 0 and 0.5, such as 0.05")
    labels, first = check_predictions(true, first)
    _, second = check_predictions(true, second)
    units, n = group_codes(groups, len(labels))
    if n < 2:
        raise ValueError("there is one subject (or sample); expected two or more to compare")
    sign = 1.0 if metric.higher_is_better else -1.0
    difference = sign * (metric.score(labels, second) - metric.score(labels, first))
    variance = _variance(metric, labels, first, second, units, n)
    floor = (
        -math.log(alpha) / float(scipy.stats.norm.isf(alpha)) * _largest_step(metric, labels, first, units, n)
    ) ** 2
    error = math.sqrt(variance + floor)
    t = float(scipy.stats.t.isf(alpha, n - 1))
    low, high = difference - t * error, difference + t * error
    verdict: Verdict = "PASS" if low > -margin else "FAIL" if high < 0 else "UNDERPOWERED"
    shortfall = (difference + margin) / error if error else math.inf * (difference + margin)
    return NonInferiority(
        verdict=verdict,
        difference=difference,
        low=low,
        high=high,
        standard_error=error,
        p_value=float(scipy.stats.t.sf(shortfall, n - 1)),
        detectable_drop=(t + float(scipy.stats.norm.ppf(POWER))) * error,
        units=n,
        units_needed=_units_needed(n, variance, floor, margin, alpha),
        margin=margin,
        alpha=alpha,
    )


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
    found = noninferiority_test(metric, true, first, second, groups, margin=margin, alpha=alpha)
    return -margin < found.low and found.high < margin, found


def _variance(metric: Metric, true: Array, first: Array, second: Array, units: Array, n: int) -> float:
    """Return the variance of metric(second) - metric(first) from ``n`` units."""
    if metric.from_confusion is None and metric.per_sample is None:
        values = resample_metric(metric, true, [first, second], units, resamples=1000)
        return float((values[1] - values[0]).var(ddof=1))
    before, after = (measure_influence(metric, true, method, units, n) for method in (first, second))
    influence = after - before
    return float((influence**2).sum() * n / (n - 1))


def _largest_step(metric: Metric, true: Array, probabilities: Array, units: Array, n: int) -> float:
    """Return by how much one unit's answers move a metric of counts: all that it said, or all that it said of the class
    in which that counts most, on average over the units that have any; 0 for metrics of other kinds.
    """
    if metric.from_confusion is None:
        return 0.0
    gradient = measure_slope(metric, count_answers(true, probabilities)[0])
    reach = gradient.max(axis=1) - gradient.min(axis=1)
    samples = np.bincount(true, minlength=len(reach))
    holders = np.bincount(np.unique(units * len(reach) + true) % len(reach), minlength=len(reach))
    by_class = (reach * samples)[samples > 0] / holders[samples > 0]
    return max(float(reach[true].sum() / n), float(by_class.max()))


def _units_needed(n: int, variance: float, floor: float, margin: float, alpha: float) -> int:
    """Return how many units make the two bounds lie ``margin`` apart: variance falls with n, the floor with n squared.

    Student's quantile is that of the number returned.
    """
    needed = n
    for _ in range(20):
        aim = (margin / (2 * float(scipy.stats.t.isf(alpha, max(needed - 1, 1))))) ** 2
        root = math.sqrt(variance**2 + 4 * floor * aim)
        previous, needed = needed, max(2, math.ceil(n * (variance + root) / (2 * aim)))
        if needed == previous:
            break
    return needed
