"""Has a method got worse by more than a margin? A paired test with three answers, of which one is "too few data".

PASS is the test of W. C. Blackwelder, "Proving the null hypothesis in clinical trials" (Controlled Clinical Trials 3,
1982), with the bound of ``lower_bound``. FAIL asks that a drop is shown, by a one-sided test: the signs of the units
are flipped, see ``flip_parts``. With several seeds the variance over seeds is added, and the upper bound is Student's,
as in ``compare_estimates``. The same predictions are no few data: nothing got worse, and the verdict is PASS.

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
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.lower_bound import measure_scatter
from fer_bench.evaluation.metrics import Metric

Verdict = Literal["PASS", "FAIL", "UNDERPOWERED"]

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
        detectable_drop: the smallest true drop for which data like these give a ``high`` below 0 in 9 of 10 cases;
            infinite where there is none.
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
    scatter = measure_scatter(before, after, estimate, units)
    low = difference if identical else difference - scatter.find_reach(alpha)
    span = before.metric.highest - before.metric.lowest  # no difference is larger
    low, high = max(low, -span), min(high, span)
    verdict: Verdict = "PASS" if identical or low > -margin else "FAIL" if high < 0 else "UNDERPOWERED"
    t = float(special.stdtrit(estimate.df, 1 - fail_alpha))
    detectable = (t + float(special.ndtri(POWER))) * estimate.error
    return NonInferiority(
        verdict=verdict,
        identical=identical,
        difference=difference,
        low=low,
        high=high,
        standard_error=estimate.error,
        p_value=0.0 if identical else scatter.find_p(difference + margin, alpha),
        detectable_drop=detectable if detectable <= span else math.inf,
        units=units,
        units_needed=scatter.count_units(margin, alpha, power),
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
