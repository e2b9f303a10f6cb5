"""Tiers and ranks against hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_bench.evaluation.ranking import find_rank_intervals, find_tiers, name_tiers


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


def test_p_values_that_make_no_table_are_refused():
    p = pairs(3, [])
    p[0, 1] = 0.5
    with pytest.raises(ValueError, match=r"differ between \(i, j\) and \(j, i\)"):
        find_tiers(np.zeros(3), p)
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        find_rank_intervals(np.zeros(2), np.ones((2, 3)))


def test_scores_without_a_number_are_refused():
    with pytest.raises(ValueError, match="each of 2 methods"):
        find_tiers(np.array([0.1, math.nan]), pairs(2, []))
