"""Intervals against the binomial, scipy, and the bootstrap computed anew."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
from drawn_predictions import draw
from scipy import stats

from fer_bench.evaluation.checks import factorize
from fer_bench.evaluation.cross_validation import CrossValidation, measure_folds
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import algorithm_interval, bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.resampling import resample_metric


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
    found = bootstrap_interval(STANDARD["uar"], true, probabilities, np.arange(100) % 19)
    assert (found.units, found.few_units) == (19, True)
    assert not bootstrap_interval(STANDARD["uar"], true, probabilities, np.arange(100) % 20).few_units


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


def test_the_interval_of_an_algorithm_by_hand():
    """Twenty people of one image each, 12 right: a variance of .6 * .4 / 19. Of the term for five folds, 1.25, a share
    of .25 + 7 / 20 is taken.
    """
    true, right = np.ones(20, int), (np.arange(20) < 12).astype(int)
    one = measure(STANDARD["accuracy"], true, np.eye(2)[right], units=np.arange(20))
    by_people = (1 + 0.6 * 1.25) * 0.24 / 19

    def cross(folds: np.ndarray, runs: int = 1) -> CrossValidation:
        columns = np.tile(true, runs), np.tile(np.eye(2)[right], (runs, 1)), np.repeat(np.arange(runs), 20)
        return measure_folds(STANDARD["accuracy"], *columns, np.tile(folds, runs), 20 / 16)

    found = algorithm_interval(one, cross(np.arange(20) % 5))  # recalls of 3, 3, 2, 2 and 2 of 4: as people differ
    reach = stats.t.ppf(0.975, 19) * np.sqrt(by_people)
    assert (found.low, found.high) == pytest.approx((0.6 - reach, 0.6 + reach))
    # Folds of 4 images with 4, 3, 2, 2 and 1 right: recalls with a variance of .325 / 4, a fifth of it for their mean.
    uneven = np.repeat([0, 1, 2, 3, 4, 1, 2, 3, 4], [4, 3, 2, 2, 1, 1, 2, 2, 3])
    noise = 0.325 / 4 / 5 - 0.24 / 19
    df = (by_people + noise) ** 2 / (by_people**2 / 19 + noise**2 / 4)
    for runs in (1, 3):  # seeds that agree show no noise of their own
        columns = np.tile(true, runs), np.tile(np.eye(2)[right], (runs, 1)), np.repeat(np.arange(runs), 20)
        several = measure(STANDARD["accuracy"], *columns, np.tile(np.arange(20), runs))
        found = algorithm_interval(several, cross(uneven, runs))
        assert found.high - 0.6 == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(by_people + noise))
    # A second training gets 14 right: s² is .005, half of it that of the mean, of one degree of freedom.
    both = np.concatenate([np.arange(20) < 12, np.arange(20) < 14]).astype(int)
    two = measure(STANDARD["accuracy"], np.tile(true, 2), np.eye(2)[both], np.repeat([0, 1], 20), np.tile(range(20), 2))
    by_people = ((np.bincount(np.tile(range(20), 2), weights=both) / 2 - 0.65) ** 2).sum() / 20 / 19
    df = (by_people + 0.0025) ** 2 / (by_people**2 / 19 + 0.0025**2)
    found = algorithm_interval(two)
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(by_people + 0.0025))


def test_the_uar_speaks_of_fewer_people_than_accuracy_where_a_class_is_rare():
    """Twenty people of one image each, 15 and 5 of a class: images of the UAR weigh 1 / 30 and 1 / 10."""
    true = (np.arange(20) < 5).astype(int)
    table = np.eye(2)[(np.arange(20) % 3 > 0).astype(int)]
    worth = {name: measure(STANDARD[name], true, table).effective_units for name in ("accuracy", "uar", "brier")}
    assert worth == pytest.approx({"accuracy": 20, "uar": 1 / (15 / 30**2 + 5 / 10**2), "brier": 20})


def test_folds_that_one_person_makes_each_add_no_noise():
    """With one person left out, folds are people, and the folds' variance is the people's."""
    true, table = draw(3)
    people = np.arange(len(true)) // 10
    for name in ("accuracy", "uar", "macro_f1", "brier"):
        known = measure(STANDARD[name], true, table, units=people)
        crossed = measure_folds(STANDARD[name], true, table, np.zeros(len(true)), people, 1.1)
        assert crossed.variance == pytest.approx(known.unit_variance)
        assert (crossed.folds, crossed.measure_noise(crossed.variance)) == (len(np.unique(people)), 0)
    assert (crossed.count_training(5), crossed.count_training(10**6)) == pytest.approx((2.1, 1.275), abs=1e-3)


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
        (["a"] * 300, "one subject"),
        (["a"] * 299, "299 groups and 300 samples"),
        ([None] + ["a"] * 299, "1 of 300 samples"),
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
    with pytest.raises(ValueError, match="no methods"):
        resample_metric(STANDARD["uar"], np.array([0, 1]), [])


@pytest.mark.parametrize(
    "names",
    [
        np.array([7, 3, 7, 9, 3], np.int32),
        np.array([True, False, True]),
        np.array([0.5, np.nan, 0.5, -1.0]),
        np.array(["s2", "s1", "s2"]),
        np.array(["s2", None, 3, np.nan, "s2", ""], object),
        np.array([], np.int64),
        ["b", "a", "b"],
    ],
)
def test_names_become_the_places_that_pandas_gives_them(names):
    codes, distinct = factorize(names)
    expected_codes, expected = pd.factorize(np.asarray(names), use_na_sentinel=True)
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(codes, expected_codes)
    assert distinct == expected.tolist()


# Degrees of freedom


def test_units_that_hold_most_images_leave_few_degrees_of_freedom():
    """Weights of the UAR by hand: over classes, (images of the unit / of the class)² recall (1 - recall).

    Of class 0 three people have 4, 2 and 2 images, half of them right; all 4 of class 1 are of one, 3 of them right.
    """
    true, units = np.array([0] * 8 + [1] * 4), np.array([0, 0, 0, 0, 1, 1, 2, 2, 0, 0, 0, 0])
    named = np.array([0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0])
    weights = np.array([16, 4, 4]) / 64 * 1 / 4 + np.array([1, 0, 0]) * 3 / 16
    found = measure(STANDARD["uar"], true, np.eye(2)[named], units=units)
    assert found.unit_freedom == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    # A mean of samples weighs people by their images: 8, 2 and 2 of 12.
    mean = measure(STANDARD["nll"], true, np.full((12, 2), 0.5), units=units)
    assert mean.unit_freedom == pytest.approx(72**2 / (64**2 + 4**2 + 4**2))


def test_units_of_one_size_leave_one_degree_less_than_there_are():
    true, units = np.tile(np.arange(4), 10), np.repeat(np.arange(10), 4)
    rng = np.random.default_rng(0)
    found = measure(STANDARD["accuracy"], true, rng.dirichlet(np.ones(4), size=40), units=units)
    perfect = measure(STANDARD["uar"], true, np.eye(4)[true], units=units)
    assert (found.unit_freedom, perfect.unit_freedom) == pytest.approx((9, 9))
    assert measure(STANDARD["uar"], true, np.eye(4)[true], units=np.zeros(40, int)).unit_freedom == 1
