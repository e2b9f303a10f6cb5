"""What the tests and intervals promise, by simulation: seeded, so that a failure is a change of the code.

With 1,000 simulations a rate of 0.05 is measured within 0.014 (two standard errors). Intervals and tests over subjects,
and Friedman's, are claims of docs/statistics.md, which test_simulated_claims.py measures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.friedman import friedman_test
from fer_bench.evaluation.intervals import bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.paired import mcnemar_test

pytestmark = pytest.mark.slow

NOMINAL = (0.03, 0.07)
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
RECALL = np.array([0.9, 0.7, 0.5, 0.6])
SIMULATIONS = 1000


def rate(simulate: Callable[[np.random.Generator], bool], simulations: int = SIMULATIONS, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    found = sum(simulate(rng) for _ in range(simulations)) / simulations
    print(f"rate {found:.3f} of {simulations}")  # shown by pytest -rP
    return found


def answer(rng: np.random.Generator, true: np.ndarray, shift: np.ndarray | float) -> np.ndarray:
    """Return labels, right with the recall of the class moved on the logit scale; wrong ones name the next class."""
    logits = np.log(RECALL / (1 - RECALL))[true] + shift
    return np.where(rng.uniform(size=len(true)) < 1 / (1 + np.exp(-logits)), true, (true + 1) % len(PRIOR))


def draw_subjects(
    rng: np.random.Generator, subjects: int, samples: int, methods: int
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return labels, answers and subjects, who differ in size, labels, difficulty, and in which method suits them."""
    sizes = rng.integers(samples // 2, samples * 3 // 2 + 1, size=subjects)
    groups = np.repeat(np.arange(subjects), sizes)
    mixes = rng.dirichlet(PRIOR * 10, size=subjects)
    true = (rng.uniform(size=(len(groups), 1)) > mixes.cumsum(axis=1)[groups, :3]).sum(axis=1)
    hard = rng.normal(0, 0.8, size=subjects)
    suits = rng.normal(0, 0.6, size=(methods, subjects))
    return true, [answer(rng, true, (hard + suit)[groups]) for suit in suits], groups


def draw_samples(rng: np.random.Generator, n: int, methods: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return labels, and answers of methods that find the same samples hard."""
    true, hard = rng.choice(4, p=PRIOR, size=n), rng.normal(0, 1, size=n)
    return true, [answer(rng, true, hard) for _ in range(methods)]


def expected(draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]], name: str) -> float:
    true, predicted = draw(np.random.default_rng(99))
    return STANDARD[name].compute(true, np.eye(4)[predicted])


# Type-I error


def test_over_samples_of_the_same_subjects_tests_err_more_often():
    def simulate(rng):
        true, answers, _ = draw_subjects(rng, 30, 40, 2)
        return compare_estimates(*(measure(STANDARD["uar"], true, np.eye(4)[labels]) for labels in answers)).differs

    assert rate(simulate, 300) > 0.1, "this is why subjects are the units"


def test_mcnemar_errs_as_often_as_it_says():
    def simulate(rng):
        return mcnemar_test(*hits(draw_samples(rng, 400, 2))).p_value < 0.05

    assert NOMINAL[0] <= rate(simulate) <= NOMINAL[1]


def test_exact_mcnemar_errs_less_often():
    def simulate(rng):
        return mcnemar_test(*hits(draw_samples(rng, 50, 2))).p_value < 0.05

    assert 0.01 <= rate(simulate) <= 0.05, "an exact test of a few pairs is conservative"


def hits(drawn: tuple[np.ndarray, list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    true, (first, second) = drawn
    return first == true, second == true


def test_critical_difference_errs_as_often_as_it_says():
    def simulate(rng):
        found = friedman_test(rng.normal(size=(20, 5)))
        return np.ptp(found.average_ranks) > found.critical_difference

    assert NOMINAL[0] <= rate(simulate, 1000) <= NOMINAL[1]


# Coverage


def test_intervals_over_samples_cover():
    truth = expected(lambda rng: (lambda true, answers: (true, answers[0]))(*draw_samples(rng, 500_000, 1)), "uar")

    def simulate(rng):
        true, (predicted,) = draw_samples(rng, 300, 1)
        found = bootstrap_interval(STANDARD["uar"], true, np.eye(4)[predicted], resamples=500)
        return found.low <= truth <= found.high

    assert 0.93 <= rate(simulate, 600) <= 0.97


def test_of_five_subjects_they_cover_less_often():
    truth = expected(lambda rng: one_method(draw_subjects(rng, 20_000, 20, 1)), "accuracy")

    def simulate(rng):
        true, (predicted,), groups = draw_subjects(rng, 5, 20, 1)
        found = bootstrap_interval(STANDARD["accuracy"], true, np.eye(4)[predicted], groups, resamples=1000)
        assert found.few_units
        return found.low <= truth <= found.high

    assert 0.88 <= rate(simulate) < 0.935


def test_over_samples_of_the_same_subjects_they_cover_far_less_often():
    truth = expected(lambda rng: one_method(draw_subjects(rng, 20_000, 40, 1)), "uar")

    def simulate(rng):
        true, (predicted,), _ = draw_subjects(rng, 30, 40, 1)
        found = bootstrap_interval(STANDARD["uar"], true, np.eye(4)[predicted], resamples=300)
        return found.low <= truth <= found.high

    assert rate(simulate, 300) < 0.85, "this is why subjects are the units"


def test_intervals_of_a_difference_cover():
    def simulate(rng):
        true, answers = draw_samples(rng, 300, 2)
        found = compare_estimates(*(measure(STANDARD["uar"], true, np.eye(4)[labels]) for labels in answers))
        return found.low <= 0 <= found.high

    assert 0.93 <= rate(simulate, 600) <= 0.97


def one_method(drawn: tuple[np.ndarray, list[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    true, (predicted,), _ = drawn
    return true, predicted
