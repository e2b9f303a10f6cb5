"""How samples are dealt to folds: plain scikit-learn splitters behind a name, checked before any work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.model_selection import (
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.specs import SplitRole
from fer_bench.tasks.task import Task

Array = np.ndarray[Any, Any]

# Only where a data set does not declare what its splits are for, as a manifest does not:
TEST_SPLITS = ("privatetest", "test", "testing", "validation", "valid", "val")
"""Official splits that are tested unless another is asked for, the likeliest first: a data set without a public test
split is tested on its validation split, as AffectNet is."""
VALIDATION_SPLITS = ("publictest", "validation", "valid", "val")
IGNORING = ("kfold", "repeated-kfold")
"""Protocols that look at no group."""


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
        protocol: its name.
        text: the name with what else decides the folds, as in ``official[test=privatetest]``.
        ignores: what is known to belong together but may stand in training and test: of subject, sequence and copy.
        seed: drew the folds.
        folds: in order.
    """

    protocol: str
    text: str
    ignores: tuple[str, ...]
    seed: int
    folds: tuple[Fold, ...]

    @property
    def sha256(self) -> str:
        """Hash of which sample is where in each fold."""
        digest = hashlib.sha256()
        for fold in self.folds:
            digest.update((fold.train + 2 * fold.test.astype(np.uint8) + 4 * fold.valid.astype(np.uint8)).tobytes())
        return digest.hexdigest()

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of it."""
        return {
            "name": self.protocol,
            "text": self.text,
            "ignores": list(self.ignores),
            "folds": len(self.folds),
            "splits_sha256": self.sha256,
        }


def choose(config: RunConfig, task: Task) -> tuple[str, str]:
    """Return (protocol, why) for ``config.protocol``, which may be ``auto``.

    Raises:
        FerBenchError: a protocol that needs groups or official splits, on data without them.
    """
    name, known = task.name, task.known
    if config.train_on:
        return "cross", "trained on other data sets alone"
    protocol = config.protocol
    if protocol == "auto":
        if task.unit == "subject":
            return "group-kfold", "subjects are known, so none stands in both training and test"
        if task.unit == "sequence":
            return "group-kfold", "sequences stay whole; no subject is known, so one may stand in training and test"
        if task.unit == "copy":
            return "group-kfold", "copies stay together; no subject is known, so one may stand in training and test"
        return "kfold", "no subject is known, so the same person may stand in training and test"
    if protocol in ("group-kfold", "loso") and not known:
        raise FerBenchError(
            f"Data set {name!r} does not say which images show one person or sequence, so {protocol!r} has nothing to "
            "keep apart; use 'kfold'."
        )
    if protocol == "loso" and "subject" not in known:
        raise FerBenchError(
            f"Data set {name!r} knows no subject to leave out; use 'group-kfold', which keeps "
            f"{task.unit} by {task.unit} together."
        )
    if protocol in IGNORING and known:
        return protocol, f"asked for: {_plural(known)} are known but ignored, so scores flatter"
    if protocol == "official" and not task.parts[0].dataset.spec.roles:
        return protocol, "asked for; what each split is for is told by its name"
    return protocol, "asked for"


def split(protocol: str, task: Task, config: RunConfig, seed: int) -> Split:
    """Deal the samples of the first part of ``task`` to folds; all others train, in every fold.

    ``kfold`` is scikit-learn's StratifiedKFold, ``group-kfold`` StratifiedGroupKFold over the task's groups,
    ``repeated-kfold`` RepeatedStratifiedKFold, ``loso`` LeaveOneGroupOut, ``official`` and ``cross`` PredefinedSplit.
    Where a protocol keeps groups apart, samples of other parts that share one with a test sample leave the
    training part. ``official`` keeps the published parts as they are unless ``config.leak_free`` is set.

    Args:
        protocol: from `choose`.
        task: the samples.
        config: its folds, repeats, test_split and leak_free count.
        seed: of the shuffle.

    Raises:
        FerBenchError: more folds than the smallest class has samples, or than there are groups; an official split that
            is not there; a class that does not train; an empty fold.
    """
    own = np.flatnonzero(task.part == 0)
    labels, text, valid = task.labels[own], protocol, np.zeros(len(task), dtype=bool)
    groups = None if task.groups is None else task.groups[own]
    ignores = task.known if protocol in IGNORING else ()
    if protocol in ("kfold", "group-kfold", "repeated-kfold"):
        _check_folds(task, labels, config.folds)
    if protocol == "kfold":
        parts = StratifiedKFold(config.folds, shuffle=True, random_state=seed).split(labels, labels)
    elif protocol == "repeated-kfold":
        text = f"repeated-kfold[repeats={config.repeats}]"
        splitter = RepeatedStratifiedKFold(n_splits=config.folds, n_repeats=config.repeats, random_state=seed)
        parts = splitter.split(labels, labels)
    elif protocol == "group-kfold":
        assert groups is not None
        units = len(np.unique(groups))
        if units < config.folds:
            raise FerBenchError(
                f"--folds {config.folds} is more than the {units} {_noun(task.unit)}s of {task.name!r}; take at most "
                f"{units} folds."
            )
        splitter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=seed)
        parts = splitter.split(labels, labels, groups)
    elif protocol == "loso":
        assert groups is not None
        if len(np.unique(groups)) < 2:
            raise FerBenchError(f"Data set {task.name!r} shows one subject here; 'loso' needs two or more.")
        parts = LeaveOneGroupOut().split(labels, labels, groups)
    elif protocol == "cross":
        parts = [(np.empty(0, np.int64), next(PredefinedSplit(np.zeros(len(own))).split())[1])]
    else:
        train, test, valid[own], name = _official(task, config.test_split)
        text = f"official[test={name}]"
        rows = np.flatnonzero(train | test)
        parts = [(rows[a], rows[b]) for a, b in PredefinedSplit(np.where(test[rows], 0, -1)).split()]
        if not config.leak_free:
            ignores = task.known
        else:
            text = f"official[test={name},leak_free=true]"
    folds = _folds(task, parts, valid, drop_own=bool(config.leak_free), drop_others=protocol not in IGNORING)
    for fold in folds:
        if protocol in ("official", "cross") and len(np.unique(task.labels[fold.train])) < len(task.classes):
            raise FerBenchError(
                f"{text!r} of {task.name!r} would train without some class: the training part has no image of it, or "
                "none that shares no person, sequence or copy with a tested image."
            )
        if not fold.test.any() or len(np.unique(task.labels[fold.train])) < len(task.classes):
            raise FerBenchError(
                f"Fold {fold.number} of {len(folds)} of {task.name!r} (seed {seed}) would train without some class or "
                f"test nothing: too few {_noun(task.unit)}s show every class; take fewer folds."
            )
    return Split(protocol, text, ignores, seed, folds)


def cut_validation(split: Split, task: Task, fraction: float) -> Split:
    """Return the split with a validation part cut out of the training part of each fold.

    The part is one fold of as many as ``1 / fraction`` comes to: stratified by label, whole groups where the protocol
    keeps groups, drawn by the split's seed from training samples of the tested data set, or of all where it has none in
    training. A fold that has an official validation split keeps that.

    Args:
        split: from `split`.
        task: the samples that were split.
        fraction: of the training samples, above 0 to 0.5.

    Raises:
        FerBenchError: a class or group is too rare for that.
    """
    return replace(split, folds=tuple(_cut(fold, split, task, fraction) for fold in split.folds))


def _cut(fold: Fold, split: Split, task: Task, fraction: float) -> Fold:
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
            "for validation; take more samples, or a strategy without validation."
        )
    parts = min(parts, rarest)
    if split.protocol in IGNORING or task.groups is None:
        splitter, groups = StratifiedKFold(parts, shuffle=True, random_state=split.seed), None
    else:
        groups = task.groups[rows]
        parts = min(parts, len(np.unique(groups)))
        if parts < 2:
            raise FerBenchError(
                f"Fold {fold.number} of {task.name!r} trains on one {_noun(task.unit)}, so none can be spared for "
                "validation; take a strategy without validation."
            )
        splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=split.seed)
    for _, chosen in splitter.split(labels, labels, groups):
        valid = _mask(rows[chosen], len(task))
        train = fold.train & ~valid
        if groups is not None and task.groups is not None:
            train &= ~np.isin(task.groups, np.unique(groups[chosen]))
        if valid.any() and len(np.unique(task.labels[train])) == len(task.classes):
            return replace(fold, train=train, valid=valid)
    raise FerBenchError(
        f"Fold {fold.number} of {task.name!r} would train without some class if a validation part were cut from it; "
        "take more samples, or a strategy without validation."
    )


def _folds(
    task: Task, parts: Iterable[tuple[Array, Array]], valid: Array, *, drop_own: bool, drop_others: bool
) -> tuple[Fold, ...]:
    """Return folds over the whole task from rows of its first part; the other parts train.

    Args:
        task: the samples.
        parts: (train, test) rows of each fold.
        valid: (n,) bool, the same in each fold.
        drop_own: whether training samples of the first part that share a group with a test sample leave.
        drop_others: whether those of other parts leave.
    """
    droppable = np.where(task.part == 0, drop_own, drop_others)
    made: list[Fold] = []
    for number, (train, test) in enumerate(parts):
        tested, trained = _mask(test, len(task)), _mask(train, len(task)) | (task.part > 0)
        kept_valid = valid
        if task.groups is not None and droppable.any():
            shared = np.isin(task.groups, np.unique(task.groups[tested])) & droppable
            trained, kept_valid = trained & ~shared, valid & ~shared
        made.append(Fold(number, trained, tested, kept_valid))
    return tuple(made)


def _official(task: Task, wanted: str | None) -> tuple[Array, Array, Array, str]:
    """Return the masks of training, test and validation over the first part, and the name of the tested split."""
    splits = task.parts[0].column("split").astype(str)
    names = sorted(set(splits.tolist()) - {""})
    if len(names) < 2:
        raise FerBenchError(
            f"Data set {task.name!r} has {f'only the official split {names[0]!r}' if names else 'no official splits'}; "
            "'official' needs one to train on and one to test."
        )
    if wanted is not None and wanted not in names:
        raise FerBenchError(f"Data set {task.name!r} has no split {wanted!r}. {did_you_mean(wanted, names)}")
    roles = split_roles(names, task.parts[0].dataset.spec.roles)
    test = wanted or next((name for name, role in roles.items() if role == "test"), None)
    if test is None:
        raise FerBenchError(
            f"Which of the splits of {task.name!r} is the test? Say it with --test-split: {', '.join(names)}."
        )
    valid = next((name for name, role in roles.items() if role == "validation" and name != test), None)
    # Any other split that is tested by some, such as FER2013's PrivateTest where PublicTest is asked for, stays out.
    train = [name for name, role in roles.items() if role == "train" and name != test]
    if not train:
        raise FerBenchError(
            f"Data set {task.name!r} has no split to train on beside the tested {test!r}; it has {', '.join(names)}."
        )
    return np.isin(splits, train), splits == test, splits == (valid or "\0"), test


def split_roles(names: Sequence[str], declared: Mapping[str, SplitRole]) -> dict[str, SplitRole]:
    """Return what each official split is for, in the order in which splits of one role are preferred.

    Args:
        names: of the splits that are there.
        declared: as the data set says; where it says nothing, the names do.
    """
    if declared:
        return {name: role for name, role in declared.items() if name in names}
    tests = [name for name in TEST_SPLITS if name in names][:1]
    valid = [name for name in (*VALIDATION_SPLITS, *TEST_SPLITS) if name in names and name not in tests]
    return {
        **dict.fromkeys(tests, "test"),
        **dict.fromkeys(valid, "validation"),
        **dict.fromkeys((name for name in names if name not in (*tests, *valid)), "train"),
    }


def _check_folds(task: Task, labels: Array, folds: int) -> None:
    counts = np.bincount(labels, minlength=len(task.classes))
    smallest = int(counts.argmin())
    if counts[smallest] < folds:
        raise FerBenchError(
            f"--folds {folds} is more than the {counts[smallest]} samples of class {task.classes[smallest]!r} "
            f"in {task.name!r}; take at most {counts[smallest]} folds or more samples."
            if counts[smallest] > 1
            else f"Class {task.classes[smallest]!r} of {task.name!r} has {counts[smallest]} samples here; "
            f"{folds} folds need at least {folds}."
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


def _plural(nouns: Iterable[str]) -> str:
    """Return ``subjects and copies``."""
    return " and ".join("copies" if noun == "copy" else f"{noun}s" for noun in nouns)


def _noun(unit: str) -> str:
    """Return what a group is, for a sentence that adds an s."""
    return {"": "image", "copy": "group"}.get(unit, unit)


def _mask(rows: Array, n: int) -> Array:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask
