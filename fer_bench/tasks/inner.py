"""Inner folds: a training part divided again, so that settings are chosen without what the fold tests.

G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection and subsequent selection bias in performance
evaluation" (Journal of Machine Learning Research 11, 2010), section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.sizes import number_of
from fer_bench.tasks.folds import Fold, Split, cut_fold, mask
from fer_bench.tasks.fractions import shrink_fold
from fer_bench.tasks.scikit import remembering
from fer_bench.tasks.splitters import stratified, stratified_by_group
from fer_bench.tasks.splitting import noun
from fer_bench.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Nested:
    """A fold with inner folds, which test each sample of its training part once and nothing of its test part.

    Attributes:
        outer: the fold.
        folds: the inner ones.
        split: that the fold is of; its seed draws.
        task: the samples.
        cache_dir: where dealt parts are remembered.
    """

    outer: Fold
    folds: tuple[Fold, ...]
    split: Split
    task: Task
    cache_dir: Path | None
    _kept: dict[tuple[float, float], tuple[Fold, ...]] = field(default_factory=dict[tuple[float, float], Any])

    def cut(self, validation: float) -> Fold:
        """Return the fold with a share of its training part as validation part, as `cut_validation` cuts it."""
        return self._cut(self.outer, validation)

    def inner(self, share: float, validation: float) -> tuple[Fold, ...]:
        """Return the inner folds with less to train on.

        Args:
            share: of the training part that is left: as large a share of every class, rounded up.
            validation: of that, what is cut out as validation part.

        Raises:
            FerBenchError: as of `cut_validation`.
        """
        if (share, validation) not in self._kept:
            small = self.folds
            if share < 1:
                small = [shrink_fold(fold, self.split.seed, self.task, share, apart=False) for fold in small]
            self._kept[share, validation] = tuple(self._cut(fold, validation) for fold in small)
        return self._kept[share, validation]

    def _cut(self, fold: Fold, share: float) -> Fold:
        return cut_fold(fold, self.split, self.task, share, self.cache_dir) if share else fold


def divide_training(fold: Fold, split: Split, task: Task, count: int, cache_dir: Path | None) -> Nested:
    """Return a fold with inner folds: stratified by label, whole groups where the protocol keeps groups.

    They test the training samples of the tested data set, or all where it has none in training; other training samples
    train in each, but for those that share a group with what is tested.

    Args:
        fold: whose training part is divided.
        split: that it is of; its seed draws the inner folds.
        task: the samples that were split.
        count: of inner folds.
        cache_dir: where dealt parts are remembered.

    Raises:
        FerBenchError: the training part has too few groups, or too few samples of a class.
    """
    rows = np.flatnonzero(fold.train & (task.part == 0))
    if not len(rows):
        rows = np.flatnonzero(fold.train)
    labels = task.labels[rows]
    groups = None if split.protocol.spec.groups == "ignored" or task.groups is None else task.groups[rows]
    _check(labels, groups, fold, task, count)
    splitter = stratified(count, split.seed) if groups is None else stratified_by_group(count, split.seed)
    made: list[Fold] = []
    for number, (_, chosen) in enumerate(remembering(splitter, cache_dir).split(labels, labels, groups)):
        test = mask(rows[chosen], len(task))
        train = fold.train & ~test
        if groups is not None and task.groups is not None:
            train &= ~np.isin(task.groups, np.unique(groups[chosen]))
        made.append(replace(fold, number=number, train=train, test=test))
    lacking = [
        (inner.number, task.classes[int(label)])
        for inner in made
        for label in np.setdiff1d(labels, task.labels[inner.train])
    ]
    if lacking or not all(inner.test.any() for inner in made):
        named = "; ".join(f"inner fold {number} lacks {name!r}" for number, name in lacking[:5]) or "one tests nothing"
        raise FerBenchError(
            f"The training part of fold {fold.number} of {task.name!r} cannot be divided into {count} inner folds that "
            f"test something and train on every class: {named}. Take a lower --inner, more samples or fewer classes."
        )
    return Nested(fold, tuple(made), split, task, cache_dir)


def _check(labels: Array, groups: Array | None, fold: Fold, task: Task, count: int) -> None:
    """Raise FerBenchError if there are fewer groups, or samples of a class, than inner folds."""
    counts = np.bincount(labels, minlength=len(task.classes))
    rarest = int(counts.argmin())
    faults: list[str] = []
    if groups is not None and (units := len(np.unique(groups))) < count:
        faults.append(number_of(units, noun(task.unit)))
    if counts[rarest] < count:
        faults.append(f"{number_of(counts[rarest], 'sample')} of class {task.classes[rarest]!r}")
    if faults:
        raise FerBenchError(
            f"--inner {count} is more than the training part of fold {fold.number} of {task.name!r} allows, which has "
            f"{' and '.join(faults)}; take a lower --inner, more folds or more samples."
        )
