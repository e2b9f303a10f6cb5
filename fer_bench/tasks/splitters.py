"""The protocols of fer-bench: each a splitter of scikit-learn, checked before any work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fer_bench.builtin import FoldsParams, OfficialParams, RepeatedParams
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.sizes import number_of
from fer_bench.specs import Params, SplitRole
from fer_bench.tasks.scikit import ScikitSplitter
from fer_bench.tasks.splitting import Array, Samples, Settled, Splitter

# Only where a data set does not declare what its splits are for, as a manifest does not:
TEST_SPLITS = ("privatetest", "test", "testing", "validation", "valid", "val")
"""Official splits that are tested unless another is asked for, the likeliest first: a data set without a public test
split is tested on its validation split, as AffectNet is."""
VALIDATION_SPLITS = ("publictest", "validation", "valid", "val")


class Parts:
    """A splitter of one fold whose parts are given, as scikit-learn's PredefinedSplit with samples in neither part."""

    def __init__(self, train: Array, test: Array):
        """Keep the masks (n,) bool of the samples that train and of those that are tested."""
        self.train, self.test = train, test

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[tuple[Array, Array]]:
        """Yield the positions of both parts, once."""
        del X, y, groups
        yield np.flatnonzero(self.train), np.flatnonzero(self.test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return 1."""
        del X, y, groups
        return 1


def stratified(folds: int, seed: int) -> Splitter:
    """Return scikit-learn's StratifiedKFold: equal shares of each class in each fold."""
    return ScikitSplitter("StratifiedKFold", {"n_splits": folds, "shuffle": True, "random_state": seed})


def stratified_by_group(folds: int, seed: int) -> Splitter:
    """Return scikit-learn's StratifiedGroupKFold: no group in two folds."""
    return ScikitSplitter("StratifiedGroupKFold", {"n_splits": folds, "shuffle": True, "random_state": seed})


def settle_auto(params: Params, samples: Samples) -> Settled:
    """Return the protocol that keeps apart what is known to belong together, and why."""
    del params
    if samples.others_train:
        return "cross", {}, "trained on other data sets only"
    units = {
        "subject": "subjects are known, so none stands in both training and test",
        "sequence": "sequences stay whole; no subject is known, so one may be in training and test",
        "copy": "copies stay together; no subject is known, so one may be in training and test",
    }
    if samples.known:
        return "group-kfold", {}, units[samples.known[0]]
    return "kfold", {}, "no subject is known, so the same person may be in training and test"


def kfold(params: FoldsParams, samples: Samples, seed: int) -> Splitter:
    """Return scikit-learn's StratifiedKFold.

    Raises:
        FerBenchError: more folds than the smallest class has samples.
    """
    _check_folds(samples, params.folds)
    return stratified(params.folds, seed)


def repeated_kfold(params: RepeatedParams, samples: Samples, seed: int) -> Splitter:
    """Return scikit-learn's RepeatedStratifiedKFold; errors are those of `kfold`."""
    _check_folds(samples, params.folds)
    arguments = {"n_splits": params.folds, "n_repeats": params.repeats, "random_state": seed}
    return ScikitSplitter("RepeatedStratifiedKFold", arguments)


def group_kfold(params: FoldsParams, samples: Samples, seed: int) -> Splitter:
    """Return scikit-learn's StratifiedGroupKFold.

    Raises:
        FerBenchError: as of `kfold`; more folds than groups.
    """
    _check_folds(samples, params.folds)
    units = _count_groups(samples)
    if units < params.folds:
        advice = f"take at most {number_of(units, 'fold')}." if units > 1 else "use 'kfold', which keeps nothing apart."
        raise FerBenchError(
            f"--folds {params.folds} is more than the {units} {samples.unit}s of {samples.name!r}; {advice}"
        )
    return stratified_by_group(params.folds, seed)


def leave_one_subject_out(params: Params, samples: Samples, seed: int) -> Splitter:
    """Return scikit-learn's LeaveOneGroupOut.

    Raises:
        FerBenchError: no subject is known, or only one.
    """
    del params, seed
    if "subject" not in samples.known:
        raise FerBenchError(
            f"Data set {samples.name!r} knows no subject to leave out; use 'group-kfold', which keeps {samples.unit} "
            f"by {samples.unit} together."
        )
    if _count_groups(samples) < 2:
        raise FerBenchError(f"Data set {samples.name!r} shows one subject here; 'loso' needs two or more.")
    return ScikitSplitter("LeaveOneGroupOut", {})


def cross(params: Params, samples: Samples, seed: int) -> Splitter:
    """Return a splitter that tests every sample and trains none: those of other data sets train."""
    del params, seed
    everything = np.ones(len(samples.labels), dtype=bool)
    return Parts(~everything, everything)


def settle_official(params: OfficialParams, samples: Samples) -> Settled:
    """Return the protocol with the name of the split that is tested.

    Raises:
        FerBenchError: there are not two official splits, or not the one that is asked for, or it is not clear which one
            is the test.
    """
    names = _official_splits(samples)
    if params.test and params.test not in names:
        raise FerBenchError(
            f"Data set {samples.name!r} has no split {params.test!r}. {did_you_mean(params.test, names)}"
        )
    roles = split_roles(names, samples.roles)
    test = params.test or next((name for name, role in roles.items() if role == "test"), None)
    if test is None:
        raise FerBenchError(
            f"Which of the splits of {samples.name!r} is the test? Say it with --test-split: {', '.join(names)}."
        )
    why = "asked for" if samples.roles else "asked for; the role of each split follows from its name"
    return "official", {"test": test}, why


def official(params: OfficialParams, samples: Samples, seed: int) -> Splitter:
    """Return a splitter that trains on the training splits and tests ``params.test``.

    Any other split that is tested by some, such as FER2013's PrivateTest where PublicTest is asked for, stays out.

    Raises:
        FerBenchError: no split is left to train on.
    """
    del seed
    names = _official_splits(samples)
    train = [
        name for name, role in split_roles(names, samples.roles).items() if role == "train" and name != params.test
    ]
    if not train:
        raise FerBenchError(
            f"Data set {samples.name!r} has no split to train on besides the tested {params.test!r}; it has "
            f"{', '.join(names)}."
        )
    assert samples.splits is not None
    return Parts(np.isin(samples.splits, train), samples.splits == params.test)


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


def split_names(splits: Array | None) -> list[str]:
    """Return the names of the official splits that are there, sorted."""
    return [] if splits is None else sorted(set(splits.tolist()) - {""})


def _official_splits(samples: Samples) -> list[str]:
    """Return the names of the official splits, two or more."""
    names = split_names(samples.splits)
    if len(names) < 2:
        there = f"only the official split {names[0]!r}" if names else "no official splits"
        limited = " --limit takes the first images of each class, which may all be of one split." if names else ""
        raise FerBenchError(
            f"Data set {samples.name!r} has {there}; 'official' needs one to train on and one to test.{limited}"
        )
    return names


def _check_folds(samples: Samples, folds: int) -> None:
    counts = np.bincount(samples.labels, minlength=len(samples.classes))
    smallest = int(counts.argmin())
    if counts[smallest] < folds:
        few, name = int(counts[smallest]), samples.classes[smallest]
        raise FerBenchError(
            f"--folds {folds} is more than the {number_of(few, 'sample')} of class {name!r} in "
            f"{samples.name!r}; take at most {few} "
            "folds or more samples."
            if few > 1
            else f"Class {name!r} of {samples.name!r} has {number_of(few, 'sample')} here; "
            f"{number_of(folds, 'fold needs', 'folds need')} at least {folds}."
        )


def _count_groups(samples: Samples) -> int:
    assert samples.groups is not None, "the host asks for groups first"
    return len(np.unique(samples.groups))
