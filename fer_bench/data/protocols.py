"""How samples are dealt to folds: plain scikit-learn splitters behind a name, checked before any work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from fer_bench.config import Protocol
from fer_bench.data.task import Task
from fer_bench.errors import FerBenchError


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of a task's samples; a sample may be in neither part.

    Attributes:
        number: from 0.
        train: (n,) bool.
        test: (n,) bool; shares no sample with ``train``.
    """

    number: int
    train: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Split:
    """The folds of one seed.

    Attributes:
        protocol: ``kfold`` or ``group-kfold``.
        seed: drew the folds.
        folds: in order.
    """

    protocol: str
    seed: int
    folds: tuple[Fold, ...]

    @property
    def sha256(self) -> str:
        """Hash of which sample is where in each fold."""
        digest = hashlib.sha256()
        for fold in self.folds:
            digest.update((fold.train + 2 * fold.test.astype(np.uint8)).tobytes())
        return digest.hexdigest()

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of it."""
        return {"name": self.protocol, "folds": len(self.folds), "splits_sha256": self.sha256}


def choose(protocol: Protocol, task: Task) -> tuple[str, str]:
    """Return (protocol, why) for ``protocol``, which may be ``auto``.

    Raises:
        FerBenchError: ``group-kfold`` on data without identity.
    """
    name, unit = task.name, task.unit
    if protocol == "auto":
        if unit == "subject":
            return "group-kfold", "subjects are known, so none stands in both training and test"
        if unit == "sequence":
            return "group-kfold", "sequences stay whole; no subject is known, so one may stand in training and test"
        return "kfold", "no subject is known, so the same person may stand in training and test"
    if protocol == "group-kfold" and not unit:
        raise FerBenchError(
            f"Data set {name!r} does not say which images show one person or sequence, so 'group-kfold' has nothing to "
            "keep apart; use 'kfold'."
        )
    if protocol == "kfold" and unit:
        return "kfold", f"asked for: {unit}s are known but ignored, so scores flatter"
    return protocol, "asked for"


def split(protocol: str, task: Task, folds: int, seed: int) -> Split:
    """Deal the samples of ``task`` to ``folds`` folds, stratified by label.

    Args:
        protocol: ``kfold`` (scikit-learn's StratifiedKFold) or ``group-kfold`` (StratifiedGroupKFold over
            subjects, or sequences where no subject is known).
        task: the samples.
        folds: K.
        seed: of the shuffle.

    Raises:
        FerBenchError: more folds than the smallest class has samples, or than there are
            subjects or sequences; an empty class or fold.
    """
    labels, groups, name = task.labels, task.groups, task.name
    counts = np.bincount(labels, minlength=len(task.classes))
    smallest = int(counts.argmin())
    if counts[smallest] < folds:
        raise FerBenchError(
            f"--folds {folds} is more than the {counts[smallest]} samples of class {task.classes[smallest]!r} "
            f"in {name!r}; "
            f"take at most {counts[smallest]} folds or more samples."
            if counts[smallest] > 1
            else f"Class {task.classes[smallest]!r} of {name!r} has {counts[smallest]} samples here; "
            f"{folds} folds need at least {folds}."
        )
    if protocol == "kfold":
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    else:
        assert groups is not None
        units = len(np.unique(groups))
        if units < folds:
            raise FerBenchError(
                f"--folds {folds} is more than the {units} {task.unit}s of {name!r}; take at most {units} folds."
            )
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
    made: list[Fold] = []
    for fold, (train, test) in enumerate(parts):
        if not len(test) or len(np.unique(labels[train])) < len(task.classes):
            raise FerBenchError(
                f"Fold {fold} of {folds} of {name!r} (seed {seed}) would train without some class or test nothing: "
                f"too few {task.unit or 'image'}s show every class; take fewer folds."
            )
        made.append(Fold(fold, _mask(train, len(labels)), _mask(test, len(labels))))
    return Split(protocol, seed, tuple(made))


def _mask(rows: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, Any]:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask
