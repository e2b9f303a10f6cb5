"""How samples are dealt to folds: plain scikit-learn splitters behind a name, checked before any work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from fer_bench.config import Protocol
from fer_bench.data.view import View
from fer_bench.errors import FerBenchError


@dataclass(frozen=True, eq=False)
class Split:
    """The folds of one seed.

    Attributes:
        protocol: ``kfold`` or ``group-kfold``.
        folds: K.
        seed: drew the folds.
        assignment: (n,) int64, the fold in which each sample of the view is tested, once.
        sha256: of the assignment.
    """

    protocol: str
    folds: int
    seed: int
    assignment: np.ndarray[Any, Any]
    sha256: str

    def __iter__(self) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Yield (fold, (n,) bool mask of its test part)."""
        for fold in range(self.folds):
            yield fold, self.assignment == fold

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of it."""
        return {"name": self.protocol, "folds": self.folds, "splits_sha256": self.sha256}


def choose(protocol: Protocol, view: View) -> tuple[str, str]:
    """Return (protocol, why) for ``protocol``, which may be ``auto``.

    Raises:
        FerBenchError: ``group-kfold`` on data without identity.
    """
    name, unit = view.dataset.spec.name, view.unit
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


def split(protocol: str, view: View, folds: int, seed: int) -> Split:
    """Deal the samples of ``view`` to ``folds`` folds, stratified by label.

    Args:
        protocol: ``kfold`` (scikit-learn's StratifiedKFold) or ``group-kfold`` (StratifiedGroupKFold over
            subjects, or sequences where no subject is known).
        view: the samples.
        folds: K.
        seed: of the shuffle.

    Raises:
        FerBenchError: more folds than the smallest class has samples, or than there are
            subjects or sequences; an empty class or fold.
    """
    labels, groups, name = view.labels, view.groups, view.dataset.spec.name
    counts = np.bincount(labels, minlength=len(view.classes))
    smallest = int(counts.argmin())
    if counts[smallest] < folds:
        raise FerBenchError(
            f"--folds {folds} is more than the {counts[smallest]} samples of class {view.classes[smallest]!r} "
            f"in {name!r}; "
            f"take at most {counts[smallest]} folds or more samples."
            if counts[smallest] > 1
            else f"Class {view.classes[smallest]!r} of {name!r} has {counts[smallest]} samples here; "
            f"{folds} folds need at least {folds}."
        )
    assignment = np.full(len(labels), -1)
    if protocol == "kfold":
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
    else:
        assert groups is not None
        units = len(np.unique(groups))
        if units < folds:
            raise FerBenchError(
                f"--folds {folds} is more than the {units} {view.unit}s of {name!r}; take at most {units} folds."
            )
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
    for fold, (train, test) in enumerate(parts):
        assignment[test] = fold
        if not len(test) or len(np.unique(labels[train])) < len(view.classes):
            raise FerBenchError(
                f"Fold {fold} of {folds} of {name!r} (seed {seed}) would train without some class or test nothing: "
                f"too few {view.unit or 'image'}s show every class; take fewer folds."
            )
    return Split(protocol, folds, seed, assignment, hashlib.sha256(assignment.astype("<i8").tobytes()).hexdigest())
