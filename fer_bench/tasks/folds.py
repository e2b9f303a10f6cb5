"""Folds of a task, and what is taken from their training parts: validation, samples that teach nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.plugin_code import digest_code
from fer_bench.plugins import CORE
from fer_bench.registry import Component
from fer_bench.specs import ProtocolSpec
from fer_bench.tasks.scikit import remembering
from fer_bench.tasks.splitters import stratified, stratified_by_group
from fer_bench.tasks.splitting import noun
from fer_bench.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of a task's samples; no sample is in two parts, and some may be in none.

    Attributes:
        number: from 0.
        train: (n,) bool.
        test: (n,) bool.
        valid: (n,) bool: samples that may choose an epoch or a temperature; none unless asked for.
    """

    number: int
    train: Array
    test: Array
    valid: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        if not len(self.valid):
            object.__setattr__(self, "valid", np.zeros_like(self.train))


@dataclass(frozen=True, eq=False)
class Split:
    """The folds of one seed.

    Attributes:
        protocol: with the parameters that were taken.
        leak_free: a published protocol whose leaks into training were taken out.
        ignores: what is known to belong together but may stand in training and test: of subject, sequence and copy.
        seed: drew the folds.
        folds: in order.
        train_fraction: the share of each training part that is left.
        pairs_of: of a jackknife, whose folds each test two folds of another split: the text of that one and how many
            folds it has, as in ``kfold x 5``; else empty.
    """

    protocol: Component[ProtocolSpec]
    leak_free: bool
    ignores: tuple[str, ...]
    seed: int
    folds: tuple[Fold, ...]
    train_fraction: float = 1.0
    pairs_of: str = ""

    @property
    def text(self) -> str:
        """The protocol with what decides its folds beside their number, as in ``official[test=privatetest]``."""
        values = {name: value for name, value in self._values().items() if name != "folds"}
        values |= {"leak_free": "true"} if self.leak_free else {}
        values |= {"train": f"{self.train_fraction:g}"} if self.train_fraction < 1 else {}
        values |= {"without": "2"} if self.pairs_of else {}
        listed = ",".join(f"{name}={value}" for name, value in values.items())
        return f"{self.protocol.spec.name}[{listed}]" if listed else self.protocol.spec.name

    @cached_property
    def sha256(self) -> str:
        """Hash of which sample is where in each fold."""
        digest = hashlib.sha256()
        for fold in self.folds:
            digest.update((fold.train + 2 * fold.test.astype(np.uint8) + 4 * fold.valid.astype(np.uint8)).tobytes())
        return digest.hexdigest()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a cell records of it: of a plugin's protocol its package, parameters and code, too."""
        record: dict[str, Any] = {
            "name": self.protocol.spec.name,
            "text": self.text,
            "ignores": list(self.ignores),
            "folds": len(self.folds),
            "splits_sha256": self.sha256,
            "pairs_of": self.pairs_of,
        }
        distribution = self.protocol.plugin.distribution
        if distribution == CORE:  # `fer_bench.numerics` stands for its code, and its text has its parameters.
            return record
        return {**record, **self.protocol.identity(), **digest_code([self.protocol.spec.splitter], distribution)}

    def _values(self) -> dict[str, Any]:
        return self.protocol.identity()["params"]


def cut_validation(split: Split, task: Task, fraction: float, cache_dir: Path | None = None) -> Split:
    """Return the split with a validation part cut out of the training part of each fold.

    The part is one fold of as many as ``1 / fraction`` comes to: stratified by label, whole groups where the protocol
    keeps groups, drawn by the split's seed from training samples of the tested data set, or of all where it has none in
    training. A fold that has an official validation split keeps that.

    Args:
        split: from `split`.
        task: the samples that were split.
        fraction: of the training samples, above 0 to 0.5.
        cache_dir: where dealt parts are remembered.

    Raises:
        FerBenchError: a class or group is too rare for that.
    """
    return replace(split, folds=tuple(cut_fold(fold, split, task, fraction, cache_dir) for fold in split.folds))


def cut_fold(fold: Fold, split: Split, task: Task, fraction: float, cache_dir: Path | None) -> Fold:
    """Return a fold with a validation part, as `cut_validation` cuts it."""
    if fold.valid.any():
        return fold
    rows = np.flatnonzero(fold.train & (task.part == 0))
    if not len(rows):
        rows = np.flatnonzero(fold.train)
    labels, parts = task.labels[rows], max(2, round(1 / fraction))
    rarest = int(np.bincount(labels, minlength=len(task.classes)).min())
    if rarest < 2:
        raise FerBenchError(
            f"Fold {fold.number} of {task.name!r} has a class with {rarest} training samples, so none can be spared "
            "for validation; take more samples, or a strategy without validation and with calibrate=none."
        )
    parts = min(parts, rarest)
    if split.protocol.spec.groups == "ignored" or task.groups is None:
        splitter, groups = stratified(parts, split.seed), None
    else:
        groups = task.groups[rows]
        parts = min(parts, len(np.unique(groups)))
        if parts < 2:
            raise FerBenchError(
                f"Fold {fold.number} of {task.name!r} trains on one {noun(task.unit)}, so none can be spared for "
                "validation; take a strategy without validation and with calibrate=none."
            )
        splitter = stratified_by_group(parts, split.seed)
    for _, chosen in remembering(splitter, cache_dir).split(labels, labels, groups):
        valid = mask(rows[chosen], len(task))
        train = fold.train & ~valid
        if groups is not None and task.groups is not None:
            train &= ~np.isin(task.groups, np.unique(groups[chosen]))
        if valid.any() and len(np.unique(task.labels[train])) == len(task.classes):
            return replace(fold, train=train, valid=valid)
    raise FerBenchError(
        f"Fold {fold.number} of {task.name!r} would train without some class if a validation part were cut from it; "
        "take more samples, or a strategy without validation and with calibrate=none."
    )


def leave_out_of_training(split: Split, task: Task, useless: Array) -> Split:
    """Return ``split`` without the ``useless`` samples (n,) bool in its training parts; what is tested stays.

    Raises:
        FerBenchError: a fold would train without some class.
    """
    folds = tuple(replace(fold, train=fold.train & ~useless) for fold in split.folds)
    for before, fold in zip(split.folds, folds, strict=True):
        counts = [np.bincount(task.labels[mask], minlength=len(task.classes)) for mask in (before.train, fold.train)]
        lost = np.flatnonzero((counts[0] > 0) & (counts[1] == 0))
        if len(lost):
            raise FerBenchError(
                f"Fold {fold.number} of {task.name!r} would train without class {task.classes[lost[0]]!r}: a face was "
                "found in none of its images. Take more samples or fewer folds, or leave out --faces."
            )
    return replace(split, folds=folds)


def mask(rows: Array, n: int) -> Array:
    """Return (n,) bool, True at the positions ``rows``."""
    made = np.zeros(n, dtype=bool)
    made[rows] = True
    return made
