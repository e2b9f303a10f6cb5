"""Metrics against hand-computed cases, scikit-learn and their own properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from fer_bench.evaluation import calibration, classification
from fer_bench.evaluation.groups import find_worst_group, measure_gap, pick_alike, score_groups
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate

TRUE = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 1])
"""Recalls 2/3, 1/2, 0; precisions 2/3, 1/3, none."""

PROBABILITIES = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
BINARY = np.array([0, 1, 1, 1])
"""Right with 0.8, wrong with 0.6, right with 0.7 and 0.9."""


def draw(seed: int, n: int = 300, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[true]
    return true, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_metrics_of_labels_by_hand():
    assert classification.accuracy(TRUE, PREDICTED) == pytest.approx(3 / 6)
    assert classification.uar(TRUE, PREDICTED) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # F1: class 0: 2*2 / (3 + 3); class 1: 2*1 / (2 + 3); class 2: 0
    assert classification.macro_f1(TRUE, PREDICTED) == pytest.approx((4 / 6 + 2 / 5 + 0) / 3)
    # by chance (3*3 + 2*3 + 1*0) / 36 = 15/36
    assert classification.kappa(TRUE, PREDICTED) == pytest.approx((3 / 6 - 15 / 36) / (1 - 15 / 36))
    table = classification.count_confusion(TRUE, PREDICTED, 4)
    assert classification.recall_of(table)[:3] == pytest.approx([2 / 3, 1 / 2, 0])
    assert classification.precision_of(table)[:2] == pytest.approx([2 / 3, 1 / 3])
    assert np.isnan(classification.recall_of(table)[3]), "class 3 does not occur"
    assert np.isnan(classification.precision_of(table)[2:]).all(), "classes 2, 3 are never predicted"


def test_uar_and_f1_leave_out_classes_that_do_not_occur():
    true, predicted = np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2])
    assert classification.uar(true, predicted) == pytest.approx((1 / 2 + 1) / 2)
    assert classification.macro_f1(true, predicted) == pytest.approx((2 / 3 + 0 + 1) / 3)  # 1 is predicted


def test_kappa_of_a_single_class_is_0():
    assert classification.kappa(np.zeros(5, int), np.zeros(5, int)) == 0.0


def test_proper_scores_by_hand():
    assert calibration.nll(BINARY, PROBABILITIES) == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.9]).mean())
    assert calibration.brier(BINARY, PROBABILITIES) == pytest.approx(2 * (0.04 + 0.36 + 0.09 + 0.01) / 4)


def test_nll_of_no_chance_is_clipped():
    assert calibration.nll(np.array([1]), np.array([[1.0, 0.0]])) == pytest.approx(23 * math.log(2))


def test_where_classes_share_the_largest_probability_labels_see_what_counts_see():
    """Repeated rows hold the same shares as weighted ones, whatever the order of classes or samples."""
    rng = np.random.default_rng(3)
    true, table = rng.integers(4, size=60), rng.integers(1, 4, size=(60, 4)).astype(float)
    table /= table.sum(axis=1, keepdims=True)
    assert set((table == table.max(axis=1, keepdims=True)).sum(axis=1)) == {1, 2, 3, 4}
    rows, labels = classification.repeat_answers(table)
    counts = classification.count_answers(true, table)[0]
    assert classification.accuracy(true[rows], labels) == pytest.approx(float(classification.accuracy_of(counts)))
    expected = peer.f1_score(true[rows], labels, average="macro")
    assert expected == pytest.approx(float(classification.macro_f1_of(counts)))
    rows, labels = classification.repeat_answers(table[:, ::-1])
    assert expected == pytest.approx(peer.f1_score(true[rows], 3 - labels, average="macro"))
    alone = np.eye(4)[true]
    assert classification.repeat_answers(alone)[0].tolist() == list(range(60)), "nothing is repeated without need"


def test_ece_by_hand():
    # Bins of width 1/2: one holds all: mean confidence 0.75, accuracy 0.75.
    assert calibration.ece(BINARY, PROBABILITIES, bins=2) == pytest.approx(0.0)
    # Width 1/5: (0.4, 0.6] wrong: 0.6; (0.6, 0.8] two right: 0.25; (0.8, 1] right: 0.1.
    assert calibration.ece(BINARY, PROBABILITIES, bins=5) == pytest.approx((0.6 + 2 * 0.25 + 0.1) / 4)
    # Two of equal mass: {0.6 wrong, 0.7 right} and {0.8, 0.9 right}.
    assert calibration.adaptive_ece(BINARY, PROBABILITIES, bins=2) == pytest.approx((2 * 0.15 + 2 * 0.15) / 4)


def test_equal_confidences_share_a_bin_of_equal_mass():
    probabilities = np.array([[0.7, 0.3]] * 4)
    assert calibration.adaptive_ece(np.array([0, 1, 0, 1]), probabilities, bins=2) == pytest.approx(0.2)


def test_ece_is_that_of_a_plain_loop():
    true, probabilities = draw(3)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == true
    total = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration.ece(true, probabilities) == pytest.approx(total / len(true))
    order = np.argsort(confidence)
    total = sum(abs((right[rows].astype(float) - confidence[rows]).sum()) for rows in np.array_split(order, 15))
    assert calibration.adaptive_ece(true, probabilities) == pytest.approx(total / len(true)), "300 = 15 bins of 20"


def test_soft_labels_by_hand():
    soft = np.array([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1]])
    probabilities = np.array([[0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    assert calibration.soft_accuracy(soft, probabilities) == pytest.approx((0.7 + 0.5 + 0.1) / 3)
    expected = [stats.entropy(s, p) for s, p in zip(soft, probabilities, strict=True)]
    assert calibration.soft_kl(soft, probabilities) == pytest.approx(np.mean(expected))


def test_kl_from_one_hot_labels_is_the_nll():
    true, probabilities = draw(1)
    hard = np.eye(7)[true]
    assert calibration.soft_kl(hard, probabilities) == pytest.approx(calibration.nll(true, probabilities))
    assert calibration.soft_accuracy(hard, probabilities) == pytest.approx(
        classification.accuracy(true, probabilities.argmax(1))
    )


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed):
    true, probabilities = draw(seed)
    predicted = probabilities.argmax(axis=1)
    values = evaluate(true, probabilities)
    assert values["accuracy"] == pytest.approx(peer.accuracy_score(true, predicted))
    assert values["uar"] == pytest.approx(peer.balanced_accuracy_score(true, predicted))
    assert values["macro_f1"] == pytest.approx(peer.f1_score(true, predicted, average="macro"))
    assert values["kappa"] == pytest.approx(peer.cohen_kappa_score(true, predicted))
    assert values["nll"] == pytest.approx(peer.log_loss(true, probabilities))
    assert values["brier"] == pytest.approx(((probabilities - np.eye(7)[true]) ** 2).sum(1).mean())
    recall = peer.recall_score(true, predicted, average=None)
    table = classification.count_confusion(true, predicted, 7)
    assert classification.recall_of(table) == pytest.approx(recall)
    precision = peer.precision_score(true, predicted, average=None, zero_division=np.nan)
    assert classification.precision_of(classification.count_confusion(true, predicted, 7)) == pytest.approx(
        precision, nan_ok=True
    )


@pytest.mark.parametrize("metric", STANDARD.values(), ids=STANDARD)
@pytest.mark.parametrize("seed", range(12))
def test_properties_of_every_metric(metric, seed):
    n, classes = 1 + seed**2 // 2, 2 + seed % 8
    true, probabilities = draw(seed, n, classes)
    value = metric.compute(true, probabilities)
    assert metric.lowest <= value <= metric.highest
    order = np.random.default_rng(seed).permutation(n)
    assert metric.compute(true[order], probabilities[order]) == pytest.approx(value, abs=1e-12)
    if metric.from_confusion is not None:
        table = classification.count_confusion(true, probabilities.argmax(axis=1), classes)
        assert float(metric.from_confusion(table)) == pytest.approx(value)
        assert metric.from_confusion(np.stack([table, 3 * table])) == pytest.approx([value, value])
    if metric.per_sample is not None:
        assert metric.per_sample(true, probabilities).mean() == pytest.approx(value)


@pytest.mark.parametrize("metric", STANDARD.values(), ids=STANDARD)
def test_perfect_predictions_reach_the_best_value(metric):
    true = np.array([0, 1, 2, 1, 0, 2, 2])
    best = metric.highest if metric.higher_is_better else metric.lowest
    assert metric.compute(true, np.eye(3)[true]) == pytest.approx(best)


def with_row(row: list[float]) -> np.ndarray:
    return np.array([[0.5, 0.5], row, [0.5, 0.5]])


@pytest.mark.parametrize("metric", STANDARD.values(), ids=STANDARD)
@pytest.mark.parametrize(
    ("true", "probabilities", "message"),
    [
        ([0, 1, 0], with_row([math.nan, 1.0]), "row 1 is not finite"),
        ([0, 1, 0], with_row([math.inf, 0.0]), "row 1 is not finite"),
        ([0, 1, 0], with_row([0.9, 0.2]), r"row 1 .*sum to 1.*\[0.9, 0.2\]"),
        ([0, 1, 0], with_row([1.5, -0.5]), "row 1 lies outside 0 to 1"),
        ([], np.empty((0, 2)), "are empty"),
        ([0, 2, 0], with_row([0.5, 0.5]), "true label 2 .*0 to 1"),
        ([0, -1, 0], with_row([0.5, 0.5]), "-1.* at 1 "),
        ([0, 0.5, 0], with_row([0.5, 0.5]), "0.5.* at 1 "),
        ([0, math.nan, 0], with_row([0.5, 0.5]), "nan.* at 1 "),
        (["a", "b", "a"], with_row([0.5, 0.5]), "expected whole numbers"),
        ([0, 1], with_row([0.5, 0.5]), "2 true labels and 3 rows"),
        ([0, 1], np.array([0.5, 0.5]), r"shape \(2,\)"),
        ([0, 0], np.ones((2, 1)), "two classes"),
    ],
)
def test_hostile_predictions_are_refused(metric, true, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(np.array(true), probabilities)


@pytest.mark.parametrize("metric", [classification.accuracy, classification.uar, classification.macro_f1])
@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([], [], "true labels.*empty"),
        ([0, 1], [0], "2 true labels and 1 predicted"),
        ([0, 1], [0, -1], "predicted labels: .*-1.* at 1"),
        ([[0, 1]], [[0, 1]], "shape"),
    ],
)
def test_hostile_labels_are_refused(metric, true, predicted, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(true), np.array(predicted))


def test_label_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"label 5 .*0 to 2"):
        classification.recall_of(classification.count_confusion(np.array([0, 1]), np.array([0, 5]), 3))


def test_soft_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"soft labels.*row 0\b.*1"):
        calibration.soft_kl(np.array([[7.0, 3.0]]) / 20, np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        calibration.soft_accuracy(np.ones((1, 3)) / 3, np.array([[0.5, 0.5]]))


def test_no_bins_are_refused():
    with pytest.raises(ValueError, match="bins is 0"):
        calibration.ece(BINARY, PROBABILITIES, bins=0)


def confident(true: np.ndarray, probabilities: np.ndarray) -> float:
    return float(probabilities.max(axis=1).mean())


def test_a_metric_of_a_third_party_needs_nothing_but_its_table_entry():
    metric = Metric(
        name="confidence", title="Confidence", compute=confident, higher_is_better=False, lowest=0, highest=1
    )
    assert evaluate(BINARY, PROBABILITIES, [metric]) == {"confidence": pytest.approx(0.75)}
    values = score_groups(metric, BINARY, PROBABILITIES, np.array(["a", "a", "b", "b"]))
    assert find_worst_group(metric, values) == ("b", pytest.approx(0.8))


def test_a_value_outside_the_declared_range_is_refused():
    for value in (7.0, math.nan):
        metric = Metric(
            name="odd",
            title="Odd",
            compute=lambda true, probabilities, value=value: value,
            higher_is_better=True,
            lowest=0,
            highest=1,
        )
        with pytest.raises(ValueError, match="metric 'odd' returned"):
            evaluate(BINARY, PROBABILITIES, [metric])


def test_a_metric_declares_a_name_and_a_range():
    with pytest.raises(ValueError, match=r"'my metric'.*identifier"):
        Metric(name="my metric", title="", compute=confident, higher_is_better=True, lowest=0, highest=1)
    with pytest.raises(ValueError, match="expected lowest < highest"):
        Metric(name="mine", title="", compute=confident, higher_is_better=True, lowest=1, highest=1)


def test_groups_by_hand():
    groups = np.array(["ann", "ann", "bob", None], dtype=object)
    values = score_groups(STANDARD["accuracy"], BINARY, PROBABILITIES, groups)
    assert values == {"ann": 0.5, "bob": 1.0}, "a sample without a group is left out"
    assert find_worst_group(STANDARD["accuracy"], values) == ("ann", 0.5)
    assert find_worst_group(STANDARD["nll"], {"ann": 0.2, "bob": 0.9}) == ("bob", 0.9)
    assert measure_gap(values) == 0.5
    assert score_groups(STANDARD["accuracy"], BINARY, PROBABILITIES, groups, min_samples=2) == {"ann": 0.5}
    with pytest.raises(ValueError, match=r"\b3 samples.*\b2 groups"):
        score_groups(STANDARD["accuracy"], BINARY, PROBABILITIES, groups, min_samples=3)
    with pytest.raises(ValueError, match="3 groups and 4 samples"):
        score_groups(STANDARD["accuracy"], BINARY, PROBABILITIES, groups[:3])


def test_groups_are_compared_on_the_classes_that_they_share():
    """Groups a and b hold the classes 0 and 1, b also 2; c is neutral faces (class 1) only."""
    groups = np.array([0] * 4 + [1] * 6 + [2] * 4)
    true = np.array([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 1, 1, 1, 1])
    rows, compared = pick_alike(true, groups)
    assert compared == 2
    assert rows.tolist() == [True] * 8 + [False] * 6
    # Groups that share no two classes are not compared at all.
    assert pick_alike(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))[1] == 0
