"""What guessing and the commonest class reach, against hand-computed cases and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fer_bench.evaluation.chance import measure_chance


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


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="out of range"):
        measure_chance(np.array([2]), np.array([1, 1]))
    with pytest.raises(ValueError, match=r"train_counts.*from 0"):
        measure_chance(np.array([0]), np.array([0, 0]))
