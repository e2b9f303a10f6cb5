"""Claims about the data themselves: labels that are wrong, and what more images would bring."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim
from simulated_learner import fit_ridge

from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.label_noise import bound_label_noise, estimate_label_noise
from fer_bench.evaluation.learning_curve import fit_learning_curve
from fer_bench.evaluation.metrics import STANDARD

SIZES, SLOPE = (100, 300, 1000), -0.3
"""Images that train, and the power of the error: 0.6 at the first size."""


def data_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _labels()
    yield from _curves()


def _labels() -> Iterator[Claim]:
    for noise, apart, skill in ((0.1, 0.5, "classes that lie near"), (0.1, 1.5, "classes that lie apart"),
                                (0.2, 1.0, "classes in between")):  # fmt: skip

        def bounds(rng: np.random.Generator, noise: float = noise, apart: float = apart) -> bool:
            given, true, table = draw_labels(rng, noise, apart)
            return bool(bound_label_noise(given, table)[0][1] >= (given != true).mean())

        yield Claim(
            name="labels: the upper end of the interval is at least the true share of wrong labels",
            setting=f"1,400 images, {100 * noise:g} % wrong, {skill}", promised=(0.95, 1), happens=bounds, draws=80,
            quick=6,
        )  # fmt: skip

    def precise(rng: np.random.Generator) -> bool:
        given, true, table = draw_labels(rng, 0.1, 1.5)
        suspects = estimate_label_noise(given, table).suspects
        return float((given != true)[suspects].mean()) >= 0.8

    yield Claim(
        name="labels: 80 % of the suspects or more are wrong", promised=(0.95, 1), happens=precise, draws=300, quick=6,
        setting="1,400 images, 10 % wrong, classes that lie apart",
    )  # fmt: skip


def draw_labels(rng: np.random.Generator, noise: float, apart: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return given labels, true ones, and what cross-validation of a ridge regression on given labels predicts."""
    true = rng.integers(7, size=1400)
    x = apart * rng.normal(size=(7, 16))[true] + rng.normal(size=(1400, 16))
    wrong = rng.random(1400) < noise
    given = np.where(wrong, (true + rng.integers(1, 7, size=1400)) % 7, true)
    fold, table = np.arange(1400) % 5, np.zeros((1400, 7))
    for number in range(5):
        test = fold == number
        table[test] = fit_ridge(x[~test], given[~test])(x[test])
    return given, true, table


def _curves() -> Iterator[Claim]:
    for people in (20, 60):

        def slope(rng: np.random.Generator, people: int = people) -> bool:
            low, high = fit_learning_curve(SIZES, draw_curve(rng, people)).slope_interval()
            return bool(low <= SLOPE <= high)

        def gain(rng: np.random.Generator, people: int = people) -> bool:
            _, low, high = fit_learning_curve(SIZES, draw_curve(rng, people)).gain(SIZES[-1])
            return bool(low <= 0.6 * 10**SLOPE * (1 - 2**SLOPE) <= high)

        for what, happens in (("slope", slope), ("gain of twice as many images", gain)):
            yield Claim(
                name=f"curve: the interval of the {what} holds the true one",
                setting=f"UAR, {people} people, trained on {', '.join(map(str, SIZES))} images",
                promised=(0.92, 0.98), happens=happens, draws=400, quick=25,
            )  # fmt: skip


def draw_curve(rng: np.random.Generator, people: int) -> list[Estimate]:
    """Return the UAR after training on each of ``SIZES``, on the same people, who differ."""
    true, person = np.tile(np.arange(7), 2 * people), np.repeat(np.arange(people), 14)
    skill = np.exp(0.4 * rng.normal(size=people) - 0.08)[person]
    points: list[Estimate] = []
    for size in SIZES:
        wrong = rng.random(len(true)) < np.minimum(0.6 * (size / SIZES[0]) ** SLOPE * skill, 1)
        answer = np.where(wrong, (true + rng.integers(1, 7, size=len(true))) % 7, true)
        points.append(measure(STANDARD["uar"], true, np.eye(7)[answer], units=person))
    return points
