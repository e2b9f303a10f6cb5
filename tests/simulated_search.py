"""What a search promises: no optimism on labels that say nothing, where a plain search shows some."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from simulated_claim import Claim, MeanClaim

from fer_bench.evaluation.metrics import STANDARD, evaluate
from fer_bench.evaluation.optimism import measure_optimism
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning.engine import run_plan
from fer_bench.learning.material import Material
from fer_bench.learning.search import Searching
from fer_bench.learning.trials import SearchTrial
from fer_bench.specs import Plan, ReadoutPhase
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.inner import divide_training

PEOPLE, CLASSES, FEATURES, FOLDS, INNER = 20, 7, 8, 5, 4
CHANCE = 1 / CLASSES
SPACE = [(k, seen) for k in (1, 2, 3, 5, 8, 13, 21, 34) for seen in (2, 5, 8)]
SETTING = f"{PEOPLE} people of {CLASSES} images, labels shuffled within each; {len(SPACE)} settings"


class Neighbours:
    """The classes of the nearest k samples, as shares; of a sample the first features are seen."""

    def __init__(self, k: int, seen: int):
        self.k, self.seen, self.classes_ = k, seen, np.arange(CLASSES)

    def fit(self, x: np.ndarray, labels: np.ndarray) -> None:
        """Remember the samples."""
        self._x, self._hit = x[:, : self.seen], np.eye(CLASSES)[labels]

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return the shares, (n, classes)."""
        far = ((x[:, None, : self.seen] - self._x) ** 2).sum(2)
        return self._hit[np.argpartition(far, self.k - 1, axis=1)[:, : self.k]].mean(1)


def _trial(k: int, seen: int) -> SearchTrial:
    phase = ReadoutPhase(estimator=f"{__name__}:Neighbours", options={"k": k, "seen": seen})
    strategy: Any = None  # its plan is all that is read
    return SearchTrial({"k": k, "seen": seen}, strategy, Plan(phases=(phase,)))


TRIALS = [_trial(*settings) for settings in SPACE]


class _Task(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.labels)


class Drawn:
    """A data set whose labels say nothing of its features, and its folds by person."""

    def __init__(self, rng: np.random.Generator):
        self.person = np.repeat(np.arange(PEOPLE), CLASSES)
        self.labels = np.concatenate([rng.permutation(CLASSES) for _ in range(PEOPLE)])
        x = rng.normal(size=(len(self.labels), FEATURES)) + rng.normal(size=(PEOPLE, FEATURES))[self.person]
        features = Outputs([x[:, None].astype(np.float32)])
        place = (rng.permutation(PEOPLE) % FOLDS)[self.person]
        self.folds = [Fold(k, place != k, place == k) for k in range(FOLDS)]
        self.seed = int(rng.integers(2**31))

        def nothing(*arguments: Any) -> None:
            del arguments

        self.material = Material(
            labels=self.labels,
            classes=CLASSES,
            features=lambda: features,
            inputs=lambda stop, flip: features,
            backbone=nothing,
            begin=nothing,
            advance=nothing,
        )

    def score(self, labels: np.ndarray, probabilities: np.ndarray) -> float:
        """Return the UAR."""
        return evaluate(labels, probabilities, [STANDARD["uar"]])["uar"]

    def search(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the score of a nested search, and of each cell the inner best and the outer score."""
        task: Any = _Task(
            name="drawn", unit="subject", classes=range(CLASSES), labels=self.labels, groups=self.person,
            part=np.zeros(len(self.labels), int),
        )  # fmt: skip
        apart: Any = SimpleNamespace(seed=self.seed, protocol=SimpleNamespace(spec=SimpleNamespace(groups="apart")))
        table, inner, outer = np.zeros((len(self.labels), CLASSES)), np.zeros(FOLDS), np.zeros(FOLDS)
        for fold in self.folds:
            nested = divide_training(fold, apart, task, INNER, None)
            searching = Searching(TRIALS, nested, self.material, 0, self.score, Checkpoint(None), halving=False)
            outcome = searching.run()
            assert outcome.chosen is not None
            table[fold.test], inner[fold.number] = outcome.probabilities, outcome.chosen.score
            outer[fold.number] = self.score(self.labels[fold.test], outcome.probabilities)
        return self.score(self.labels, table), inner, outer

    def best_of_all(self) -> float:
        """Return the best score that any setting has in cross-validation: what a plain search reports."""
        scores: list[float] = []
        for trial in TRIALS:
            table = np.zeros((len(self.labels), CLASSES))
            trainings = run_plan(trial.plan, self.material, self.folds, [0] * FOLDS)
            for fold, train in zip(self.folds, trainings, strict=True):
                table[fold.test] = train(Checkpoint(None)).probabilities
            scores.append(self.score(self.labels, table))
        return max(scores)


@functools.cache
def find_optimism() -> float:
    """Return the mean of inner best minus chance, which is the expected outer score."""
    rng = np.random.default_rng(23)
    return float(np.mean([Drawn(rng).search()[1].mean() for _ in range(100)])) - CHANCE


def _covers(rng: np.random.Generator) -> bool:
    _, inner, outer = Drawn(rng).search()
    optimism = measure_optimism(inner, outer, np.zeros(FOLDS, int))
    assert optimism.low is not None
    assert optimism.high is not None
    return optimism.low <= find_optimism() <= optimism.high


def search_claims() -> Iterator[Claim]:
    """Yield the claims about searches."""
    yield MeanClaim(
        name="search: bias of the nested score",
        setting=SETTING,
        promised=(-0.005, 0.005),
        happens=lambda rng: Drawn(rng).search()[0] - CHANCE,
        draws=150,
        quick=2,
    )
    yield MeanClaim(
        name="search: bias of the best of all settings",
        setting=SETTING,
        promised=(0.03, 1.0),
        happens=lambda rng: Drawn(rng).best_of_all() - CHANCE,
        draws=300,
        quick=3,
    )
    yield Claim(
        name="search: interval of the optimism holds it",
        setting=SETTING,
        promised=(0, 1),
        happens=_covers,
        draws=100,
    )
