"""Intervals, tests and rankings against hand-computed cases and independent implementations."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats

from fer_bench.evaluation.chance import measure_chance, score_majority
from fer_bench.evaluation.checks import group_codes
from fer_bench.evaluation.folds import adjust_holm, corrected_t_test, critical_difference, friedman_test
from fer_bench.evaluation.intervals import bootstrap_interval, difference_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.paired import mcnemar_test, permutation_test
from fer_bench.evaluation.ranking import (
    adjust_pairs,
    compare_pairs,
    find_rank_intervals,
    find_tiers,
    measure_best,
    name_tiers,
    resampled_ranks,
)
from fer_bench.evaluation.resampling import resample_metric


def draw(seed: int, n: int = 300, classes: int = 4, signal: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + signal * np.eye(classes)[true]
    return true, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def plain(metric: Metric) -> Metric:
    """Return the metric without what makes its bootstrap fast."""
    return Metric(
        name=metric.name,
        title=metric.title,
        compute=metric.compute,
        higher_is_better=metric.higher_is_better,
        lowest=metric.lowest,
        highest=metric.highest,
    )


# Intervals


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("grouped", [False, True])
def test_fast_resamples_are_those_of_computing_anew(name, grouped):
    true, probabilities = draw(0)
    groups = np.repeat(np.arange(60), 5) if grouped else None
    fast = resample_metric(STANDARD[name], true, [probabilities], groups, resamples=1500)[0]
    slow = resample_metric(plain(STANDARD[name]), true, [probabilities], groups, resamples=1500, seed=1)[0]
    assert fast.mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / math.sqrt(1500) * math.sqrt(2))
    assert fast.std() == pytest.approx(slow.std(), rel=0.1)


def test_interval_of_accuracy_is_near_that_of_the_binomial():
    true, probabilities = draw(1, n=2000)
    found = bootstrap_interval(STANDARD["accuracy"], true, probabilities, resamples=20_000)
    hits = int((probabilities.argmax(1) == true).sum())
    peer = stats.binomtest(hits, 2000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.001)
    assert (found.estimate, found.units, found.few_units) == (hits / 2000, 2000, False)


def test_interval_of_a_mean_is_near_that_of_scipy():
    true, probabilities = draw(2, n=500)
    found = bootstrap_interval(STANDARD["nll"], true, probabilities, resamples=20_000)
    losses = STANDARD["nll"].per_sample(true, probabilities)
    peer = stats.bootstrap((losses,), np.mean, method="percentile", n_resamples=20_000).confidence_interval
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.01)


def test_subjects_widen_the_interval_when_their_samples_are_alike():
    true, probabilities = draw(3, n=100)
    copies, groups = np.repeat(np.arange(100), 10), np.repeat(np.arange(100), 10)
    once = bootstrap_interval(STANDARD["uar"], true, probabilities, resamples=10_000)
    naive = bootstrap_interval(STANDARD["uar"], true[copies], probabilities[copies], resamples=10_000)
    honest = bootstrap_interval(STANDARD["uar"], true[copies], probabilities[copies], groups, resamples=10_000)
    assert honest.high - honest.low == pytest.approx(once.high - once.low, rel=0.05)
    assert naive.high - naive.low == pytest.approx((once.high - once.low) / math.sqrt(10), rel=0.1)


def test_few_subjects_are_flagged():
    true, probabilities = draw(4, n=100)
    found = bootstrap_interval(STANDARD["uar"], true, probabilities, np.arange(100) % 9)
    assert (found.units, found.few_units) == (9, True)
    assert not bootstrap_interval(STANDARD["uar"], true, probabilities, np.arange(100) % 10).few_units


def test_perfect_predictions_have_an_interval_within_the_range():
    true = np.arange(40) % 4
    found = bootstrap_interval(STANDARD["uar"], true, np.eye(4)[true])
    assert (found.low, found.high) == (1.0, 1.0)


def test_resamples_are_repeatable_and_shared_by_methods():
    true, probabilities = draw(5)
    for groups in (None, np.arange(300) // 10):
        for name in ("uar", "brier", "ece"):
            first, second = resample_metric(STANDARD[name], true, [probabilities] * 2, groups, resamples=20, seed=7)
            np.testing.assert_array_equal(first, second)
            again = resample_metric(STANDARD[name], true, [probabilities] * 2, groups, resamples=20, seed=7)[0]
            np.testing.assert_array_equal(first, again)
            other = resample_metric(STANDARD[name], true, [probabilities] * 2, groups, resamples=20, seed=8)[0]
            assert (first != other).any()


def test_difference_uses_the_pairing():
    true, first = draw(6, n=1000)
    second = first.copy()
    second[:10] = np.roll(first[:10], 1, axis=1)
    found = difference_interval(STANDARD["accuracy"], true, first, second)
    assert 0 <= found.low <= found.estimate <= found.high < 0.02
    assert difference_interval(STANDARD["accuracy"], true, first, first).high == 0.0


@pytest.mark.slow
def test_a_large_data_set_takes_seconds():
    true, probabilities = draw(7, n=35_887, classes=7)
    for groups in (None, np.arange(35_887) // 10):
        started = time.perf_counter()
        bootstrap_interval(STANDARD["uar"], true, probabilities, groups, resamples=1000)
        assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"] * 300, "there is one subject"),
        (["a"] * 299, "299 groups and 300 samples"),
        ([None] + ["a"] * 299, "1 of 300 samples have no group"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    true, probabilities = draw(8)
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(STANDARD["uar"], true, probabilities, np.array(groups, dtype=object))


def test_a_level_that_is_no_probability_is_refused():
    true, probabilities = draw(8)
    with pytest.raises(ValueError, match="level is 95"):
        bootstrap_interval(STANDARD["uar"], true, probabilities, level=95)


def test_no_methods_are_refused():
    with pytest.raises(ValueError, match="there are no methods"):
        resample_metric(STANDARD["uar"], np.array([0, 1]), [])


# Paired tests


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

    peer = stats.permutation_test(
        shares, difference, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=0
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


# Folds and data sets


def test_corrected_t_test_by_hand():
    # mean 2, variance 1, J = 5 folds, ratio 1/4: t = 2 / sqrt(0.2 + 0.25)
    differences = np.array([1.0, 2.0, 3.0, 1.0, 3.0])
    found = corrected_t_test(differences, 1 / 4)
    assert found.t == pytest.approx(2 / math.sqrt(0.45))
    assert (found.difference, found.df, found.d_z) == (2.0, 4, 2.0)
    assert found.p_value == pytest.approx(2 * stats.t.sf(2 / math.sqrt(0.45), 4))


def test_without_overlap_it_is_the_plain_t_test():
    differences = np.random.default_rng(0).normal(0.3, 1, size=30)
    found, peer = corrected_t_test(differences, 0.0), stats.ttest_1samp(differences, 0.0)
    assert (found.t, found.p_value) == pytest.approx((peer.statistic, peer.pvalue))
    assert corrected_t_test(differences, 1 / 9).p_value > found.p_value


def test_folds_that_all_agree():
    assert corrected_t_test(np.zeros(5), 0.25).p_value == 1.0
    found = corrected_t_test(np.full(5, -0.1), 0.25)
    assert (found.p_value, found.t, found.d_z) == (0.0, -math.inf, -math.inf)


@pytest.mark.parametrize(
    ("differences", "ratio", "message"),
    [
        ([0.1], 0.25, r"shape \(1,\)"),
        ([0.1, math.nan], 0.25, "fold 1 is not finite"),
        ([0.1, 0.2], -1, "test_train_ratio is -1"),
    ],
)
def test_folds_that_do_not_fit_are_refused(differences, ratio, message):
    with pytest.raises(ValueError, match=message):
        corrected_t_test(np.array(differences), ratio)


def test_holm_by_hand():
    # sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1 -> 0.02, 0.03, 0.06, 0.06
    assert adjust_holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert adjust_holm(np.array([])).tolist() == []
    with pytest.raises(ValueError, match="expected a list of numbers from 0 to 1"):
        adjust_holm(np.array([0.1, math.nan]))


def test_holm_is_that_of_statsmodels():
    peer = pytest.importorskip("statsmodels.stats.multitest").multipletests
    p = np.random.default_rng(0).uniform(size=50) ** 3
    assert adjust_holm(p) == pytest.approx(peer(p, method="holm")[1])


def test_friedman_by_hand():
    # Ranks 1 2 3 | 1 3 2 | 1 2 3 | 1 2 3 -> averages 1, 2.25, 2.75
    scores = np.array([[0.9, 0.8, 0.7], [0.9, 0.7, 0.8], [0.6, 0.5, 0.4], [3, 2, 1]])
    found = friedman_test(scores)
    assert found.average_ranks == pytest.approx([1, 2.25, 2.75])
    chi2 = 12 * 4 / (3 * 4) * (1 + 2.25**2 + 2.75**2 - 3 * 16 / 4)
    assert found.chi2 == pytest.approx(chi2)
    assert found.f == pytest.approx(3 * chi2 / (8 - chi2))
    assert friedman_test(-scores, higher_is_better=False).average_ranks == pytest.approx(found.average_ranks)


def test_friedman_is_that_of_scipy_with_ties():
    scores = np.round(np.random.default_rng(1).normal(size=(12, 5)), 0)
    peer = stats.friedmanchisquare(*scores.T)
    assert friedman_test(scores).chi2 == pytest.approx(peer.statistic)


def test_friedman_of_equal_and_of_unanimous_scores():
    assert friedman_test(np.ones((4, 3))).p_value == 1.0
    assert friedman_test(np.tile([3.0, 2.0, 1.0], (4, 1))).p_value == 0.0


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


# Chance


def test_chance_by_hand():
    found = measure_chance(np.array([0, 0, 0, 1]), np.array([3, 1]))
    assert (found.uniform, found.prior, found.uar) == pytest.approx((0.5, (3 * 0.75 + 0.25) / 4, 0.5))
    # P(at most 3 of 4) = 15/16 < 0.95
    assert found.uniform_limit == 1.0
    large = measure_chance(np.zeros(1000, int), np.array([1, 3]))
    assert stats.binomtest(round(large.prior_limit * 1000) + 1, 1000, 0.25, alternative="greater").pvalue <= 0.05
    assert stats.binomtest(round(large.prior_limit * 1000), 1000, 0.25, alternative="greater").pvalue > 0.05


def test_guessing_stays_below_its_limits():
    rng = np.random.default_rng(0)
    counts = np.array([50, 30, 15, 5])
    true = np.repeat(np.arange(4), [40, 40, 10, 10])
    found = measure_chance(true, counts)
    guesses = rng.choice(4, p=counts / 100, size=(20_000, 100))
    hits = (guesses == true).mean(axis=1)
    assert hits.mean() == pytest.approx(found.prior, abs=0.002)
    assert (hits <= found.prior_limit).mean() >= 0.95
    uniform = (rng.integers(4, size=(20_000, 100)) == true).mean(axis=1)
    assert uniform.mean() == pytest.approx(found.uniform, abs=0.002)
    assert (uniform <= found.uniform_limit).mean() == pytest.approx(0.96, abs=0.015)


def test_majority_by_hand():
    assert score_majority(np.array([0, 0, 1, 2]), np.array([5, 9, 9])) == {
        "accuracy": 0.25,
        "uar": pytest.approx(1 / 3),
    }


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="out of range"):
        measure_chance(np.array([2]), np.array([1, 1]))
    with pytest.raises(ValueError, match="expected a count from 0"):
        score_majority(np.array([0]), np.array([0, 0]))


# Ranking


def pairs(methods: int, different: list[tuple[int, int]]) -> np.ndarray:
    p = np.ones((methods, methods))
    for first, second in different:
        p[first, second] = p[second, first] = 0.001
    return p


def test_tiers_by_hand():
    # 0 and 2 differ; 1 cannot be told from either.
    scores = np.array([0.9, 0.8, 0.7])
    p = pairs(3, [(0, 2)])
    tiers = find_tiers(scores, p)
    assert tiers == [[0, 1], [1, 2]]
    assert name_tiers(tiers, 3) == ["a", "ab", "b"]
    assert find_rank_intervals(scores, p) == [(1, 2), (1, 3), (2, 3)]
    assert find_tiers(-scores, p, higher_is_better=False) == tiers
    assert find_rank_intervals(scores, p, higher_is_better=False) == [(2, 3), (1, 3), (1, 2)]


def test_all_alike_and_all_apart():
    scores = np.array([0.1, 0.3, 0.2])
    assert find_tiers(scores, pairs(3, [])) == [[1, 2, 0]]
    everything = pairs(3, [(0, 1), (0, 2), (1, 2)])
    assert find_tiers(scores, everything) == [[1], [2], [0]]
    assert find_rank_intervals(scores, everything) == [(3, 3), (1, 1), (2, 2)]


@pytest.mark.parametrize("seed", range(20))
def test_tiers_say_exactly_which_pairs_differ(seed):
    rng = np.random.default_rng(seed)
    raw = np.triu(rng.uniform(size=(9, 9)) < 0.4, 1)
    tiers = find_tiers(rng.normal(size=9), pairs(9, [tuple(pair) for pair in np.argwhere(raw).tolist()]))
    shared = np.zeros((9, 9), dtype=bool)
    for tier in tiers:
        shared[np.ix_(tier, tier)] = True
    np.testing.assert_array_equal(~shared, raw | raw.T)
    assert not any(set(a) < set(b) for a in tiers for b in tiers)


def test_tiers_of_p_values_that_make_no_order_are_found_in_time():
    rng = np.random.default_rng(0)
    raw = np.triu(rng.uniform(size=(100, 100)) < 0.1, 1)
    tiers = find_tiers(rng.normal(size=100), np.where(raw | raw.T, 0.001, 1.0))
    assert len(tiers) <= 100 * 99 / 2, "a maximal-clique search would never end"


def test_more_than_26_tiers_have_names():
    names = name_tiers([[index] for index in range(28)], 28)
    assert (names[0], names[25], names[26]) == ("a", "z", "(27)")


def test_pairs_are_compared_one_by_one():
    true, first = draw(30)
    answers = [first.argmax(1), draw(31, signal=0.2)[1].argmax(1), first.argmax(1)]
    p = compare_pairs(true, answers, resamples=99)
    assert p[0, 1] == permutation_test(true, answers[0], answers[1], resamples=99).p_value
    np.testing.assert_array_equal(p, p.T)
    np.testing.assert_array_equal(p.diagonal(), 1.0)
    assert p[0, 2] == 1.0


def test_pairs_are_adjusted_together():
    p = pairs(3, [])
    p[0, 1] = p[1, 0] = 0.02
    p[0, 2] = p[2, 0] = 0.01
    adjusted = adjust_pairs(p)
    assert (adjusted[0, 1], adjusted[2, 0], adjusted[1, 2]) == pytest.approx((0.04, 0.03, 1.0))
    np.testing.assert_array_equal(adjusted, adjusted.T)
    assert adjust_pairs(np.ones((1, 1))).tolist() == [[1.0]]
    p[0, 1] = 0.5
    with pytest.raises(ValueError, match=r"differ between \(i, j\) and \(j, i\)"):
        adjust_pairs(p)
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        adjust_pairs(np.ones((2, 3)))


def test_scores_without_a_number_are_refused():
    with pytest.raises(ValueError, match="each of 2 methods"):
        find_tiers(np.array([0.1, math.nan]), pairs(2, []))


def test_chance_of_being_best_by_hand():
    values = np.array([[0.9, 0.5, 0.7, 0.7], [0.8, 0.6, 0.7, 0.9], [0.1, 0.1, 0.7, 0.1]])
    assert measure_best(values) == pytest.approx([(1 + 1 / 3) / 4, (2 + 1 / 3) / 4, (1 / 3) / 4])
    assert measure_best(values, higher_is_better=False) == pytest.approx([(1 / 3) / 4, (1 / 3) / 4, (3 + 1 / 3) / 4])


def test_equal_methods_share_being_best_and_a_clear_winner_takes_it():
    true, good = draw(20, signal=3.0)
    bad = draw(21, signal=0.0)[1]
    values = resample_metric(STANDARD["uar"], true, [good, good, bad])
    assert measure_best(values) == pytest.approx([0.5, 0.5, 0.0])
    assert resampled_ranks(values)[2].tolist() == [3.0, 3.0]
