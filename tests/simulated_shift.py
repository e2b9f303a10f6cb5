"""Claims about other data: the gap of a method that is trained on one data set, and the order of methods."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from simulated_claim import Claim
from simulated_learner import PRIOR, Learner, fit_ridge
from simulated_people import Faces

from fer_bench.evaluation.across import make_block
from fer_bench.evaluation.guards import Answers
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.order import judge_order
from fer_bench.evaluation.shift import measure_gap, share_classes, weigh_recalls

OTHER = np.array([0.3, 0.1, 0.05, 0.1, 0.1, 0.05, 0.3])
"""Class shares of the other data set."""
WEAKER = 0.6
"""By how much its classes lie nearer to one another, in standard deviations of an image."""
COMMON = weigh_recalls((PRIOR + OTHER) / 2)


def shift_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _gaps()
    yield from _orders()


def _gaps() -> Iterator[Claim]:
    for people, others, features in ((20, 20, 16), (40, 80, 16)):
        own = Learner(people=people, features=features, images=15)
        for metric, title in ((STANDARD["uar"], "UAR"), (COMMON, "accuracy at common shares")):

            def covers(
                rng: np.random.Generator, own: Learner = own, others: int = others, metric: Metric = metric
            ) -> bool:
                found = measure_gap(metric, *draw_shift(rng, own, others, WEAKER), 1.25)
                return found.low <= dict(find_gaps(own))[metric.name] <= found.high

            yield Claim(
                name="shift: the interval of a gap holds the true gap",
                setting=f"{title}, {features} features, {people} people of own data, {others} of other data",
                promised=(0.93, 1.0), happens=covers, draws=400, quick=20,
            )  # fmt: skip
    for title, choose in (("at common shares", True), ("as it is", False)):

        def falls(rng: np.random.Generator, choose: bool = choose) -> bool:
            own, other = draw_shift(rng, Learner(people=40, features=16, images=15), 80, 0.0)
            metric = weigh_recalls(share_classes(own, other, 7)) if choose else STANDARD["accuracy"]
            found = measure_gap(metric, own, other, 1.25)
            return not found.low <= 0 <= found.high

        yield Claim(
            name=f"shift: the accuracy {title} shows a gap where only class shares differ",
            setting="16 features, 40 people of own data, 80 of other data",
            promised=(0, 0.06) if choose else (0, 1), happens=falls, draws=400, quick=20,
        )  # fmt: skip


def draw_shift(rng: np.random.Generator, own: Learner, people: int, weaker: float) -> tuple[Answers, Answers]:
    """Return what cross-validation answers on own data, and what training on all of them answers on other data."""
    x, true, person = own.draw(rng)
    fold = (rng.permutation(own.people) % own.folds)[person]
    table = np.zeros((len(true), 7))
    for number in range(own.folds):
        test = fold == number
        table[test] = fit_ridge(x[~test], true[~test])(x[test])
    others, labels, names = draw_other(rng, replace(own, people=people), weaker)
    return _answer(true, table, person), _answer(labels, fit_ridge(x, true)(others), names)


def draw_other(rng: np.random.Generator, learner: Learner, weaker: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and people of other data: other class shares, and classes that are nearer."""
    x, true, person = replace(learner, prior=tuple(OTHER.tolist())).draw(rng)
    x[np.arange(len(true)), true] -= weaker
    return x, true, person


def _answer(true: np.ndarray, table: np.ndarray, person: np.ndarray) -> Answers:
    zeros = np.zeros(len(true), np.int64)
    return Answers(true=true, probabilities=table, seeds=zeros, splits=zeros, units=person)


@functools.cache
def find_gaps(own: Learner) -> tuple[tuple[str, float], ...]:
    """Return name and mean gap of each metric over trainings, each tested on many other people of both kinds."""
    rng, metrics = np.random.default_rng(6), (STANDARD["uar"], COMMON)
    gaps = np.zeros((60, len(metrics)))
    many, labels, _ = replace(own, people=300).draw(rng)
    others, foreign, _ = draw_other(rng, replace(own, people=300), WEAKER)
    for row in gaps:
        x, true, person = own.draw(rng)
        part = person < round(own.people * (1 - 1 / own.folds))
        here, there = fit_ridge(x[part], true[part])(many), fit_ridge(x, true)(others)
        row[:] = [metric.score(foreign, there) - metric.score(labels, here) for metric in metrics]
    return tuple(zip([metric.name for metric in metrics], gaps.mean(axis=0).tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class Methods:
    """Methods on several data sets.

    Attributes:
        setting: in words.
        gaps: of each data set, what each method is better by, in logits.
        people: of a data set; likewise ``seeds``.
        answers: about any pair of methods.
        promised: lowest and highest share of cases in which one of the answers is given.
    """

    setting: str
    gaps: tuple[tuple[float, ...], ...]
    people: int = 20
    seeds: int = 1
    answers: tuple[str, ...] = ("holds", "reversed")
    promised: tuple[float, float] = (0, 0.05)

    def says(self, rng: np.random.Generator) -> bool:
        """Return whether one of the answers is given about drawn people."""
        faces = [
            Faces(people=self.people, methods=len(gaps), seeds=self.seeds, noise=0.2 * (self.seeds > 1), gaps=gaps)
            for gaps in self.gaps
        ]
        drawn = [one.estimates(rng, STANDARD["uar"]) for one in faces]
        pairs = combinations(range(len(self.gaps[0])), 2)
        judged = judge_order([[make_block([(one[i], one[j])]) for one in drawn] for i, j in pairs])
        return any(one.order in self.answers for one in judged)


def _orders() -> Iterator[Claim]:
    far, equal = (0.0, 3.0), (0.0, 0.0)
    for methods in (
        Methods(setting="3 methods equal on 2 data sets", gaps=((0.0,) * 3,) * 2),
        Methods(setting="3 methods equal on 3 data sets", gaps=((0.0,) * 3,) * 3, seeds=3),
        Methods(setting="2 methods far apart on one data set, equal on another", gaps=(far, equal)),
        Methods(setting="2 methods far apart on one data set, equal on 4 others", gaps=(far, *[equal] * 4)),
        Methods(
            setting="2 methods 1.5 logits apart on 3 data sets", gaps=((0.0, 1.5),) * 3, people=40, answers=("holds",),
            promised=(0.5, 1),
        ),
        Methods(
            setting="2 methods 1.5 logits apart, in each direction on one data set", gaps=((0.0, 1.5), (1.5, 0.0)),
            people=40, answers=("reversed",), promised=(0.8, 1),
        ),
    ):  # fmt: skip
        seeds = f", {methods.seeds} seeds" if methods.seeds > 1 else ""
        yield Claim(
            name=f"shift: the order of two methods is said to be {' or '.join(methods.answers)}",
            setting=f"UAR, {methods.setting}, {methods.people} people each{seeds}",
            promised=methods.promised, happens=methods.says, draws=1000, quick=40,
        )  # fmt: skip
