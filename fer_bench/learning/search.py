"""Choose the settings of a strategy on inner folds of a training part, then train with them on all of it.

What the outer fold tests is predicted once, by the settings that the inner folds chose: the score holds no optimism of
the choice (S. Varma and R. Simon, "Bias in error estimation when using cross-validation for model selection", BMC
Bioinformatics 7:91, 2006).
"""

from __future__ import annotations

import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.arrays import Array
from fer_bench.keeping.checkpoints import Checkpoint, Step
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning import convex, penalties
from fer_bench.learning.engine import run_plan
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.prediction import mean_of
from fer_bench.learning.suggestions import Suggestions
from fer_bench.learning.trials import FACTOR, ChosenTrial, SearchTrial, rounds
from fer_bench.networks import devices
from fer_bench.specs import ConvexPhase
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.inner import Nested

Score = Callable[[Array, Array], float]
"""(n,) int labels and (n, c) probabilities -> the metric that a search maximises."""


@dataclass(eq=False)
class Searching:
    """A search in the training part of one cell.

    Attributes:
        trials: what is tried; with suggestions what is tried first.
        nested: the fold and its inner folds.
        material: what plans work on.
        seed: of the cell.
        score: of predictions.
        checkpoint: where a killed search left off, and where this one is kept.
        halving: whether most trials train on few samples only.
        suggestions: what is tried next; None where all trials are given.
    """

    trials: Sequence[SearchTrial]
    nested: Nested
    material: Material
    seed: int
    score: Score
    checkpoint: Checkpoint
    halving: bool
    suggestions: Suggestions | None = None

    def run(self) -> Outcome:
        """Choose, train with what was chosen, and predict the test part of the fold.

        Raises:
            FloatingPointError: no trial could be trained.
        """
        start = time.perf_counter()
        self._begun = self.checkpoint.load(_Begun) or _Begun({"scores": []}, {})
        self._scores = {(trial, stage): score for trial, stage, score in self._begun.facts["scores"]}
        self._tried = list(self.trials)
        stages = rounds(len(self._tried)) if self.halving else [1.0]
        count = self.suggestions.total if self.suggestions else len(self._tried)
        self.material.begin(f"search of {count} settings", count * len(self.nested.folds))
        alive = list(range(len(self._tried)))
        for stage, share in enumerate(stages):
            if stage:
                alive = alive[: math.ceil(len(alive) / FACTOR)]
            self._try(alive, stage, share)
            while len(self._tried) < count and self.suggestions:
                self._tried += self.suggestions.after(self._tried, [self._scores[i, stage] for i in alive])
                alive = list(range(len(self._tried)))
                self._try(alive, stage, share)
            alive = sorted(alive, key=lambda i: -(-math.inf if (s := self._scores[i, stage]) is None else s))
        return self._train(alive[0], stages, time.perf_counter() - start)

    def _try(self, alive: Sequence[int], stage: int, share: float) -> None:
        """Score the trials of a round that have no score yet."""
        for members in self._together([i for i in alive if (i, stage) not in self._scores]):
            self._scores.update(self._measure(members, stage, share))
            self.checkpoint.save(self._facts(), {})

    def _train(self, best: int, stages: Sequence[float], seconds: float) -> Outcome:
        """Return what the chosen trial gives on the whole fold."""
        score, trial = self._scores[best, len(stages) - 1], self._tried[best]
        if score is None:
            raise FloatingPointError(f"none of {len(self._tried)} settings could be trained; search smaller rates")
        (train,) = run_plan(trial.plan, self.material, [self.nested.cut(trial.plan.validation)], [self.seed])
        outcome = train(Step(self.checkpoint, "chosen", self._facts(), {}, self._begun.of("chosen")))
        failed = sum(value is None for value in self._scores.values())
        tried = pd.DataFrame(
            {
                "phase": "trial",
                "settings": self._tried[i].text,
                "share": round(stages[stage], 4),
                "score": math.nan if value is None else value,
            }
            for (i, stage), value in sorted(self._scores.items(), key=lambda item: (item[0][1], item[0][0]))
        )
        history = pd.concat([tried, outcome.history], ignore_index=True)
        choice = ChosenTrial(trial, score, len(self._tried), failed)
        return replace(outcome, history=history, seconds=outcome.seconds + seconds, chosen=choice)

    def _together(self, members: Sequence[int]) -> Iterator[list[int]]:
        """Yield trials that are measured at once: heads that differ in their penalty only; else one by one."""
        alike: dict[str, list[int]] = defaultdict(list)
        for i in members:
            plan = self._tried[i].plan
            head = plan.phases[0]
            if isinstance(head, ConvexPhase) and len(plan.phases) == 1 and self._fits:
                alike[repr(replace(plan, phases=(replace(head, c=1.0),)))].append(i)
            else:
                alike[str(i)].append(i)
        yield from alike.values()

    @functools.cached_property
    def _fits(self) -> bool:
        """Whether memory holds the features of a training part."""
        (f,) = self.material.features().shape
        return 4 * f * int(self.nested.outer.train.sum()) <= penalties.LARGEST_BYTES

    @functools.cached_property
    def _quiet(self) -> Material:
        """What plans work on, without a word of each training."""
        return replace(self.material, begin=lambda phase, samples: None, advance=lambda samples: None)

    def _measure(self, members: Sequence[int], stage: int, share: float) -> dict[tuple[int, int], float | None]:
        """Return the scores of some trials on the inner folds, by trial and round."""
        plan = self._tried[members[0]].plan
        cut = self.nested.inner(share, plan.validation)
        if isinstance(plan.phases[0], ConvexPhase) and len(plan.phases) == 1 and self._fits:
            probabilities = self._predict_heads(members, stage, cut)
        else:
            probabilities = [self._predict_one(members[0], stage, cut)]
        return {(i, stage): self._score_of(cut, own) for i, own in zip(members, probabilities, strict=True)}

    def _predict_one(self, i: int, stage: int, folds: Sequence[Fold]) -> list[Array] | None:
        """Return what one trial says of the test part of each inner fold; None where it cannot be trained."""
        name = f"trial {i} of round {stage}"
        by_fold = self._begun.predicted(name)
        trainings = run_plan(self._tried[i].plan, self._quiet, folds, [self.seed] * len(folds))
        for k, train in list(enumerate(trainings))[len(by_fold) :]:
            facts, arrays = (
                {**self._facts(), "trial": name},
                {f"said/{j}": each for j, each in enumerate(by_fold)},
            )
            step = f"{name}, fold {k}"
            try:
                by_fold.append(train(Step(self.checkpoint, step, facts, arrays, self._begun.of(step))).probabilities)
            except FloatingPointError:
                return None
            self._advance(1, stage)
        return by_fold

    def _predict_heads(self, members: Sequence[int], stage: int, folds: Sequence[Fold]) -> list[list[Array]]:
        """Return what each of some heads says of the test part of each inner fold."""
        phases = [phase for i in members for phase in self._tried[i].plan.phases if isinstance(phase, ConvexPhase)]
        plan, features = self._tried[members[0]].plan, self.material.features()
        views = self.material.views(plan, lambda material, mirrored: material.features())
        probabilities: list[list[Array]] = [[] for _ in members]
        classes, at_once = self.material.classes, min(len(phases), penalties.AT_ONCE)
        advice = partial(convex.too_much, at_once, classes, features.shape[0])
        for fold in folds:
            rows, strengths = np.flatnonzero(fold.train), [phase.c for phase in phases]
            with devices.memory_errors_named(advice):
                heads = penalties.fit(features, self.material.labels, rows, classes, phases[0], strengths)
            predict = _Shared(heads)
            for place, own in enumerate(probabilities):
                own.append(self.material.answer(plan, fold, partial(predict, place, views))[0])
            self._advance(len(members), stage)
        return probabilities

    def _advance(self, trainings: int, stage: int) -> None:
        """Tell of trainings of the first round; later ones of halving are fewer and longer."""
        self.material.advance(0 if stage else trainings)

    def _score_of(self, folds: Sequence[Fold], probabilities: Sequence[Array] | None) -> float | None:
        if probabilities is None or not all(np.isfinite(each).all() for each in probabilities):
            return None
        labels = np.concatenate([self.material.labels[fold.test] for fold in folds])
        return self.score(labels, np.concatenate(probabilities))

    def _facts(self) -> dict[str, Any]:
        return {"scores": [[trial, stage, score] for (trial, stage), score in self._scores.items()]}


@dataclass(frozen=True, eq=False)
class _Begun:
    """Where a killed search left off.

    Attributes:
        facts: the scores so far; the trial in progress, and the state of its training.
        arrays: what it predicted of the inner folds before, and the arrays of its training.
    """

    facts: dict[str, Any]
    arrays: dict[str, Array]

    def predicted(self, trial: str) -> list[Array]:
        """Return what a trial predicted of the first inner folds, where it is the one in progress."""
        count = sum(name.startswith("said/") for name in self.arrays) if self.facts.get("trial") == trial else 0
        return [self.arrays[f"said/{k}"] for k in range(count)]

    def of(self, step: str) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """Return the state of a training, where it is the one in progress."""
        return (self.facts["training"], self.arrays) if self.facts.get("step") == step else None


class _Shared:
    """What all heads say of some samples, computed once for all of them."""

    def __init__(self, heads: penalties.Heads):
        self._heads, self._known = heads, dict[tuple[int, bytes], Array]()

    def __call__(self, head: int, views: Sequence[Inputs], rows: Array) -> Array:
        """Return the mean over views of the probabilities by one head, (k, c) float32; the views stay the same."""
        by_view: list[Array] = []
        for number, features in enumerate(views):
            key = number, rows.tobytes()
            if key not in self._known:
                self._known[key] = np.exp(penalties.log_probabilities(self._heads, features, rows))
            by_view.append(self._known[key][head])
        return mean_of(by_view)
