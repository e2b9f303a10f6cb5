"""Claims of the interval of a cross-validation: for the score of the algorithm, on other people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from simulated_claim import Claim
from simulated_learner import RULES, Learner

from fer_bench.evaluation.metrics import STANDARD, Metric

ASKED = (0.93, 0.97)
DEAR = ("nearest neighbours", "logistic regression")
"""Rules that take longer than ridge regression, so that fewer cases are drawn."""
SHARES: dict[float | None, str] = {
    None: "",
    0.0: " without a term for training (so there is one)",
    1.0: " with the whole term of Nadeau and Bengio (so there is less)",
}


def cross_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    small, both = (0.9, 0.97), ("uar", "accuracy")
    few, some = Learner(people=20, features=64), Learner(people=60, features=16, images=20)
    many = Learner(people=200, features=64, images=6)
    for names, learner, promised, quick, rules in (
        (("uar",), replace(few, people=10), small, 0, 1),
        (("uar", "macro_f1"), replace(few, people=14, folds=14), small, 0, 1),
        (both, few, ASKED, 20, 3),
        (both, replace(few, features=256), ASKED, 0, 1),
        (("uar", "macro_f1"), replace(few, folds=20), ASKED, 20, 1),
        (both, some, ASKED, 20, 3),
        (both, replace(some, noise=0.1), ASKED, 20, 1),
        (both, replace(some, features=256), ASKED, 0, 1),
        (both, many, ASKED, 20, 1),
        (both, replace(many, noise=0.1), ASKED, 0, 1),
        (both, replace(many, images=20), ASKED, 0, 1),
        (both, replace(few, rule="nearest neighbours"), ASKED, 0, 1),
        (both, replace(some, rule="nearest neighbours"), ASKED, 0, 1),
        (both, replace(few, rule="logistic regression"), ASKED, 0, 1),
        (both, replace(some, rule="logistic regression"), ASKED, 0, 1),
    ):
        for name, (share, beside) in itertools.product(names, list(SHARES.items())[:rules]):
            metric, dear = STANDARD[name], max(learner.people, learner.features) > 100 or learner.rule in DEAR

            def covers(
                rng: np.random.Generator, learner: Learner = learner, metric: Metric = metric,
                share: float | None = share,
            ) -> bool:  # fmt: skip
                return learner.covers(metric, rng, share)

            yield Claim(
                name=f"{metric.title}: the interval of a cross-validation covers the algorithm's score{beside}",
                setting=_describe(learner), promised=promised if share is None else (0, 1), happens=covers,
                draws=1000 if share is None and not dear else 400, quick=quick,
            )  # fmt: skip
    for learner, rule in itertools.product((few, some), RULES):
        tried = replace(learner, rule=rule)

        def covers_by_pairs(rng: np.random.Generator, tried: Learner = tried) -> bool:
            return tried.covers_by_pairs(STANDARD["uar"], rng)

        yield Claim(
            name="UAR: an interval with a jackknife of folds covers the algorithm's score, by ten further models",
            setting=_describe(tried), promised=(0, 1), happens=covers_by_pairs, draws=200, quick=0,
        )  # fmt: skip


def _describe(learner: Learner) -> str:
    folds = f"{learner.folds} folds" if learner.folds < learner.people else "one person left out"
    setting = f"{learner.people} people of {learner.images} images, {learner.features} features, {folds}"
    setting += f", training noise {learner.noise:g}" if learner.noise else ""
    return setting + ("" if learner.rule == "ridge regression" else f", {learner.rule}")
