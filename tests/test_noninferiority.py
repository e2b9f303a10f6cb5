"""The gate's test against hand-computed numbers, and by simulation: does it catch what it says, and nothing else?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.noninferiority import NonInferiority, noninferiority_test, show_equivalence

UAR, ACCURACY = STANDARD["uar"], STANDARD["accuracy"]


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def answer(rng, labels, right, classes):
    """Return labels where ``right``, else another class."""
    return np.where(right, labels, (labels + rng.integers(1, classes, len(labels))) % classes)


def reach(own, alpha=0.05):
    """Return by how many standard errors the lower bound lies below: Student's quantile for long tails and skewness."""
    n = len(own)
    kurtosis = max(7.0, 3 + stats.kurtosis(own, bias=False))
    df = min(n - 1.0, 2 * n / (kurtosis - (n - 3) / (n - 1)))
    t = stats.t.isf(alpha, df)
    return t + max(1.0, -stats.skew(own)) * (1 + 2 * t**2) / (6 * np.sqrt(n))


def test_accuracy_by_hand():
    # 100 samples, 4 lost and 1 won: d = -0.03, variance of the mean (5 - 100 * 0.03 ** 2) / 99 / 100. Five changed, so
    # that the lower bound has the term of the rule of three, and losses are the long tail.
    true = np.zeros(100, int)
    first, second = np.zeros(100, int), np.zeros(100, int)
    second[:4] = 1
    first[4] = 1
    found = noninferiority_test(ACCURACY, true, one_hot(first, 2), one_hot(second, 2), margin=0.05)
    floor = -np.log(0.05) / 100
    variance, quantile = (5 - 100 * 0.03**2) / 99 / 100, reach(np.repeat([-1, 1, 0], [4, 1, 95]) + 0.03)
    assert found.difference == pytest.approx(-0.03)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert found.low == pytest.approx(-0.03 - np.hypot(quantile * np.sqrt(variance), floor))
    # The largest difference that flips of 5 signs do not reject at 5 %: near that of the binomial distribution.
    assert 0 <= found.high <= 0.03
    # With a sixth change nothing is unseen.
    second[5] = 1
    more = noninferiority_test(ACCURACY, true, one_hot(first, 2), one_hot(second, 2), margin=0.05)
    quantile = reach(np.repeat([-1, 1, 0], [5, 1, 94]) + 0.04)
    error = np.sqrt((6 - 100 * 0.04**2) / 99 / 100)
    assert more.low == pytest.approx(-0.04 - quantile * error)
    # p is alpha where the bound lies at the margin.
    assert noninferiority_test(
        ACCURACY, true, one_hot(first, 2), one_hot(second, 2), margin=-more.low
    ).p_value == pytest.approx(0.05)


def test_uar_by_hand():
    # Class 0: 4 samples, one lost; class 1: 40 samples, none changed. UAR falls by 1/4 / 2.
    true = np.repeat([0, 1], [4, 40])
    second = true.copy()
    second[0] = 1
    found = noninferiority_test(UAR, true, one_hot(true, 2), one_hot(second, 2))
    # Parts: -1/8 once, else 0; less their share of the difference, 1/44 each.
    variance = (1 - 1 / 44) * (1 / 8) ** 2 * 44 / 43
    assert found.difference == pytest.approx(-1 / 8)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-4)
    floor = -np.log(0.05) / 8  # a sample of class 0 counts 1/8
    own = np.repeat([-1 / 8, 0], [1, 43]) + 1 / 8 / 44
    assert found.low == pytest.approx(-1 / 8 - np.hypot(reach(own) * np.sqrt(variance), floor), rel=1e-4)


def test_a_class_in_which_nothing_changed_has_a_term_of_its_own():
    # Class 0: 10 samples, none changed; class 1: 90 samples, 8 lost and 8 won. One of class 0 moves UAR by 1/20.
    true, first = np.repeat([0, 1], [10, 90]), np.repeat([0, 1], [10, 90])
    second = true.copy()
    second[10:18], first[18:26] = 0, 0
    found = noninferiority_test(UAR, true, one_hot(first, 2), one_hot(second, 2))
    own, floor = np.repeat([-1, 1, 0], [8, 8, 84]) / 180, -np.log(0.05) / 20
    error = np.sqrt((own**2).sum() * 100 / 99)
    assert (found.difference, found.low) == (
        pytest.approx(0),
        pytest.approx(-np.hypot(reach(own) * error, floor), rel=1e-4),
    )


def test_two_people_show_nothing_and_no_bound_leaves_the_range_of_the_metric():
    true, people = np.arange(40) % 2, np.arange(40) // 20
    second = np.where(np.arange(40) < 7, 1 - true, true)
    found = noninferiority_test(UAR, true, one_hot(true, 2), one_hot(second, 2), people)
    assert (found.verdict, found.low, found.high, found.detectable_drop) == ("UNDERPOWERED", -1, 1, np.inf)
    assert 2 < found.units_needed[0] < found.units_needed[1]


def test_the_standard_error_agrees_with_an_independent_jackknife():
    rng = np.random.default_rng(0)
    true = rng.choice(4, 900, p=[0.5, 0.3, 0.15, 0.05])
    groups = rng.integers(0, 60, 900)
    first = answer(rng, true, rng.random(900) < 0.7, 4)
    second = np.where(rng.random(900) < 0.8, first, answer(rng, true, rng.random(900) < 0.6, 4))
    for name in ("uar", "macro_f1", "kappa", "accuracy"):
        metric = STANDARD[name]
        error = noninferiority_test(metric, true, one_hot(first, 4), one_hot(second, 4), groups).standard_error
        left_out = []
        for unit in range(60):
            keep = groups != unit
            values = [metric.compute(true[keep], one_hot(labels[keep], 4)) for labels in (first, second)]
            left_out.append(values[1] - values[0])
        jackknife = np.sqrt(59 / 60 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
        assert error == pytest.approx(jackknife, rel=0.06), name


def test_a_gain_never_fails_and_loss_metrics_point_the_other_way():
    rng = np.random.default_rng(1)
    true = rng.integers(0, 3, 3000)
    worse, better = (np.clip(one_hot(true, 3) * gap + 0.2, 0, None) for gap in (0.3, 0.9))
    worse, better = (p / p.sum(axis=1, keepdims=True) for p in (worse, better))
    for name in ("nll", "brier"):
        assert noninferiority_test(STANDARD[name], true, worse, better).verdict == "PASS"
        assert noninferiority_test(STANDARD[name], true, better, worse).verdict == "FAIL"
    poor, good = (one_hot(answer(rng, true, rng.random(3000) < share, 3), 3) for share in (0.5, 0.9))
    assert noninferiority_test(UAR, true, poor, good).difference > 0.3
    assert noninferiority_test(UAR, true, poor, good).verdict == "PASS"
    assert noninferiority_test(UAR, true, good, poor).verdict == "FAIL"


@pytest.mark.parametrize("n", [4, 20, 500])
def test_the_same_predictions_pass_however_few(n):
    true = np.arange(n) % 2
    found = noninferiority_test(ACCURACY, true, one_hot(true, 2), one_hot(true, 2))
    assert (found.verdict, found.identical, found.low, found.high) == ("PASS", True, 0, 0)


@pytest.mark.parametrize(("n", "verdict"), [(20, "UNDERPOWERED"), (140, "UNDERPOWERED"), (170, "PASS"), (5000, "PASS")])
def test_no_changed_answer_passes_only_where_a_drop_would_have_shown(n, verdict):
    # The rule of three: without a changed answer among n, the drop is below 3 / n with 95 % confidence.
    true = np.arange(n) % 2
    unsure = 0.8 * one_hot(true, 2) + 0.1
    found = noninferiority_test(ACCURACY, true, one_hot(true, 2), unsure)
    assert (found.verdict, found.identical, found.difference) == (verdict, False, 0.0)
    if n <= 400:
        assert found.low == pytest.approx(np.log(0.05) / n, rel=1e-4)


def test_samples_tested_under_several_seeds_are_not_more_samples():
    true = np.arange(200) % 2
    same, ids = one_hot(true, 2), np.arange(200)
    unsure = 0.8 * same + 0.1
    once = noninferiority_test(UAR, true, same, unsure, margin=0.005)
    runs = np.repeat(np.arange(3), 200)
    thrice = noninferiority_test(
        UAR, np.tile(true, 3), np.tile(same, (3, 1)), np.tile(unsure, (3, 1)), np.tile(ids, 3), runs, margin=0.005
    )
    assert (thrice.units, thrice.seeds, thrice.low) == (200, 3, pytest.approx(once.low))


def test_another_training_of_the_same_code_is_no_drop():
    """Three trainings then and now, each of which loses other people: FAIL in no more cases than alpha allows."""

    def simulate(rng):
        true, people, runs = (
            np.tile(np.arange(300) % 3, 3),
            np.tile(np.arange(300) // 10, 3),
            np.repeat(np.arange(3), 300),
        )
        methods = []
        for _ in range(2):
            skill = np.repeat(rng.normal(0.7, 0.05, 3), 300)
            methods.append(one_hot(answer(rng, true, rng.random(900) < skill, 3), 3))
        return noninferiority_test(UAR, true, *methods, people, runs).verdict == "FAIL"

    rng = np.random.default_rng(4)
    assert np.mean([simulate(rng) for _ in range(300)]) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 300)


def test_a_drop_of_ten_points_among_twenty_people_fails():
    rng, fails = np.random.default_rng(5), 0
    people, true = np.arange(400) // 20, np.arange(400) % 2
    for _ in range(50):
        right = rng.random(400) < 0.8
        lost = right & (rng.random(400) < 0.125)
        before, after = (one_hot(np.where(hit, true, 1 - true), 2) for hit in (right, right & ~lost))
        fails += noninferiority_test(ACCURACY, true, before, after, people, margin=0.05).verdict == "FAIL"
    assert fails >= 48


def test_equivalence_is_shown_both_ways():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 2, 5000)
    first = answer(rng, true, rng.random(5000) < 0.8, 2)
    second = np.where(rng.random(5000) < 0.98, first, answer(rng, true, rng.random(5000) < 0.8, 2))
    better = np.where(rng.random(5000) < 0.5, first, true)
    assert show_equivalence(UAR, true, one_hot(first, 2), one_hot(second, 2))[0]
    equivalent, found = show_equivalence(UAR, true, one_hot(first, 2), one_hot(better, 2))
    assert not equivalent
    assert found.verdict == "PASS"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"margin": 0}, "margin is 0"), ({"alpha": 0.5}, "alpha is 0.5"), ({"groups": np.zeros(4)}, "one subject")],
)
def test_bad_arguments(arguments, message):
    true = np.arange(4) % 2
    with pytest.raises(ValueError, match=message):
        noninferiority_test(UAR, true, one_hot(true, 2), one_hot(true, 2), **arguments)


def simulate(rng, n, classes, *, drop, agreement, subjects=0, weights=None, recall=0.7) -> NonInferiority:
    """Return the test on ``n`` samples: two methods that agree in a share ``agreement`` of their answers beyond chance.

    The second's recall is lower by ``drop`` in every class; subjects differ in how well each method knows them.
    """
    true = rng.choice(classes, n, p=weights)
    groups = rng.integers(0, subjects, n) if subjects else None
    luck = rng.random(n)
    other = np.where(rng.random(n) < agreement, luck, rng.random(n))
    shift = [rng.normal(0, 0.05, subjects)[groups] if subjects else 0.0 for _ in range(2)]
    first = answer(rng, true, luck < recall + shift[0], classes)
    second = answer(rng, true, other < recall - drop + shift[1], classes)
    return noninferiority_test(UAR, true, one_hot(first, classes), one_hot(second, classes), groups, margin=MARGIN)


MARGIN, TRIALS = 0.06, 100
SETTINGS = {
    "independent": {"classes": 3, "agreement": 0.0},
    "correlated": {"classes": 7, "agreement": 0.8},
    "two classes": {"classes": 2, "agreement": 0.5},
    "rare class": {"classes": 3, "agreement": 0.5, "weights": [0.6, 0.32, 0.08]},
    "near the ceiling": {"classes": 3, "agreement": 0.5, "recall": 0.97},
    "subjects": {"classes": 3, "agreement": 0.5, "subjects": 40},
}


def _size(name: str, rng) -> int:
    """Return the samples that the gate asks for, from pilots of 600: the median of what they say."""
    pilots = [simulate(rng, 600, drop=0.0, **SETTINGS[name]) for _ in range(15)]
    return int(np.median([600 * pilot.units_needed[1] / pilot.units for pilot in pilots]))


@pytest.mark.parametrize("name", SETTINGS)
def test_at_the_size_that_the_gate_asks_for_it_catches_a_drop_and_raises_no_alarm(name):
    rng = np.random.default_rng(7)
    n = _size(name, rng)
    setting = dict(SETTINGS[name])
    if "subjects" in setting:  # more samples are more subjects
        setting["subjects"] = round(setting["subjects"] * n / 600)
    verdicts = {
        drop: [simulate(rng, n, drop=drop, **setting).verdict for _ in range(TRIALS)]
        for drop in (0.0, MARGIN, 2 * MARGIN)
    }
    rate = {drop: {v: found.count(v) / TRIALS for v in set(found)} for drop, found in verdicts.items()}
    noise = 2.6 * np.sqrt(0.05 * 0.95 / TRIALS)
    assert rate[2 * MARGIN].get("FAIL", 0) >= 0.9, rate
    assert rate[0.0].get("FAIL", 0) <= 0.05 + noise, rate
    assert rate[0.0].get("PASS", 0) >= 0.85, rate
    assert rate[MARGIN].get("PASS", 0) <= 0.05 + noise, rate


@pytest.mark.parametrize("n", [30, 100])
def test_few_data_raise_no_alarm(n):
    rng = np.random.default_rng(n)
    for name in ("correlated", "rare class", "near the ceiling"):
        found = [simulate(rng, n, drop=0.0, **SETTINGS[name]).verdict for _ in range(TRIALS)]
        assert found.count("FAIL") / TRIALS <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / TRIALS), name
