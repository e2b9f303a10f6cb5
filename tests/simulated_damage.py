"""Scores on corrupted images: intervals and differences of methods whose true scores are known.

A face of a person is labelled right where skill, the person, the face and the kind of corruption add up to more than 0;
each severity takes something off, and adds noise of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
from simulated_claim import Claim

from fer_bench.arrays import Array
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.extremes import ExtremeDifference, compare_worst, gather
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.robustness import Robustness, average, count_flips, measure_flips

KINDS = {"a": -0.1, "b": -0.3, "c": -0.55, "d": -0.6, "e": -0.65, "f": -0.65}
"""What a kind takes off: three of them are nearly as bad as the worst."""
ONE, ALL = {kind: -0.65 if kind == "a" else -0.2 for kind in KINDS}, dict.fromkeys(KINDS, -0.65)
"""One kind takes off most, or all kinds take off as much."""
SEVERITIES, IMAGES = 3, 12


People = tuple[Array, Array]


def _draw(
    rng: np.random.Generator, people: int, shared: People | None = None, losses: Mapping[str, float] = KINDS
) -> tuple[Robustness, People]:
    """Return a method's robustness on drawn people, and these people, to be shared with another method."""
    if shared is None:
        shared = rng.normal(0, 0.5, people), rng.normal(0, 0.6, (people, IMAGES))
    person, face = shared
    base = (0.9 + person[:, None] + face + rng.normal(0, 0.5, face.shape)).ravel()
    units, true = np.repeat(np.arange(people), IMAGES), np.zeros(base.size, np.int64)

    def answers(skill: Array) -> Array:
        return np.eye(2)[(skill < 0).astype(np.int64)]

    clean = answers(base)
    kinds, flips = {}, []
    for kind, loss in losses.items():
        said = [answers(base + loss * (1 + level) + rng.normal(0, 0.4, base.size)) for level in range(SEVERITIES)]
        kinds[kind] = average([measure(STANDARD["accuracy"], true, one, units=units) for one in said])
        flips.append(count_flips([one > 0.5 for one in (clean, *said)]))
    return (
        Robustness(
            clean=measure(STANDARD["accuracy"], true, clean, units=units),
            kinds=kinds,
            mean=average([*kinds.values()]),
            flips=measure_flips(np.mean(flips, axis=0), units=units),
            crossed=None,
        ),
        shared,
    )


@functools.cache
def _truth() -> tuple[float, float, float]:
    """Return the true mean, worst score and flips, of 20,000 people."""
    known, _ = _draw(np.random.default_rng(0), 20_000)
    return known.mean.value, known.kinds[known.worst].value, known.flips.value


def damage_claims() -> Iterator[Claim]:
    """Yield what `fer-bench damage` promises."""
    for people in (20, 60):
        setting = f"{people} people, {IMAGES} images, 6 kinds, 3 severities"

        def mean(rng: np.random.Generator, people: int = people) -> bool:
            known, _ = _draw(rng, people)
            interval = known.interval(known.mean)
            return interval.low <= _truth()[0] <= interval.high

        def worst(rng: np.random.Generator, people: int = people) -> bool:
            interval = _draw(rng, people)[0].worst_interval()
            return interval.low <= _truth()[1] <= interval.high

        def flips(rng: np.random.Generator, people: int = people) -> bool:
            known, _ = _draw(rng, people)
            interval = known.interval(known.flips)
            return interval.low <= _truth()[2] <= interval.high

        def differs(rng: np.random.Generator, name: str, people: int = people) -> bool:
            first, shared = _draw(rng, people)
            second, _ = _draw(rng, people, shared)
            pairs = {
                "mean": (first.mean, second.mean),
                "flips": (first.flips, second.flips),
            }
            if name == "worst":
                return _compare_worst(first, second).p_value <= 0.05
            return compare_estimates(*pairs[name]).differs

        def unlike(rng: np.random.Generator, given: bool, people: int = people) -> bool:
            first, shared = _draw(rng, people, losses=ONE)
            second, _ = _draw(rng, people, shared, ALL)
            if given:
                return compare_estimates(first.kinds[first.worst], second.kinds[second.worst]).differs
            return _compare_worst(first, second).p_value <= 0.05

        covers = {"the mean": (mean, 0.97), "the worst kind": (worst, 1.0), "flips": (flips, 0.97)}
        for name, (happens, most) in covers.items():
            name = f"damage: interval of {name} covers"
            yield Claim(name=name, setting=setting, promised=(0.93, most), happens=happens, draws=400, quick=8)
        for name in ("mean", "worst", "flips"):
            happens = functools.partial(differs, name=name)
            name = f"damage: equal methods differ in {name}"
            yield Claim(name=name, setting=setting, promised=(0, 0.05), happens=happens, draws=400, quick=8)
        setting = (
            f"{people} people, {IMAGES} images, 3 severities; 6 kinds are as bad for one method as one for the other"
        )
        for given, way in ((False, ""), (True, " if the worst kinds are taken as given (so they are not)")):
            yield Claim(
                name=f"damage: methods whose worst kinds are equally bad differ in worst{way}", setting=setting,
                promised=(0, 1) if given else (0, 0.05), happens=functools.partial(unlike, given=given), draws=400,
                quick=8,
            )  # fmt: skip


def _compare_worst(first: Robustness, second: Robustness) -> ExtremeDifference:
    return compare_worst(gather([*first.kinds.values()]), gather([*second.kinds.values()]))
