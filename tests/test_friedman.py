"""Tests over data sets against hand-computed cases and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fer_bench.evaluation.friedman import critical_difference, friedman_test


def test_friedman_by_hand():
    # Ranks 1 2 3 | 1 3 2 | 1 2 3 | 1 2 3 -> averages 1, 2.25, 2.75
    scores = np.array([[0.9, 0.8, 0.7], [0.9, 0.7, 0.8], [0.6, 0.5, 0.4], [3, 2, 1]])
    found = friedman_test(scores)
    assert found.average_ranks == pytest.approx([1, 2.25, 2.75])
    chi2 = 12 * 4 / (3 * 4) * (1 + 2.25**2 + 2.75**2 - 3 * 16 / 4)
    assert found.chi2 == pytest.approx(chi2)
    assert found.critical_difference is None, "of four data sets"
    assert friedman_test(-scores, higher_is_better=False).average_ranks == pytest.approx(found.average_ranks)


def test_friedman_does_not_depend_on_the_order_of_methods_or_data_sets():
    rng = np.random.default_rng(0)
    scores = rng.normal(np.arange(8) / 2, 1, size=(10, 8))
    found = friedman_test(scores)
    assert not found.exact
    assert 0 < found.p_value < 0.05
    assert friedman_test(scores[:, rng.permutation(8)]).p_value == found.p_value
    assert friedman_test(scores[rng.permutation(10)]).p_value == found.p_value


def test_friedman_is_that_of_scipy_with_ties():
    scores = np.round(np.random.default_rng(1).normal(size=(12, 5)), 0)
    peer = stats.friedmanchisquare(*scores.T)
    assert friedman_test(scores).chi2 == pytest.approx(peer.statistic)


def test_friedman_of_equal_and_of_unanimous_scores():
    assert friedman_test(np.ones((4, 3))).p_value == 1.0
    # Three boards agree with the first in one of 3! orders each.
    assert friedman_test(np.tile([3.0, 2.0, 1.0], (4, 1))).p_value == pytest.approx(1 / 6**3)


@pytest.mark.parametrize(("boards", "methods", "p"), [(2, 2, 1 / 2), (2, 3, 1 / 6), (3, 2, 1 / 4)])
def test_friedman_of_few_boards_is_exact(boards, methods, p):
    found = friedman_test(np.tile(np.arange(methods), (boards, 1)))
    assert (found.p_value, found.exact) == (pytest.approx(p), True)


def test_friedman_of_many_boards_is_near_chi_squared():
    scores = np.random.default_rng(4).normal(size=(40, 4)) + np.arange(4) * 0.2
    found = friedman_test(scores)
    assert not found.exact
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue, abs=0.01)


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_difference_is_that_of_demsars_table(methods, q):
    expected = q * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, rel=1e-3)


def test_critical_difference_is_that_of_scikit_posthocs():
    peer = pytest.importorskip("scikit_posthocs")
    scores = np.random.default_rng(2).normal(size=(15, 5)) + np.arange(5) * 0.6
    found = friedman_test(scores)
    p = np.asarray(peer.posthoc_nemenyi_friedman(scores))
    gaps = np.abs(found.average_ranks[:, None] - found.average_ranks[None, :])
    off = ~np.eye(5, dtype=bool)
    assert 0 < (p[off] < 0.05).sum() < 20, "some pairs differ and some do not"
    np.testing.assert_array_equal((p < 0.05)[off], (gaps > found.critical_difference)[off])


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        friedman_test(np.ones((1, 3)))
    with pytest.raises(ValueError, match="method 2 on data set 1 is not finite"):
        friedman_test(np.array([[1, 2, 3], [1, 2, math.nan]]))
