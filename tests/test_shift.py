"""From own data to other data: gaps by hand, apart from class shares, and whether the order of methods holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fer_bench.evaluation.across import BlockDifference
from fer_bench.evaluation.guards import Answers
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.order import adjust_holm, judge_order
from fer_bench.evaluation.shift import keep_common, measure_gap, share_classes, weigh_recalls


def answers(true, predicted, units=None) -> Answers:
    zeros = np.zeros(len(true), np.int64)
    people = np.arange(len(true)) if units is None else np.asarray(units)
    return Answers(true=np.asarray(true), probabilities=np.eye(3)[predicted], seeds=zeros, splits=zeros, units=people)


def test_a_gap_of_people_of_one_size_is_welchs():
    """Ten images of each person: the accuracy is a mean over people."""
    rng = np.random.default_rng(0)
    right = [rng.integers(4, 10, size=n) for n in (12, 9)]
    sides = []
    for counts in right:
        true = np.tile(np.arange(10) % 2, len(counts))
        hit = np.concatenate([np.arange(10) < count for count in counts])
        sides.append(answers(true, np.where(hit, true, 2), np.repeat(np.arange(len(counts)), 10)))
    found = measure_gap(STANDARD["accuracy"], *sides, 0.0)
    peer = stats.ttest_ind(right[1] / 10, right[0] / 10, equal_var=False)
    low, high = peer.confidence_interval(0.95)
    assert found.value == pytest.approx((right[1].mean() - right[0].mean()) / 10)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    wider = measure_gap(STANDARD["accuracy"], *sides, 1.25)
    assert wider.high - wider.low > found.high - found.low


def test_class_shares_by_themselves_make_no_gap():
    """Recalls are 1.0 and 0.5 on both data sets; the second has more of the class that is hard."""
    easy, hard = ([0, 0], [0, 0]), ([1, 1], [1, 2])
    own = answers(*(np.tile(a, 8).tolist() + np.tile(b, 2).tolist() for a, b in zip(easy, hard, strict=True)))
    other = answers(*(np.tile(a, 2).tolist() + np.tile(b, 8).tolist() for a, b in zip(easy, hard, strict=True)))
    assert share_classes(own, other, 3) == pytest.approx([0.5, 0.5, 0.0])
    common = weigh_recalls(share_classes(own, other, 3))
    plain, uar, corrected = (
        measure_gap(one, own, other, 0.0) for one in (STANDARD["accuracy"], STANDARD["uar"], common)
    )
    assert (plain.own, plain.other, plain.value) == pytest.approx((0.9, 0.6, -0.3))
    assert (uar.value, corrected.value) == pytest.approx((0, 0))
    assert corrected.own == pytest.approx(0.5 * 1.0 + 0.5 * 0.5)
    assert corrected.low < 0 < corrected.high


def test_only_classes_that_both_data_sets_have_count():
    own, other = keep_common(answers([0, 0, 1, 2], [0, 1, 1, 2]), answers([0, 1, 1], [0, 2, 1]))
    assert (own.true.tolist(), other.true.tolist()) == ([0, 0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match="one unit"):
        measure_gap(STANDARD["uar"], own, answers([0, 1], [0, 1], [7, 7]), 0.0)


def block(value: float, error: float, n: int = 41) -> BlockDifference:
    """A difference with a standard error, of n people."""
    parts = np.where(np.arange(n) % 2, 1.0, -1.0)
    parts *= error * np.sqrt(n) / (parts * n).std(ddof=1)
    return BlockDifference(value=value, parts=parts, seeds=())


def test_the_order_of_two_methods_by_hand():
    p = {z: 2 * stats.t.sf(z, 40) for z in (1, 3, 4)}
    holds, turned, unclear, same = judge_order(
        [
            [block(0.3, 0.1), block(0.4, 0.1), block(0.4, 0.1)],
            [block(0.4, 0.1), block(-0.4, 0.1), block(0.1, 0.1)],
            [block(0.4, 0.1), block(0.1, 0.1), block(0.4, 0.1)],
            [block(0.0, 0.1)] * 3,
        ]
    )
    raw = [p[3], 1, p[1], 1, 1, 2 * p[4] / 2, 1, 1]  # of each: that the order holds, then that it is reversed
    adjusted = multipletests(raw, method="holm")[1]
    assert adjust_holm(np.array(raw)) == pytest.approx(adjusted)
    assert [one.order for one in (holds, turned, unclear, same)] == ["holds", "reversed", "open", "open"]
    assert (holds.p_value, turned.p_value) == pytest.approx((adjusted[0], adjusted[5]))


def test_few_people_show_no_order():
    """Of four people who all show the same difference, the sign of each may be a toss: p is 1/8 or more."""
    (found,) = judge_order([[BlockDifference(value=0.4, parts=np.full(4, 0.1), seeds=())] * 2])
    assert (found.order, found.p_value) == ("open", pytest.approx(2 / 8))
    with pytest.raises(ValueError, match="two data sets"):
        judge_order([[block(0.1, 0.1)]])
