"""Whether the training parts of folds hold as many samples as a strategy needs, and the data the sequences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fer_bench.specs import Plan, ReadoutPhase
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.splitting import noun
from fer_bench.tasks.task import Task

FEWEST_CALIBRATING = 10
"""Images that a temperature is fitted on at least."""


def shortfalls(plan: Plan, strategy: str, task: Task, folds: Iterable[Fold]) -> list[str]:
    """Return what a strategy needs and a training part does not hold, in words: of each need the smallest part.

    Args:
        plan: of the strategy.
        strategy: its name with its parameters.
        task: the samples that were split.
        folds: that the strategy is to be trained on.
    """
    folds = list(folds)
    return [*_of_training(plan, strategy, task, folds), *_of_prediction(plan, strategy, task, folds)]


def notes_on_prediction(plan: Plan, strategy: str, task: Task, folds: Iterable[Fold]) -> list[str]:
    """Return what a user should know of how a strategy calibrates and aggregates; arguments as of `shortfalls`."""
    notes: list[str] = []
    if plan.calibrate != "none":
        rows = [np.flatnonzero(fold.valid) for fold in folds]
        images = _range([len(each) for each in rows])
        units = "" if task.groups is None else _range([len(np.unique(task.groups[each])) for each in rows])
        of = f" of {units} {noun(task.unit)}s" if units else ""
        notes.append(f"{task.name}: calibrated on {images} images{of} of each training part, which train nothing.")
    if plan.aggregate != "none":
        grouped = (task.part == 0) & (task.sequences >= 0)
        pairs = np.unique(np.stack([task.sequences[grouped], task.labels[grouped]]), axis=1)
        mixed = int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
        if mixed:
            notes.append(
                f"{strategy}: {mixed} of {len(np.unique(pairs[0]))} sequences of {task.name!r} have images of several "
                "classes, of which one answer is wrong for some."
            )
    return notes


def _range(counts: list[int]) -> str:
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _of_prediction(plan: Plan, strategy: str, task: Task, folds: list[Fold]) -> list[str]:
    faults: list[str] = []
    if plan.aggregate != "none" and not (task.sequences[task.part == 0] >= 0).any():
        faults.append(
            f"{strategy!r} gives one answer for a sequence, and nothing says which images of {task.name!r} are of one"
        )
    if plan.calibrate == "none":
        return faults
    classes = len(task.classes)
    counts = [(fold.number, np.bincount(task.labels[fold.valid], minlength=classes)) for fold in folds]
    number, count = min(counts, key=lambda each: each[1].sum())
    if count.sum() < FEWEST_CALIBRATING:
        faults.append(
            f"{strategy!r} calibrates on {FEWEST_CALIBRATING} images at least, and the validation part of fold "
            f"{number} of {task.name!r} has {count.sum()}"
        )
    if plan.calibrate == "bias" and (lacking := [(number, count) for number, count in counts if not count.all()]):
        number, count = lacking[0]
        names = ", ".join(repr(task.classes[int(place)]) for place in np.flatnonzero(count == 0))
        faults.append(
            f"{strategy!r} fits a bias for each class, and the validation part of fold {number} of {task.name!r} has "
            f"no image of {names}; calibrate=temperature needs none"
        )
    return faults


def _of_training(plan: Plan, strategy: str, task: Task, folds: list[Fold]) -> list[str]:
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
