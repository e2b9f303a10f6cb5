"""A jackknife of folds: models that are trained without two of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.sizes import number_of
from fer_bench.tasks.folds import Fold, Split
from fer_bench.tasks.task import Task

ALL_PAIRS = 10
"""Of up to so many folds each two are left out; of more, each with ``NEIGHBOURS`` that come next in a random order."""
NEIGHBOURS = 4


def leave_two_out(split: Split, task: Task) -> Split:
    """Return the split whose folds test two folds of ``split`` and train on what both of them train on.

    Args:
        split: that tests a sample in one fold at most.
        task: the samples that were split.

    Raises:
        FerBenchError: it has fewer than three folds, or tests a sample twice, or a model would train without a class.
    """
    folds, count = split.folds, len(split.folds)
    if count < 3 or np.sum([fold.test for fold in folds], axis=0).max() > 1:
        raise FerBenchError(
            f"--jackknife leaves two folds out, so it needs three or more that test each image once; {split.text!r} of "
            f"{task.name!r} has {number_of(count, 'fold')}. Take 'kfold', 'group-kfold' or 'loso'."
        )
    chosen = choose_pairs(count, split.seed)
    pairs = [_join(number, folds[i], folds[j]) for number, (i, j) in enumerate(chosen)]
    everything = np.bincount(task.labels, minlength=len(task.classes)) > 0
    for fold, (i, j) in zip(pairs, chosen, strict=True):
        lost = np.flatnonzero(everything & (np.bincount(task.labels[fold.train], minlength=len(everything)) == 0))
        if len(lost):
            raise FerBenchError(
                f"--jackknife: without folds {i} and {j} of {task.name!r} (seed {split.seed}), no image of class "
                f"{task.classes[int(lost[0])]!r} is left to train on. Take more folds, or leave out --jackknife."
            )
    return replace(split, folds=tuple(pairs), pairs_of=f"{split.text} x {count}")


def choose_pairs(count: int, seed: int) -> list[tuple[int, int]]:
    """Return which of ``count`` folds are left out together."""
    if count <= ALL_PAIRS:
        return list(combinations(range(count), 2))
    order = np.random.default_rng([seed, count]).permutation(count)
    steps = range(1, NEIGHBOURS + 1)
    return [(int(order[place]), int(order[(place + step) % count])) for place in range(count) for step in steps]


def _join(number: int, first: Fold, second: Fold) -> Fold:
    test = first.test | second.test
    return Fold(number, first.train & second.train, test, first.valid & second.valid & ~test)
