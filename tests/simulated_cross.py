"""Claims of the interval of a cross-validation: for the score of the algorithm, on other people."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from simulated_claim import Claim
from simulated_learner import JACKKNIFE, PLAIN, WHOLE, WITHOUT, Covered, Learner

from fer_bench.evaluation.metrics import STANDARD

FEWEST = 20
"""People from whom on a jackknife is promised to cover."""
SAID: dict[str, str] = {
    PLAIN: " covers the algorithm's score",
    WITHOUT: " covers the algorithm's score without a term for training (so there is one)",
    WHOLE: " covers the algorithm's score with the whole term of Nadeau and Bengio (so there is less)",
    JACKKNIFE: " with a jackknife covers the algorithm's score",
}


@dataclass(frozen=True, kw_only=True)
class CrossClaim(Claim):
    """A claim of one interval, whose cases all claims of a setting share: a case trains up to 25 models.

    Attributes:
        learner: that is cross-validated.
        metrics: of all claims of the setting.
        which: the metric of this one, and the interval.
    """

    learner: Learner
    metrics: tuple[str, ...]
    which: tuple[str, str]

    def measure(self, draws: int) -> tuple[float, float]:
        """Return the share in which it happens and its Monte Carlo error, one standard error."""
        share = float(np.mean([covered[self.which] for covered in draw_cases(self.learner, self.metrics, draws)]))
        return share, math.sqrt(max(share * (1 - share), 1 / draws) / draws)


@functools.cache
def draw_cases(learner: Learner, metrics: tuple[str, ...], draws: int) -> list[Covered]:
    """Return which intervals hold the truth, in each case."""
    rng = np.random.default_rng([17, *_describe(learner).encode()])
    return [_draw(learner, metrics, rng) for _ in range(draws)]


def cross_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    both, with_f1 = ("uar", "accuracy"), ("uar", "macro_f1")
    few, some = Learner(people=20, features=64), Learner(people=60, features=16, images=20)
    many = Learner(people=200, features=64, images=6)
    settings: tuple[tuple[tuple[str, ...], Learner, int], ...] = (
        (("uar",), replace(few, people=10), 0),
        (with_f1, replace(few, people=14, folds=14), 0),
        (both, few, 20),
        (both, replace(few, features=256), 0),
        (with_f1, replace(few, folds=20), 10),
        (both, some, 20),
        (both, replace(some, noise=0.1), 20),
        (both, replace(some, features=256), 0),
        (both, many, 0),
        (both, replace(many, noise=0.1), 0),
        (both, replace(many, images=20), 0),
        (both, replace(few, rule="nearest neighbours"), 0),
        (both, replace(some, rule="nearest neighbours"), 0),
        (both, replace(few, rule="logistic regression"), 0),
        (both, replace(some, rule="logistic regression"), 0),
        (both, replace(few, seeds=3), 0),
        (both, replace(some, noise=0.1, seeds=3), 5),
    )
    for kinds in ((PLAIN, WITHOUT, WHOLE), (JACKKNIFE,)):
        for metrics, learner, quick in settings:
            for metric, kind in itertools.product(metrics, kinds):
                if _is_claimed(learner, kind, simple=learner in (few, some)):
                    yield _claim(learner, metrics, (metric, kind), quick)


def _is_claimed(learner: Learner, kind: str, *, simple: bool) -> bool:
    if kind == JACKKNIFE:
        return learner.people >= FEWEST
    return kind == PLAIN or simple


def _claim(learner: Learner, metrics: tuple[str, ...], which: tuple[str, str], quick: int) -> Claim:
    metric, kind = which
    promised = {PLAIN: (0.9, 0.99), JACKKNIFE: (0.92, 0.98 if learner.seeds == 1 else 1.0)}.get(kind, (0.0, 1.0))
    return CrossClaim(
        name=f"{STANDARD[metric].title}: the interval of a cross-validation{SAID[kind]}", setting=_describe(learner),
        promised=promised, happens=lambda rng: _draw(learner, metrics, rng)[which],
        draws=1000 if learner.seeds == 1 else 400, quick=quick, learner=learner, metrics=metrics, which=which,
    )  # fmt: skip


def _draw(learner: Learner, metrics: tuple[str, ...], rng: np.random.Generator) -> Covered:
    return learner.covers(rng, metrics, jackknife=learner.people >= FEWEST)


def _describe(learner: Learner) -> str:
    folds = f"{learner.folds} folds" if learner.folds < learner.people else "one person left out"
    setting = f"{learner.people} people of {learner.images} images, {learner.features} features, {folds}"
    setting += f", training noise {learner.noise:g}" if learner.noise else ""
    setting += "" if learner.rule == "ridge regression" else f", {learner.rule}"
    return setting + (f", {learner.seeds} seeds" if learner.seeds > 1 else "")
