"""Claims of the interval of a cross-validation: for the score of the algorithm, on other people."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from simulated_claim import Claim
from simulated_learner import Learner

from fer_bench.evaluation.metrics import STANDARD, Metric

PROMISED, WITHOUT = (0.93, 0.97), (0.9, 0.99)
"""With a jackknife of folds, and without one."""
FEWEST = 20
"""People from whom on a jackknife is promised to cover."""
DEAR = ("nearest neighbours", "logistic regression")
"""Rules that take longer than ridge regression, so that fewer cases are drawn."""
SHARES: dict[float | None, str] = {
    None: "",
    0.0: " without a term for training (so there is one)",
    1.0: " with the whole term of Nadeau and Bengio (so there is less)",
}


def cross_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    both, with_f1 = ("uar", "accuracy"), ("uar", "macro_f1")
    few, some = Learner(people=20, features=64), Learner(people=60, features=16, images=20)
    many = Learner(people=200, features=64, images=6)
    settings: tuple[tuple[tuple[str, ...], Learner, int, int], ...] = (
        (("uar",), replace(few, people=10), 0, 1),
        (with_f1, replace(few, people=14, folds=14), 0, 1),
        (both, few, 20, 3),
        (both, replace(few, features=256), 0, 1),
        (with_f1, replace(few, folds=20), 20, 1),
        (both, some, 20, 3),
        (both, replace(some, noise=0.1), 20, 1),
        (both, replace(some, features=256), 0, 1),
        (both, many, 20, 1),
        (both, replace(many, noise=0.1), 0, 1),
        (both, replace(many, images=20), 0, 1),
        (both, replace(few, rule="nearest neighbours"), 0, 1),
        (both, replace(some, rule="nearest neighbours"), 0, 1),
        (both, replace(few, rule="logistic regression"), 0, 1),
        (both, replace(some, rule="logistic regression"), 0, 1),
    )
    for names, learner, quick, rules in settings:
        for name, (share, beside) in itertools.product(names, list(SHARES.items())[:rules]):
            yield Claim(
                name=f"{_name(name)} covers the algorithm's score{beside}", setting=_describe(learner),
                promised=WITHOUT if share is None else (0, 1),
                happens=_covers(learner, STANDARD[name], share),
                draws=1000 if share is None and not _is_dear(learner) else 400, quick=quick,
            )  # fmt: skip
    for names, learner, quick, rules in settings:
        for name in names if learner.people >= FEWEST else ():
            yield Claim(
                name=f"{_name(name)} with a jackknife covers the algorithm's score", setting=_describe(learner),
                promised=PROMISED, happens=_covers(learner, STANDARD[name], jackknife=True),
                draws=200 if max(learner.people, learner.features) > 100 else 400, quick=quick // 2 if rules > 1 else 0,
            )  # fmt: skip


def _is_dear(learner: Learner) -> bool:
    return max(learner.people, learner.features) > 100 or learner.rule in DEAR


def _name(metric: str) -> str:
    return f"{STANDARD[metric].title}: the interval of a cross-validation"


def _covers(
    learner: Learner, metric: Metric, share: float | None = None, *, jackknife: bool = False
) -> Callable[[np.random.Generator], bool]:
    return lambda rng: learner.covers(metric, rng, share, jackknife=jackknife)


def _describe(learner: Learner) -> str:
    folds = f"{learner.folds} folds" if learner.folds < learner.people else "one person left out"
    setting = f"{learner.people} people of {learner.images} images, {learner.features} features, {folds}"
    setting += f", training noise {learner.noise:g}" if learner.noise else ""
    return setting + ("" if learner.rule == "ridge regression" else f", {learner.rule}")
