"""Tests of paired answers against hand-computed cases and independent implementations."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from drawn_predictions import draw
from scipy import stats

from fer_bench.evaluation.checks import group_codes
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.paired import mcnemar_test, permutation_test


def answers(only_first: int, only_second: int, both: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of two classes, and two predictions with so many discordant pairs."""
    first = np.array([1] * only_first + [0] * only_second + [1] * both)
    second = np.array([0] * only_first + [1] * only_second + [1] * both)
    return np.ones(len(first), int), first, second


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


@pytest.mark.parametrize(("b", "c"), [(6, 0), (4, 9), (100, 140)])
def test_permutation_of_accuracy_over_samples_is_the_exact_sign_test(b, c):
    found = permutation_test(*answers(b, c), metric="accuracy")
    assert found.exact
    assert found.p_value == pytest.approx(stats.binomtest(b, b + c).pvalue)
    assert found.difference == pytest.approx((b - c) / (b + c + 30))


def test_exact_permutation_over_subjects_by_hand():
    # Three subjects; shares of the difference +2, +1, -1 of 8 samples: |sum| of 8 outcomes: 4, 2, 2, 0, 0, 2, 2, 4.
    true = np.zeros(8, int)
    first = np.array([0, 0, 0, 0, 0, 0, 1, 0])
    second = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    subjects = np.array(["a", "a", "a", "b", "b", "c", "c", "c"])
    found = permutation_test(true, first, second, subjects, metric="accuracy")
    assert (found.exact, found.units) == (True, 3)
    assert found.difference == pytest.approx(2 / 8)
    assert found.p_value == pytest.approx(6 / 8)


@pytest.mark.parametrize("metric", ["accuracy", "uar"])
@pytest.mark.parametrize("grouped", [False, True])
def test_permutation_is_that_of_scipy(metric, grouped):
    true, first = draw(10, n=240)
    second = draw(11, n=240, signal=0.0)[1]
    second = np.where(np.arange(240)[:, None] % 3 == 0, second, first)
    a, b = first.argmax(1), second.argmax(1)
    groups = np.arange(240) // 8 if grouped else None
    units, n_units = group_codes(groups, 240)
    weights = 1 / 240 if metric == "accuracy" else 1 / (4 * np.bincount(true)[true])
    shares = [np.bincount(units, weights=weights * (x == true), minlength=n_units) for x in (a, b)]

    def difference(x, y, axis):
        return np.sum(x - y, axis=axis)

    seed = {"rng" if "rng" in inspect.signature(stats.permutation_test).parameters else "random_state": 0}  # SciPy 1.15
    peer = stats.permutation_test(
        shares, difference, permutation_type="samples", n_resamples=20_000, vectorized=True, **seed
    )
    found = permutation_test(true, a, b, groups, metric=metric, resamples=20_000)
    assert found.difference == pytest.approx(float(peer.statistic))
    assert found.difference == pytest.approx(
        STANDARD[metric].compute(true, first) - STANDARD[metric].compute(true, second)
    )
    assert found.p_value == pytest.approx(float(peer.pvalue), abs=0.01)


def test_permutation_bounds_what_no_random_outcome_reaches():
    # 30 subjects of 30 other sizes, all for the first: of 2^30 outcomes two are as large.
    subjects = np.repeat(np.arange(30), np.arange(1, 31))
    true = np.zeros(len(subjects), int)
    found = permutation_test(true, true, true + 1, subjects, metric="accuracy", resamples=999)
    sizes = np.arange(1, 31)
    assert not found.exact
    assert found.p_value == pytest.approx(2 * math.exp(-(sizes.sum() ** 2) / (2 * (sizes**2).sum())), rel=1e-5)
    assert 2 * 0.5**30 < found.p_value < 1 / 1000


def test_permutation_of_equal_answers_finds_nothing():
    true, probabilities = draw(12)
    found = permutation_test(true, probabilities.argmax(1), probabilities.argmax(1))
    assert (found.difference, found.p_value, found.exact) == (0.0, 1.0, True)


def test_permutation_is_repeatable_symmetric_and_blind_to_order():
    true, first = draw(13)
    a, b = first.argmax(1), draw(14, signal=0.5)[1].argmax(1)
    subjects = np.arange(300) // 6
    found = permutation_test(true, a, b, subjects)
    assert found == permutation_test(true, a, b, subjects)
    turned = permutation_test(true, b, a, subjects)
    assert (turned.p_value, turned.difference) == pytest.approx((found.p_value, -found.difference))
    order = np.random.default_rng(0).permutation(300)
    mixed = permutation_test(true[order], a[order], b[order], subjects[order])
    assert mixed.p_value == found.p_value


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric is 'f1'; expected 'accuracy' or 'uar'"):
        permutation_test(*answers(1, 1), metric="f1")
