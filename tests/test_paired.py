"""Tests of paired answers against hand-computed cases and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fer_bench.evaluation.paired import mcnemar_test


def answers(only_first: int, only_second: int, both: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Return hits of two methods with so many discordant pairs."""
    first = np.array([1] * only_first + [0] * only_second + [1] * both)
    second = np.array([0] * only_first + [1] * only_second + [1] * both)
    return first, second


def test_mcnemar_by_hand():
    found = mcnemar_test(*answers(6, 0))
    assert (found.only_first, found.only_second, found.method) == (6, 0, "exact")
    assert found.p_value == pytest.approx(2 / 64)
    assert (found.cohens_g, found.odds_ratio) == (0.5, math.inf)
    found = mcnemar_test(*answers(5, 5))
    assert (found.p_value, found.cohens_g, found.odds_ratio) == (1.0, 0.0, 1.0)
    found = mcnemar_test(*answers(0, 0))
    assert found.p_value == 1.0
    assert math.isnan(found.cohens_g)
    assert math.isnan(found.odds_ratio)


def test_shared_answers_and_several_trainings_count_by_which_method_is_right_more_often():
    """A tie of two classes is half a hit; of three trainings, two hits are more than one."""
    found = mcnemar_test(np.array([0.5, 1, 2 / 3, 1 / 3, 0.5]), np.array([0, 1, 1 / 3, 2 / 3, 0.5]))
    assert (found.only_first, found.only_second) == (2, 1)
    assert found.p_value == 1


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 9), (12, 12), (3, 20)])
def test_exact_mcnemar_is_the_binomial_test(b, c):
    assert mcnemar_test(*answers(b, c)).p_value == pytest.approx(stats.binomtest(b, b + c).pvalue)


@pytest.mark.parametrize(("b", "c"), [(20, 20), (15, 30), (200, 260)])
def test_mid_p_mcnemar_lies_between_exact_and_half_a_step_below(b, c):
    found = mcnemar_test(*answers(b, c))
    exact = stats.binomtest(b, b + c).pvalue
    step = stats.binom.pmf(min(b, c), b + c, 0.5)
    assert found.method == "mid-p"
    assert found.p_value == pytest.approx(min(1, 2 * stats.binom.cdf(min(b, c), b + c, 0.5) - step))
    assert found.p_value <= exact


def test_mcnemar_is_that_of_statsmodels():
    peer = pytest.importorskip("statsmodels.stats.contingency_tables").mcnemar
    assert mcnemar_test(*answers(4, 13)).p_value == pytest.approx(peer([[30, 4], [13, 0]], exact=True).pvalue)
    large = peer([[30, 200], [260, 0]], exact=False, correction=False).pvalue
    assert mcnemar_test(*answers(200, 260)).p_value == pytest.approx(large, rel=0.02)
