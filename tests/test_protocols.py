"""Folds against hand-made data sets; the table of samples is all that protocols look at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from fer_bench.data import protocols
from fer_bench.data.task import Task
from fer_bench.data.view import select
from fer_bench.errors import FerBenchError
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import DatasetParams, DatasetSpec

SPEC = DatasetSpec(name="faces", title="", builder="", labels=(), identity="maybe", licence="", citation="")


def _view(labels, subjects=None, splits=None, sequences=None, limit=None, split="", classes=("a", "b")):
    n = len(labels)
    samples = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "label": labels,
            "subject": subjects or [""] * n,
            "sequence": sequences or [""] * n,
            "split": splits or [""] * n,
        }
    )
    prepared = SimpleNamespace(samples=samples, labels=tuple(classes), fingerprint="f", warnings=())
    component = Component(SPEC, DatasetParams(split=split), Plugin(name="p", distribution="p", version="1"))
    return select(component, prepared, limit)  # pyright: ignore[reportArgumentType]


def _task(*args, **kwargs):
    return Task((_view(*args, **kwargs),))


def _assignment(split):
    """Return the fold in which each sample is tested; every sample is, once, and trains in all others."""
    tests = np.stack([fold.test for fold in split.folds])
    assert (tests.sum(0) == 1).all()
    assert all((fold.train == ~fold.test).all() for fold in split.folds)
    return tests.argmax(0)


def test_kfold_is_scikit_learns():
    task = _task([0, 1] * 20)
    split = protocols.split("kfold", task, 5, 3)
    expected = [test for _, test in StratifiedKFold(5, shuffle=True, random_state=3).split(task.labels, task.labels)]
    for fold, test in zip(split.folds, expected, strict=True):
        assert np.flatnonzero(fold.test).tolist() == test.tolist(), fold.number
    assert split.sha256 == protocols.split("kfold", task, 5, 3).sha256 != protocols.split("kfold", task, 5, 4).sha256


def test_group_kfold_never_tears_a_subject_apart():
    subjects = [f"p{i % 11}" for i in range(88)]
    task = _task([i // 11 % 2 for i in range(88)], subjects)
    assignment = _assignment(protocols.split("group-kfold", task, 4, 0))
    for subject in set(subjects):
        assert len(set(assignment[np.array(subjects) == subject])) == 1
    assert sorted(set(assignment)) == [0, 1, 2, 3]


def test_samples_without_a_subject_stay_with_their_sequence():
    view = _view([0, 1, 0, 1], ["anna", "", "", ""], sequences=["", "v1", "v1", ""])
    assert view.groups.tolist() == ["subject:anna", "sequence:v1", "sequence:v1", "sample:s3"]


def test_sequences_stay_whole_where_no_subject_is_known():
    task = _task([0, 1] * 8, sequences=[f"v{i // 4}" for i in range(16)])
    protocol, why = protocols.choose("auto", task)
    assert (protocol, why.split(";")[0]) == ("group-kfold", "sequences stay whole")
    assignment = _assignment(protocols.split(protocol, task, 2, 0)).reshape(4, 4)
    assert (assignment == assignment[:, :1]).all()
    assert "sequences are known but ignored" in protocols.choose("kfold", task)[1]
    with pytest.raises(FerBenchError, match="more than the 4 sequences"):
        protocols.split(protocol, task, 5, 0)


def test_auto_groups_where_identity_exists_and_says_so():
    assert protocols.choose("auto", _task([0, 1], ["a", "b"])) == (
        "group-kfold",
        "subjects are known, so none stands in both training and test",
    )
    assert protocols.choose("auto", _task([0, 1]))[0] == "kfold"
    assert "flatter" in protocols.choose("kfold", _task([0, 1], ["a", "b"]))[1]
    with pytest.raises(FerBenchError, match="does not say which images show one person or sequence"):
        protocols.choose("group-kfold", _task([0, 1]))


@pytest.mark.parametrize(
    ("protocol", "folds", "view", "message"),
    [
        ("kfold", 5, {"labels": [0] * 9 + [1] * 3}, "--folds 5 is more than the 3 samples of class 'b'"),
        ("kfold", 2, {"labels": [0] * 9}, "Class 'b' of 'faces' has 0 samples"),
        (
            "group-kfold",
            3,
            {"labels": [0, 1] * 6, "subjects": ["x", "x", "y", "y"] * 3},
            "--folds 3 is more than the 2 subjects of 'faces'; take at most 2 folds",
        ),
        (
            "group-kfold",
            2,
            {"labels": [0] * 6 + [1] * 6, "subjects": ["x"] * 6 + ["y"] * 6},
            "would train without some class",
        ),
    ],
)
def test_folds_that_cannot_be_are_refused(protocol, folds, view, message):
    with pytest.raises(FerBenchError) as caught:
        protocols.split(protocol, _task(**view), folds, 0)
    assert message in str(caught.value)


def test_limit_takes_the_first_of_each_class_in_file_order():
    view = _view([0, 0, 1, 0, 1, 1, 0], limit=5)
    assert view.rows.tolist() == [0, 1, 2, 4]
    assert view.identity()["limit"] == 5
    assert view.identity()["n"] == 4
    assert view.identity()["samples_sha256"] != _view([0, 0, 1, 0, 1, 1, 0]).identity()["samples_sha256"]
    with pytest.raises(FerBenchError, match="--limit 1 is below the 2 classes of 'faces'"):
        _view([0, 1], limit=1)


def test_split_keeps_an_official_part():
    splits = ["train", "train", "test", "train"]
    assert _view([0, 1, 0, 1], splits=splits, split="train").rows.tolist() == [0, 1, 3]
    with pytest.raises(FerBenchError, match=r"has no split 'tset'\. Did you mean 'test'"):
        _view([0, 1, 0, 1], splits=splits, split="tset")
