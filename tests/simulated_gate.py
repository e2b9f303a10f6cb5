"""What the gate promises of releases, measured on drawn people."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
from simulated_claim import Claim
from simulated_releases import Releases

from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.guards import METRIC_POWER, SHARE, Answers, find_unguarded, join_verdicts, judge_classes
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.noninferiority import NonInferiority, judge_estimates, noninferiority_test

RECALLS = (0.6, 0.6, 0.6, 0.8, 0.6, 0.75, 0.65)
DISGUST_LOST = (0.7, 0.0, 0.7, 0.9, 0.7, 0.85, 0.75)


def _judge(
    before: Answers,
    after: Answers,
    margin: float,
    oldest: Answers | None = None,
    guarded: bool = True,
    metric: str = "uar",
    wanted: str = "",
) -> tuple[str, tuple[float, float]]:
    """Return the verdict of the gate, as ``fer-bench check`` puts it together, and the people that it needs.

    Where only PASS is ``wanted``, nothing is tested after the metric has not passed.
    """

    def test(then: Answers, share: float) -> NonInferiority:
        first, second = (
            measure(STANDARD[metric], one.true, one.probabilities, one.seeds, one.units) for one in (then, after)
        )
        return judge_estimates(
            first, second, len(np.unique(then.units)), identical=False, margin=margin, alpha=0.05,
            fail_alpha=share * 0.05, power=METRIC_POWER,
        )  # fmt: skip

    if not guarded:
        found = test(before, 1.0)
        return found.verdict, found.units_needed
    tests = [test(before, 1 - SHARE * (1 if oldest is None else 2))]
    if wanted == "PASS" != tests[0].verdict:
        return tests[0].verdict, tests[0].units_needed
    tests += judge_classes(before, after, margin=7 * margin, alpha=0.05).values()
    unguarded = find_unguarded(before, after)
    if oldest is not None:
        tests.append(test(oldest, SHARE))
    people = len(np.unique(before.units))
    least, most = (max(people / one.units * one.units_needed[end] for one in tests) for end in (0, 1))
    return join_verdicts(tests, unguarded), (least, most)


def _drop(points: float) -> tuple[float, ...]:
    return tuple(recall - points / 100 for recall in RECALLS)


def _says(
    wanted: str, people: int, margin: float, after: tuple[float, ...], guarded: bool = True
) -> Callable[[np.random.Generator], bool]:
    """Return a function that tells whether the gate says so of two releases."""

    def happens(rng: np.random.Generator) -> bool:
        releases = Releases(people=people, recalls=(RECALLS, after))
        before, now = releases.draw(rng)
        return _judge(before, now, margin, guarded=guarded, wanted=wanted)[0] == wanted

    return happens


def gate_claims() -> Iterator[Claim]:
    """Yield every claim about the gate."""
    yield from _errors()
    yield from _harder()
    yield from _answers()
    yield from _drift()
    yield from _sizes()


def _errors() -> Iterator[Claim]:
    """Yield false PASSes and false FAILs."""
    for people, margin in ((20, 0.05), (40, 0.05), (120, 0.05), (300, 0.02)):
        setting = f"UAR, {people} people, margin {margin:g}"
        yield Claim(
            name="gate: FAIL without a drop", setting=setting, promised=(0, 0.05),
            happens=_says("FAIL", people, margin, RECALLS), draws=1000 if people < 300 else 400, quick=20,
        )  # fmt: skip
        yield Claim(
            name="gate: PASS with a drop of the margin", setting=setting, promised=(0, 0.05),
            happens=_says("PASS", people, margin, _drop(100 * margin)), draws=2000, quick=25,
        )  # fmt: skip
        for guarded in (True, False):
            yield Claim(
                name="gate: PASS with disgust from 60 % to 0 and the others up by 10 points"
                + ("" if guarded else " (no guard by class)"),
                setting=setting, promised=(0, 0.05) if guarded else (0, 1),
                happens=_says("PASS", people, margin, DISGUST_LOST, guarded), draws=300, quick=25,
            )  # fmt: skip


def _answers() -> Iterator[Claim]:
    """Yield true FAILs and true PASSes."""
    yield Claim(
        name="gate: FAIL with a drop of 10 points", setting="UAR, 20 people, margin 0.05", promised=(0.75, 1),
        happens=_says("FAIL", 20, 0.05, _drop(10)), draws=300, quick=25,
    )  # fmt: skip
    for people, promised in ((20, (0, 1)), (40, (0, 1)), (120, (0.8, 1))):
        yield Claim(
            name="gate: PASS without a drop", setting=f"UAR, {people} people, margin 0.05", promised=promised,
            happens=_says("PASS", people, 0.05, RECALLS), draws=300, quick=20,
        )  # fmt: skip
    for people in (5, 20, 100):

        def same(rng: np.random.Generator, people: int = people) -> bool:
            """Return whether identical predictions pass as identical."""
            (before,) = Releases(people=people, recalls=(RECALLS,)).draw(rng)
            found = noninferiority_test(STANDARD["uar"], before.true, *[before.probabilities] * 2, before.units)
            return found.verdict == "PASS" and found.identical

        yield Claim(
            name="gate: PASS of identical predictions, as identical", setting=f"UAR, {people} people, margin 0.02",
            promised=(1, 1), happens=same, draws=100, quick=3,
        )  # fmt: skip


def _drift() -> Iterator[Claim]:
    """Yield what the oldest baseline is for."""
    for kept in (True, False):

        def drifts(rng: np.random.Generator, kept: bool = kept) -> bool:
            """Return whether a release passes that is one point below the last and three below the oldest."""
            oldest, last, now = Releases(people=600, recalls=(RECALLS, _drop(2), _drop(3))).draw(rng)
            return _judge(last, now, 0.02, oldest if kept else None)[0] == "PASS"

        yield Claim(
            name="gate: PASS of a third release that loses one point" + ("" if kept else " (no oldest baseline)"),
            setting="UAR, 600 people, margin 0.02", promised=(0, 0.05) if kept else (0, 1), happens=drifts,
            draws=200, quick=25,
        )  # fmt: skip


def _harder() -> Iterator[Claim]:
    """Yield false PASSes of other metrics, and of people who differ more and are lost by other releases."""
    more = {"alike": 0.45, "apart": 0.1}
    most = {"alike": 0.7, "apart": 0.05}
    for metric, people, kind in (
        *(("uar", people, kind) for people in (20, 40, 120) for kind in (more, most)),
        *((metric, people, more) for metric in ("accuracy", "macro_f1") for people in (20, 120)),
        ("uar", 40, {"agree": 0.95}),
    ):

        def passes(
            rng: np.random.Generator, metric: str = metric, people: int = people, kind: dict[str, float] = kind
        ) -> bool:
            before, now = Releases(people=people, recalls=(RECALLS, _drop(5)), **kind).draw(rng)
            return _judge(before, now, _true_drop(metric), guarded=False, metric=metric)[0] == "PASS"

        said = ", ".join(f"{name} {value:g}" for name, value in kind.items())
        yield Claim(
            name="gate: PASS with a drop of the margin (no guards)",
            setting=f"{STANDARD[metric].title}, {people} people, 5 points, {said}", promised=(0, 0.05),
            happens=passes, draws=3000, quick=25,
        )  # fmt: skip


@functools.cache
def _true_drop(metric: str) -> float:
    """Return by how much a metric truly drops where all recalls do by 5 points."""
    if metric != "macro_f1":
        return 0.05
    releases = Releases(people=10_000, recalls=(RECALLS, _drop(5))).draw(np.random.default_rng(15))
    before, after = (STANDARD[metric].compute(one.true, one.probabilities) for one in releases)
    return before - after


def _sizes() -> Iterator[Claim]:
    """Yield what the gate says of the number of people, or images of nobody known, that it needs."""
    margin = 0.05

    def needed(rng: np.random.Generator, units: int, images: int = 20) -> tuple[float, float]:
        """Return the range that two equal releases give."""
        alike = 0.15 if images > 1 else 0.0
        return _judge(*Releases(people=units, recalls=(RECALLS,) * 2, images=images, alike=alike).draw(rng), margin)[1]

    @functools.cache
    def truth(images: int) -> float:
        """Return how many it takes, by many more than a pilot has: the middle of five draws."""
        rng = np.random.default_rng(14)
        return float(np.median([needed(rng, 4000 if images > 1 else 20_000, images) for _ in range(5)]))

    for units, images in ((20, 20), (50, 20), (200, 20), (50, 1), (350, 1), (3500, 1)):

        def holds(rng: np.random.Generator, units: int = units, images: int = images) -> bool:
            least, most = needed(rng, units, images)
            return least <= truth(images) <= most

        unit = "people of 20 images" if images > 1 else "images of as many people"
        yield Claim(
            name="gate: the range of units needed holds the true number",
            setting=f"UAR, margin 0.05, a pilot of {units:,} {unit}", promised=(0.9, 1), happens=holds,
            draws=1200 if units == 20 else 600 if units < 1000 else 200, quick=20 if units < 1000 else 5,
        )  # fmt: skip

    def overlap(rng: np.random.Generator) -> bool:
        (low, high), (least, most) = (needed(rng, units, images=1) for units in (50, 3500))
        return low <= most and least <= high

    yield Claim(
        name="gate: the ranges of units needed from two pilots overlap",
        setting="UAR, margin 0.05, 50 and 3,500 images of as many people", promised=(0.9, 1), happens=overlap,
        draws=200, quick=5,
    )  # fmt: skip
    for pilot in (50, 200):

        def settles(rng: np.random.Generator, pilot: int = pilot) -> bool:
            people = min(2000, math.ceil(needed(rng, pilot)[1]))
            releases = Releases(people=people, recalls=(RECALLS,) * 2).draw(rng)
            return _judge(*releases, margin, wanted="PASS")[0] == "PASS"

        yield Claim(
            name="gate: PASS without a drop at the most people that a pilot asks for",
            setting=f"UAR, margin 0.05, a pilot of {pilot} people", promised=(0.9, 1), happens=settles,
            draws=200, quick=10,
        )  # fmt: skip
