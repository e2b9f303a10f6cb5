"""What the gate promises of releases, measured on drawn people."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim
from simulated_people import Releases

from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.guards import METRIC_POWER, SHARE, Answers, join_verdicts, judge_classes
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.noninferiority import NonInferiority, judge_estimates

RECALLS = (0.6, 0.6, 0.6, 0.8, 0.6, 0.75, 0.65)
DISGUST_LOST = (0.7, 0.0, 0.7, 0.9, 0.7, 0.85, 0.75)


def _judge(
    before: Answers, after: Answers, margin: float, oldest: Answers | None = None, guarded: bool = True
) -> tuple[str, tuple[float, float]]:
    """Return the verdict of the gate, as ``fer-bench check`` puts it together, and the people that it needs."""

    def test(then: Answers, share: float) -> NonInferiority:
        first, second = (
            measure(STANDARD["uar"], one.true, one.probabilities, one.seeds, one.units) for one in (then, after)
        )
        return judge_estimates(
            first, second, len(np.unique(then.units)), identical=False, margin=margin, alpha=0.05,
            fail_alpha=share * 0.05, power=METRIC_POWER,
        )  # fmt: skip

    if not guarded:
        found = test(before, 1.0)
        return found.verdict, found.units_needed
    tests = [test(before, 1 - SHARE * (1 if oldest is None else 2))]
    tests += judge_classes(before, after, margin=7 * margin, alpha=0.05).values()
    if oldest is not None:
        tests.append(test(oldest, SHARE))
    people = len(np.unique(before.units))
    least, most = (max(people / one.units * one.units_needed[end] for one in tests) for end in (0, 1))
    return join_verdicts(tests), (least, most)


def _drop(points: float) -> tuple[float, ...]:
    return tuple(recall - points / 100 for recall in RECALLS)


def gate_claims() -> Iterator[Claim]:
    """Yield every claim about the gate."""

    def says(wanted: str, people: int, margin: float, after: tuple[float, ...], guarded: bool = True):
        """Return whether the gate says so of two releases."""

        def happens(rng: np.random.Generator) -> bool:
            before, now = Releases(people=people, recalls=(RECALLS, after)).draw(rng)
            return _judge(before, now, margin, guarded=guarded)[0] == wanted

        return happens

    for people, margin in ((20, 0.05), (40, 0.05), (120, 0.05), (300, 0.02)):
        setting = f"UAR, {people} people, margin {margin:g}"
        yield Claim(
            name="gate: FAIL without a drop", setting=setting, promised=(0, 0.05),
            happens=says("FAIL", people, margin, RECALLS), draws=400, quick=25,
        )  # fmt: skip
        yield Claim(
            name="gate: PASS with a drop of the margin", setting=setting, promised=(0, 0.05),
            happens=says("PASS", people, margin, _drop(100 * margin)), draws=400, quick=25,
        )  # fmt: skip
        for guarded in (True, False):
            yield Claim(
                name="gate: PASS with disgust from 60 % to 0 and the others up by 10 points"
                + ("" if guarded else " (no guard by class)"),
                setting=setting, promised=(0, 0.05) if guarded else (0, 1),
                happens=says("PASS", people, margin, DISGUST_LOST, guarded), draws=300, quick=25,
            )  # fmt: skip
    yield Claim(
        name="gate: FAIL with a drop of 10 points", setting="UAR, 20 people, margin 0.05", promised=(0.75, 1),
        happens=says("FAIL", 20, 0.05, _drop(10)), draws=300, quick=25,
    )  # fmt: skip
    yield Claim(
        name="gate: PASS without a drop", setting="UAR, 120 people, margin 0.05", promised=(0.8, 1),
        happens=says("PASS", 120, 0.05, RECALLS), draws=300, quick=25,
    )  # fmt: skip
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
    yield from _sizes()


def _sizes() -> Iterator[Claim]:
    """Yield what the gate says of the number of people that it needs."""
    margin = 0.05

    @functools.cache
    def truth() -> float:
        """Return how many people it takes by what 1,500 say: the middle of ten draws."""
        rng = np.random.default_rng(14)
        draws = [_judge(*Releases(people=1500, recalls=(RECALLS,) * 2).draw(rng), margin)[1] for _ in range(10)]
        return float(np.median(draws))

    def holds(rng: np.random.Generator) -> bool:
        least, most = _judge(*Releases(people=50, recalls=(RECALLS,) * 2).draw(rng), margin)[1]
        return least <= truth() <= most

    def settles(rng: np.random.Generator) -> bool:
        most = _judge(*Releases(people=50, recalls=(RECALLS,) * 2).draw(rng), margin)[1][1]
        people = min(2000, math.ceil(most))
        return _judge(*Releases(people=people, recalls=(RECALLS,) * 2).draw(rng), margin)[0] == "PASS"

    yield Claim(
        name="gate: the range of people needed from a pilot of 50 holds what 1,500 say",
        setting="UAR, margin 0.05", promised=(0.7, 1), happens=holds, draws=200, quick=25,
    )  # fmt: skip
    yield Claim(
        name="gate: PASS without a drop at the most people that a pilot of 50 asks for",
        setting="UAR, margin 0.05", promised=(0.9, 1), happens=settles, draws=200, quick=25,
    )  # fmt: skip
