"""Smaller training parts, to see how a score grows with the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.tasks.folds import Fold, Split, mask
from fer_bench.tasks.task import Task


def shrink_training(split: Split, task: Task, fraction: float) -> Split:
    """Return the split with a share of each training part; what is tested stays.

    A smaller share of one seed lies within a larger one. Where the protocol keeps groups apart, whole groups are taken
    in a random order until the share is reached; else as large a share of every class, rounded up.

    Args:
        split: the folds of one seed, which also draws the share.
        task: the samples that were split.
        fraction: of the training samples, above 0 to 1.

    Raises:
        FerBenchError: a fold would train without some class.
    """
    if fraction == 1:
        return split
    apart = split.protocol.spec.groups != "ignored" and task.groups is not None
    folds = tuple(shrink_fold(fold, split.seed, task, fraction, apart=apart) for fold in split.folds)
    return replace(split, folds=folds, train_fraction=fraction)


def shrink_fold(fold: Fold, seed: int, task: Task, fraction: float, *, apart: bool) -> Fold:
    """Return a fold with a share of its training part, as `shrink_training` takes it.

    Args:
        fold: which.
        seed: draws the share.
        task: the samples that were split.
        fraction: of the training samples, above 0 to 1.
        apart: take whole groups.

    Raises:
        FerBenchError: it would train without some class.
    """
    rows = np.flatnonzero(fold.train)
    # Of the whole task, so that folds which share training samples keep the same of them.
    order = np.random.default_rng([seed, len(task)]).permutation(len(task))
    if apart and task.groups is not None:
        train = mask(rows[_take_groups(task.groups[rows], order, fraction)], len(task))
    else:
        rank = np.argsort(order)
        train = np.zeros(len(task), dtype=bool)
        for label in np.unique(task.labels[rows]):
            members = rows[task.labels[rows] == label]
            train[members[np.argsort(rank[members])][: int(np.ceil(fraction * len(members)))]] = True
    lost = np.setdiff1d(task.labels[fold.train], task.labels[train])
    if len(lost):
        raise FerBenchError(
            f"With --train-fraction {fraction:g}, fold {fold.number} of {task.name!r} would train without class "
            f"{task.classes[int(lost[0])]!r}: {train.sum():,} of {len(rows):,} training images are left. Take a larger "
            "share."
        )
    return replace(fold, train=train)


def _take_groups(groups: Array, order: Array, fraction: float) -> Array:
    """Return the places of the samples of the first groups that together reach a share, (m,) int.

    Args:
        groups: (n,) int code of each sample's group.
        order: (k,) int, a permutation that holds every code.
        fraction: of the n samples.
    """
    sizes = np.bincount(groups, minlength=len(order))
    chosen = order[np.isin(order, groups)]
    needed = int(np.searchsorted(np.cumsum(sizes[chosen]), fraction * len(groups) - 1e-9)) + 1
    return np.flatnonzero(np.isin(groups, chosen[:needed]))
