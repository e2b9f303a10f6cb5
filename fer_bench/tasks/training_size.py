"""Whether the training parts of folds hold as many samples as a strategy needs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fer_bench.specs import Plan, ReadoutPhase
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.task import Task


def shortfalls(plan: Plan, strategy: str, task: Task, folds: Iterable[Fold]) -> list[str]:
    """Return what a strategy needs and a training part does not hold, in words: of each need the smallest part.

    Args:
        plan: of the strategy.
        strategy: its name with its parameters.
        task: the samples that were split.
        folds: that the strategy is to be trained on.
    """
    phases = [phase for phase in plan.phases if isinstance(phase, ReadoutPhase)]
    samples = max((phase.min_samples for phase in phases), default=1)
    per_class = max((phase.min_per_class for phase in phases), default=1)
    if samples <= 1 and per_class <= 1:
        return []
    counts = [(fold.number, np.bincount(task.labels[fold.train], minlength=len(task.classes))) for fold in folds]
    faults: list[str] = []
    number, count = min(counts, key=lambda each: each[1].sum())
    if count.sum() < samples:
        faults.append(
            f"{strategy!r} needs {samples:,} training samples, and fold {number} of {task.name!r} has {count.sum():,}"
        )
    number, count = min(counts, key=lambda each: each[1][each[1] > 0].min(initial=per_class))
    fewest = count[count > 0].min(initial=per_class)
    if fewest < per_class:
        name = task.classes[int(np.flatnonzero(count == fewest)[0])]
        faults.append(
            f"{strategy!r} needs {per_class:,} training samples of each class, and fold {number} of {task.name!r} has "
            f"{fewest:,} of {name!r}"
        )
    return faults
