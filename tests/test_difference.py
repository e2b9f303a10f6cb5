"""The paired test with two variances, its families and its estimand, against hand-computed numbers and enumeration."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math

import numpy as np
import pytest
from drawn_predictions import draw
from scipy import stats

from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.equivalence import weigh_behind, weigh_equivalence
from fer_bench.evaluation.estimate import Estimate, measure, measure_parts
from fer_bench.evaluation.family import _rank_outcomes, adjust_steps
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate
from fer_bench.evaluation.variances import measure_variances


def answer(labels: list[int] | np.ndarray, classes: int = 2) -> np.ndarray:
    return np.eye(classes)[np.asarray(labels)]


def runs(*right: list[int], name: str = "accuracy") -> Estimate:
    """Return the estimate of ten subjects of two images each, the first ``right`` of which each seed gets right."""
    true, seeds = np.tile(np.arange(20) % 2, len(right)), np.repeat(np.arange(len(right)), 20)
    hits = np.concatenate([np.isin(np.arange(20), seed) for seed in right])
    return measure(
        STANDARD[name], true, answer(np.where(hits, true, 1 - true)), seeds, np.tile(np.arange(20) // 2, len(right))
    )


def test_the_score_pools_the_folds_of_a_seed_and_averages_seeds():
    """Folds of one class each: within a fold, naming class 0 has the UAR 1 or 0; over all of them it is guessing."""
    true = np.array([0, 0, 0, 1, 0, 0, 0, 1])
    found = measure(STANDARD["uar"], true, answer([0] * 4 + [1] * 4), np.repeat([5, 7], 4))
    assert found.scores.tolist() == [0.5, 0.5]
    assert found.seeds.tolist() == [5, 7]
    assert found.seed_variance == 0
    assert measure(STANDARD["uar"], true, answer([0] * 8)).seed_variance is None


@pytest.mark.parametrize("name", ["accuracy", "uar", "nll", "brier"])
def test_few_subjects_are_tested_by_all_their_swaps(name):
    true, first = draw(0, n=60, classes=3)
    second, subjects = draw(1, n=60, classes=3, signal=0.5)[1], np.arange(60) % 8
    metric = STANDARD[name]
    found = compare_estimates(*(measure(metric, true, p, units=subjects) for p in (first, second)))
    swapped = []
    for coins in itertools.product([False, True], repeat=8):
        swap = np.array(coins)[subjects][:, None]
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        swapped.append(metric.compute(true, b) - metric.compute(true, a))
    assert found.value == pytest.approx(swapped[0])
    assert found.p_value == pytest.approx((np.abs(swapped) >= abs(swapped[0]) - 1e-9).mean())


@pytest.mark.parametrize("grouped", [False, True])
def test_many_units_are_tested_as_by_scipy(grouped):
    true, first = draw(10, n=240)
    second = np.where(np.arange(240)[:, None] % 3 == 0, draw(11, n=240, signal=0.0)[1], first)
    units = np.arange(240) // 8 if grouped else np.arange(240)
    weights = 1 / (4 * np.bincount(true)[true])
    shares = [np.bincount(units, weights=weights * (p.argmax(axis=1) == true)) for p in (first, second)]
    random = {
        "rng" if "rng" in inspect.signature(stats.permutation_test).parameters else "random_state": 0
    }  # SciPy 1.15
    peer = stats.permutation_test(
        shares, lambda x, y, axis: np.sum(y - x, axis=axis), permutation_type="samples", n_resamples=20_000, **random
    )
    found = compare_estimates(*(measure(STANDARD["uar"], true, p, units=units) for p in (first, second)))
    assert found.value == pytest.approx(float(peer.statistic))
    assert found.p_value == pytest.approx(float(peer.pvalue), abs=0.01)


def test_outcomes_are_ranked_by_how_many_are_as_large():
    sizes = np.random.default_rng(0).integers(0, 40, size=(3, 200)) + np.array([[0.0], [1e-12], [0.3]])
    sizes[1, ::2] += 1e-10  # equal, but for rounding
    for row, ranked in zip(sizes, _rank_outcomes(sizes), strict=True):
        as_large = [(row >= value - 1e-9 * row.max()).sum() for value in row]
        assert np.ceil(-ranked).tolist() == as_large


@pytest.mark.parametrize("name", ["accuracy", "uar", "macro_f1", "kappa"])
def test_parts_of_metrics_of_counts_are_nearly_what_a_swap_turns_round(name):
    true, first = draw(0, n=400, classes=3)
    second, subjects = draw(1, n=400, classes=3, signal=0.5)[1], np.arange(400) % 20
    metric = STANDARD[name]
    parts = measure_parts(*(measure(metric, true, p, units=subjects) for p in (first, second)))
    value = metric.compute(true, second) - metric.compute(true, first)
    assert parts.sum() == pytest.approx(value)
    for unit in range(20):
        swap = (subjects == unit)[:, None]
        turned = metric.compute(true, np.where(swap, first, second)) - metric.compute(
            true, np.where(swap, second, first)
        )
        assert (value - turned) / 2 == pytest.approx(parts[unit], abs=2e-3)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_leaves_out_0_exactly_where_p_is_5_percent_or_less(seed, seeds):
    rng = np.random.default_rng(seed)
    true = np.tile(rng.integers(3, size=90), seeds)
    units, run = np.tile(rng.integers(rng.integers(5, 30), size=90), seeds), np.repeat(np.arange(seeds), 90)
    good = rng.uniform(0.4, 0.7)
    first, second = (
        answer(np.where(rng.uniform(size=len(true)) < rate, true, (true + 1) % 3), 3) for rate in (0.55, good)
    )
    for name in ("uar", "macro_f1", "brier"):
        found = compare_estimates(*(measure(STANDARD[name], true, p, run, units) for p in (first, second)))
        assert found.differs == (not found.low <= 0 <= found.high)
        assert found.low <= found.value <= found.high


def test_two_variances_by_hand():
    """Ten subjects of two images. A is right on 10 of 20 in both seeds; B on 16 and 12.

    Differences of seeds .3 and .1: mean .2, s² = .02, so s² / k = .01. Subjects: B less A, averaged over seeds, is
    0 for the first five, 1 for subject 5 and, of one seed in two, 1/2 for subjects 6 and 7.
    """
    a, b = runs(range(10), range(10)), runs(range(16), range(12))
    found = compare_estimates(a, b)
    parts = np.array([0, 0, 0, 0, 0, 1, 0.5, 0.5, 0, 0]) / 10
    by_subjects = ((parts - 0.02) ** 2).sum() * 10 / 9
    assert found.value == pytest.approx(0.2)
    assert found.seed_error == pytest.approx(0.1)
    assert found.unit_error == pytest.approx(math.sqrt(by_subjects))
    df = (by_subjects + 0.01) ** 2 / (by_subjects**2 / 9 + 0.01**2 / 1)
    t = 0.2 / math.sqrt(by_subjects + 0.01)
    assert (found.df, found.test) == (pytest.approx(df), "two variances")
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, df))
    reach = stats.t.ppf(0.975, df) * math.sqrt(by_subjects + 0.01)
    assert (found.low, found.high) == pytest.approx((0.2 - reach, 0.2 + reach))
    # Trainings of other seeds are not paired: their variances add up, 0 and .02 / 2.
    other = Estimate(**{**{name: getattr(b, name) for name in b.__dataclass_fields__}, "seeds": np.array([8, 9])})
    assert compare_estimates(a, other).seed_error == pytest.approx(0.1)


def test_where_nothing_is_random_seeds_add_no_variance_and_of_one_seed_none_is_known():
    same = compare_estimates(runs(range(4), range(4)), runs(range(20), range(20)))
    assert (same.seed_error, same.test) == (0, "sign flips")
    one = compare_estimates(runs(range(4)), runs(range(20)))
    assert one.seed_error is None
    # Eight of ten subjects differ, all in one direction.
    assert same.p_value == one.p_value == pytest.approx(2 / 2**8)


def test_identical_methods_do_not_differ():
    found = compare_estimates(runs(range(9)), runs(range(9)))
    assert (found.value, found.p_value, found.low, found.high) == (0, 1, 0, 0)
    assert weigh_equivalence(found, 20, 0.01).same == 1


def test_five_subjects_show_nothing_and_one_less_than_that():
    true, units = np.zeros(20, int), np.arange(20) % 5
    found = compare_estimates(*(measure(STANDARD["accuracy"], true, answer([k] * 20), units=units) for k in (0, 1)))
    assert (found.p_value, found.low, found.high) == (1 / 16, -math.inf, math.inf)
    units = np.zeros(20, int)
    found = compare_estimates(*(measure(STANDARD["accuracy"], true, answer([k] * 20), units=units) for k in (0, 1)))
    assert (found.p_value, found.units) == (1, 1)


def test_units_are_counted_before_they_are_merged():
    one = measure(STANDARD["accuracy"], np.zeros(2000, int), answer([0, 1] * 1000), units=np.arange(2000) // 2)
    assert (one.n, one.units, compare_estimates(one, one).units, algorithm_interval(one).units) == (400, *[1000] * 3)


def test_methods_of_other_units_are_refused():
    with pytest.raises(ValueError, match=r"10 units.* 20"):
        compare_estimates(runs(range(9)), measure(STANDARD["accuracy"], np.arange(20) % 2, answer(np.arange(20) % 2)))
    with pytest.raises(ValueError, match="rope is -1"):
        weigh_equivalence(compare_estimates(runs(range(9)), runs(range(8))), 20, -1)


@pytest.mark.parametrize("units", [20, 5000])
@pytest.mark.parametrize(("value", "error"), [(0.04, 0.02), (-0.01, 0.02), (0.08, 0.02)])
def test_equivalence_is_what_drawing_from_the_prior_gives(value, error, units):
    """Draw the share of noise, then the true difference, and weigh each draw by the difference that was seen."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=400_000)
    true = rng.normal(0, np.sqrt(min(1, units / 200) * error**2 * (1 - noise) / noise))
    weights = stats.norm.pdf(value, true, error) / 400_000
    expected = [weights[inside].sum() / weights.sum() for inside in (true < -0.01, abs(true) <= 0.01, true > 0.01)]
    found = weigh_equivalence(difference(value, error), units, 0.01)
    assert (found.less, found.same, found.more) == pytest.approx(expected, abs=0.01)
    scores = np.array([0.5 + value, 0.5])
    assert weigh_behind(scores, [difference(value, error)], units, 0.01) == pytest.approx([found.more])


def test_of_fewer_than_twenty_people_no_probability_is_given():
    one = difference(0.3, 0.01)
    assert (weigh_equivalence(one, 19, 0.01), weigh_behind(np.array([0.8, 0.5]), [one], 19, 0.01)) == (None, None)
    assert weigh_equivalence(one, 20, 0.01).more > 0.99


def test_rows_without_noise_are_behind_by_what_was_seen():
    assert weigh_behind(np.array([0.5]), [], 99, 0.01) == []
    scores = np.array([0.6, 0.5, 0.595])
    assert weigh_behind(scores, [difference(0.1, 0.0), difference(0.005, 0.0)], 99, 0.01) == [1, 0]
    mixed = weigh_behind(scores, [difference(0.1, 0.0), difference(0.005, 0.02)], 99, 0.01)
    assert mixed[0] == 1
    assert 0 < mixed[1] < 0.5
    far = weigh_behind(np.array([0.9, 0.1, 0.1]), [difference(0.8, 1e-4), difference(0.8, 1e-4)], 99, 0.01)
    assert far == pytest.approx([1, 1])


def test_of_many_rows_alike_less_is_said_than_of_two():
    """The first of ten is ahead by luck: what is 0.03 behind it is less surely worse than it is of two rows."""
    two = weigh_behind(np.array([0.53, 0.5]), [difference(0.03, 0.02)], 99, 0.01)
    many = weigh_behind(np.array([0.53, *np.linspace(0.49, 0.51, 9)]), [difference(0.03, 0.02)] * 9, 99, 0.01)
    assert many[0] < two[0] < stats.norm.cdf(1), "of a flat prior"


def difference(value: float, error: float) -> Difference:
    return Difference(
        value=value, low=0, high=0, level=0.95, p_value=1, unit_error=error, seed_error=None, df=1e6, units=99, seeds=1,
        test="sign flips",
    )  # fmt: skip


def test_metrics_that_are_computed_anew_are_tested_too():
    """A metric of a plugin has neither counts nor means: units are left out one by one."""
    true, first = draw(0, n=120, classes=3)
    second, units = draw(1, n=120, classes=3, signal=0.7)[1], np.arange(120) % 15
    known = STANDARD["uar"]
    plain = Metric(name="x", title="X", compute=known.compute, higher_is_better=True, lowest=0, highest=1)
    pair = [compare_estimates(*(measure(m, true, p, units=units) for p in (first, second))) for m in (known, plain)]
    assert pair[0].value == pytest.approx(pair[1].value)
    assert pair[1].unit_error == pytest.approx(pair[0].unit_error, rel=0.15)


# Families


def test_ten_subjects_can_tell_a_perfect_method_from_six_others():
    """Holm's correction of 21 pairs would ask for 0.0024; the least that ten subjects can give is 0.002."""
    rng = np.random.default_rng(0)
    true, units = np.tile(np.arange(4), 10), np.repeat(np.arange(10), 4)
    weak = [answer(rng.integers(4, size=40), 4) for _ in range(6)]
    estimates = [measure(STANDARD["accuracy"], true, p, units=units) for p in (answer(true, 4), *weak)]
    p = adjust_steps(estimates, list(itertools.combinations(range(7), 2)))
    assert (p[:6] <= 0.05).all()
    assert (p[6:] > 0.05).all()
    assert p.min() == pytest.approx(1 / 2**9)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_family_of_one_pair_is_that_pair(seeds):
    rng = np.random.default_rng(seeds)
    estimates = [runs(*[rng.permutation(20)[:size] for _ in range(seeds)]) for size in (12, 17)]
    (p,) = adjust_steps(estimates, [(0, 1)])
    assert p == pytest.approx(compare_estimates(*estimates).p_value, abs=0.02)


def test_steps_are_no_more_certain_than_pairs_and_no_less_than_holm():
    true, _ = draw(0, n=200, classes=3)
    units = np.arange(200) % 25
    methods = [draw(0, n=200, classes=3, signal=signal)[1] for signal in (0.2, 0.4, 0.5, 0.9)]
    estimates = [measure(STANDARD["uar"], true, p, units=units) for p in methods]
    pairs = list(itertools.combinations(range(4), 2))
    raw = np.array([compare_estimates(estimates[a], estimates[b]).p_value for a, b in pairs])
    adjusted, order = adjust_steps(estimates, pairs), np.argsort(raw)
    holm = np.minimum(1, np.maximum.accumulate(raw[order] * np.arange(6, 0, -1)))
    assert (adjusted >= raw - 1e-12).all()
    assert (adjusted[order] <= holm + 0.01).all()
    swapped = [dataclasses.replace(one, metric=dataclasses.replace(one.metric, per_hit=None)) for one in estimates]
    assert adjust_steps(swapped, pairs).tolist() == adjusted.tolist()
    with pytest.raises(ValueError, match="units or seeds"):
        adjust_steps([estimates[0], runs(range(3))], [(0, 1)])
    assert adjust_steps(estimates, []).tolist() == []


# Ties


def test_ties_of_the_largest_probability_favour_no_class():
    true = np.array([0, 1, 2, 2])
    unsure = np.array([[0.4, 0.4, 0.2]] * 4)
    found = evaluate(true, unsure)
    # Half of an answer for class 0 and half for class 1: recalls 1/2, 1/2, 0, hits 1/2 + 1/2 of 4.
    assert (found["accuracy"], found["uar"]) == pytest.approx((1 / 4, 1 / 3))
    assert evaluate(2 - true, unsure[:, ::-1])["uar"] == pytest.approx(found["uar"])
    # F1: class 0: 2 * .5 / (1 + 2), class 1 likewise, class 2: 0.
    assert found["macro_f1"] == pytest.approx(2 / 9)
    assert found["ece"] == pytest.approx(0.4 - 1 / 4)


# Bad input


@pytest.mark.parametrize(
    "fault", ["a class in one seed only", "a subject in one seed only", "one subject has a class", "all right"]
)
@pytest.mark.parametrize("name", ["uar", "macro_f1", "kappa", "brier"])
def test_no_number_is_nan(fault, name):
    """Three seeds of two methods on six subjects, with what a small or broken run leaves."""
    rng = np.random.default_rng(0)
    true, units, seeds = np.tile(np.arange(24) % 3, 3), np.tile(np.arange(24) // 4, 3), np.repeat(np.arange(3), 24)
    kept = np.ones(72, bool)
    if fault == "a class in one seed only":
        kept = (true != 2) | (seeds == 0)
    elif fault == "a subject in one seed only":
        kept = (units != 5) | (seeds == 0)
    elif fault == "one subject has a class":
        true = np.where(units == 0, true, np.minimum(true, 1))
    tables = [np.eye(3)[true] if fault == "all right" else rng.dirichlet(np.ones(3), size=72) for _ in range(3)]
    estimates = [measure(STANDARD[name], true[kept], table[kept], seeds[kept], units[kept]) for table in tables]
    found = compare_estimates(estimates[0], estimates[1])
    weighed = weigh_equivalence(found, 20, 0.01)
    assert weighed is not None
    whole = algorithm_interval(estimates[0], CrossValidation(folds=5, tested_per_trained=1.25))
    numbers = [found.value, found.low, found.high, found.p_value, found.error, found.df, weighed.less, weighed.more]
    numbers += [whole.low, whole.high, *adjust_steps(estimates, [(0, 1), (0, 2), (1, 2)])]
    numbers += weigh_behind(np.array([one.value for one in estimates]), [found, found], 20, 0.01) or [math.nan]
    numbers += [measure_variances([(estimates[0], estimates[1])], [6]).find_variance(6, 3)]
    assert np.isfinite(numbers).all()
