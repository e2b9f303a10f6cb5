"""Folds against hand-made data sets; the table of samples is all that protocols look at."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_views import make_view
from messages import says
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry
from fer_bench.tasks import protocols
from fer_bench.tasks.folds import cut_validation
from fer_bench.tasks.task import Task


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    """The protocols are those of fer-bench, which no selection of plugins turns off."""
    monkeypatch.setenv("FER_BENCH_PLUGINS", "")


def _choose(config, task):
    protocol, why = protocols.choose(config, task, Registry.load())
    return protocol.spec.name, why


def _split(config, task, seed=0):
    return protocols.split(protocols.choose(config, task, Registry.load())[0], task, config, seed)


def _task(*args, **kwargs):
    return Task((make_view(*args, **kwargs),))


def _assignment(split):
    """Return the fold in which each sample is tested; every sample is, once, and trains in all others."""
    tests = np.stack([fold.test for fold in split.folds])
    assert (tests.sum(0) == 1).all()
    assert all((fold.train == ~fold.test).all() for fold in split.folds)
    return tests.argmax(0)


def test_kfold_is_scikit_learns():
    task = _task([0, 1] * 20)
    split = _split(RunConfig(protocol="kfold", folds=5), task, 3)
    expected = [test for _, test in StratifiedKFold(5, shuffle=True, random_state=3).split(task.labels, task.labels)]
    for fold, test in zip(split.folds, expected, strict=True):
        assert np.flatnonzero(fold.test).tolist() == test.tolist(), fold.number
    assert (
        split.sha256
        == _split(RunConfig(protocol="kfold", folds=5), task, 3).sha256
        != _split(RunConfig(protocol="kfold", folds=5), task, 4).sha256
    )


def test_group_kfold_never_tears_a_subject_apart():
    subjects = [f"p{i % 11}" for i in range(88)]
    task = _task([i // 11 % 2 for i in range(88)], subjects)
    assignment = _assignment(_split(RunConfig(protocol="group-kfold", folds=4), task, 0))
    for subject in set(subjects):
        assert len(set(assignment[np.array(subjects) == subject])) == 1
    assert sorted(set(assignment)) == [0, 1, 2, 3]


def test_samples_without_a_subject_stay_with_their_sequence():
    task = _task([0, 1, 0, 1], ["anna", "", "", ""], sequences=["", "v1", "v1", ""])
    assert task.group_names(np.arange(4)).to_pylist() == ["subject:anna", "sequence:v1", "sequence:v1", "sample:s3"]


def test_sequences_stay_whole_where_no_subject_is_known():
    task = _task([0, 1] * 8, sequences=[f"v{i // 4}" for i in range(16)])
    protocol, why = _choose(RunConfig(protocol="auto"), task)
    assert (protocol, why.split(";")[0]) == ("group-kfold", "sequences stay whole")
    assignment = _assignment(_split(RunConfig(protocol=protocol, folds=2), task)).reshape(4, 4)
    assert (assignment == assignment[:, :1]).all()
    assert says(_choose(RunConfig(protocol="kfold"), task)[1], "sequences", "ignored")
    with pytest.raises(FerBenchError, match="more than the 4 sequences"):
        _split(RunConfig(protocol=protocol, folds=5), task)


def test_auto_groups_where_identity_exists_and_says_so():
    protocol, why = _choose(RunConfig(protocol="auto"), _task([0, 1], ["a", "b"]))
    assert protocol == "group-kfold"
    assert "subjects are known" in why
    assert _choose(RunConfig(protocol="auto"), _task([0, 1]))[0] == "kfold"
    assert "flatter" in _choose(RunConfig(protocol="kfold"), _task([0, 1], ["a", "b"]))[1]
    with pytest.raises(FerBenchError, match=r"'faces'.*'group-kfold'.*'kfold'"):
        _choose(RunConfig(protocol="group-kfold"), _task([0, 1]))


@pytest.mark.parametrize(
    ("protocol", "folds", "view", "parts"),
    [
        ("kfold", 5, {"labels": [0] * 9 + [1] * 3}, ("--folds 5", "3 samples of class 'b'")),
        ("kfold", 2, {"labels": [0] * 9}, ("'b'", "'faces'", "0 samples")),
        (
            "group-kfold",
            3,
            {"labels": [0, 1] * 6, "subjects": ["x", "x", "y", "y"] * 3},
            ("--folds 3", "2 subjects of 'faces'", "2 folds"),
        ),
        (
            "group-kfold",
            2,
            {"labels": [0] * 6 + [1] * 6, "subjects": ["x"] * 6 + ["y"] * 6},
            ("without some class",),
        ),
    ],
)
def test_folds_that_cannot_be_are_refused(protocol, folds, view, parts):
    with pytest.raises(FerBenchError) as caught:
        _split(RunConfig(protocol=protocol, folds=folds), _task(**view))
    assert says(str(caught.value), *parts)


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        ({"protocol": "loocv"}, ["Unknown protocol 'loocv'", "'loso'"]),
        ({"protocol": "cross", "test_split": "test"}, ["'cross' needs --train-on", "--test-split belongs to"]),
        ({"protocol": "loso", "train_on": ("a",)}, ["--train-on", "'cross'", "not 'loso'"]),
        ({"protocol": "official", "train_on": ("a",)}, ["--train-on", "'cross'", "not 'official'"]),
        ({"protocol": "kfold", "leak_free": True}, ["--leak-free contradicts 'kfold'"]),
        ({"test_split": "test"}, ["--test-split", "'official'", "'auto'"]),
        ({"protocol": "kfold[folds=1]"}, ["folds", "greater than or equal to 2"]),
    ],
)
def test_settings_that_do_not_go_together_are_refused_before_any_data(settings, messages):
    with pytest.raises(FerBenchError) as caught:
        protocols.find(RunConfig(**settings), Registry.load())
    for message in messages:
        assert message in str(caught.value)


def test_brackets_beat_the_settings_of_a_run():
    registry = Registry.load()
    found = protocols.find(RunConfig(protocol="repeated-kfold[repeats=7]", folds=3, repeats=2), registry)
    assert found.params.model_dump() == {"folds": 3, "repeats": 7}


@pytest.mark.parametrize(("folds", "advice"), [(2, "--labels"), (3, "take fewer folds")])
def test_fewer_folds_are_advised_only_where_there_can_be_fewer(folds, advice):
    others = ["second"] * 6 if folds == 2 else ["second"] * 3 + ["third"] * 3
    task = _task([0] * 6 + [1] * 6, ["only one with class a"] * 6 + others)
    with pytest.raises(FerBenchError) as caught:
        _split(RunConfig(protocol="group-kfold", folds=folds), task)
    assert advice in str(caught.value)
    assert ("fewer folds" in str(caught.value)) == (folds > 2)


def test_limit_takes_the_first_of_each_class_in_file_order():
    view = make_view([0, 0, 1, 0, 1, 1, 0], limit=5)
    assert view.rows.tolist() == [0, 1, 2, 4]
    assert view.identity()["limit"] == 5
    assert view.identity()["n"] == 4
    assert view.identity()["samples_sha256"] != make_view([0, 0, 1, 0, 1, 1, 0]).identity()["samples_sha256"]
    with pytest.raises(FerBenchError, match=r"--limit 1 .*2 classes.*'faces'"):
        make_view([0, 1], limit=1)


def test_split_keeps_an_official_part():
    splits = ["train", "train", "test", "train"]
    assert make_view([0, 1, 0, 1], splits=splits, split="train").rows.tolist() == [0, 1, 3]
    with pytest.raises(FerBenchError, match=r"'tset'.*'test'"):
        make_view([0, 1, 0, 1], splits=splits, split="tset")


def test_repeated_kfold_is_scikit_learns_and_says_what_it_ignores():
    task = _task([0, 1] * 10, [f"p{i}" for i in range(20)])
    split = _split(RunConfig(protocol="repeated-kfold", folds=2, repeats=3), task, 5)
    peer = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=5)
    assert [np.flatnonzero(fold.test).tolist() for fold in split.folds] == [
        test.tolist() for _, test in peer.split(task.labels, task.labels)
    ]
    assert split.identity["text"] == "repeated-kfold[repeats=3]"
    assert split.identity["ignores"] == ["subject"]


def test_loso_tests_each_subject_alone_with_what_is_joined_to_it():
    task = _task([0, 1] * 4, ["a", "a", "b", "b", "c", "c", "", ""], sequences=["", "", "", "v", "", "", "v", ""])
    split = _split(RunConfig(protocol="loso"), task)
    assert [np.flatnonzero(fold.test).tolist() for fold in split.folds] == [[7], [0, 1], [2, 3, 6], [4, 5]]
    with pytest.raises(FerBenchError, match=r"subject.*'group-kfold'"):
        _split(RunConfig(protocol="loso"), _task([0, 1], sequences=["v", "w"]))


def test_official_trains_on_train_keeps_validation_apart_and_tests_the_test_split():
    splits = ["training"] * 4 + ["publictest"] * 2 + ["privatetest"] * 2
    task = _task([0, 1] * 4, splits=splits)
    (fold,) = _split(RunConfig(protocol="official"), task).folds
    assert [np.flatnonzero(part).tolist() for part in (fold.train, fold.valid, fold.test)] == [
        [0, 1, 2, 3],
        [4, 5],
        [6, 7],
    ]
    split = _split(RunConfig(protocol="official", test_split="publictest"), task)
    (fold,) = split.folds
    assert (fold.train.sum(), fold.valid.sum(), np.flatnonzero(fold.test).tolist()) == (4, 0, [4, 5])
    assert split.text == "official[test=publictest]"
    (fold,) = _split(RunConfig(protocol="official"), _task([0, 1, 0, 1], splits=["train", "train", "val", "val"])).folds
    assert np.flatnonzero(fold.test).tolist() == [2, 3]


def test_what_a_data_set_declares_of_its_splits_counts_and_not_their_names():
    splits = ["test", "val", "train", "test", "val", "train"] * 2
    roles = {"test": "train", "val": "test", "train": "validation"}
    task = Task((make_view([0, 0, 0, 1, 1, 1] * 2, splits=splits, roles=roles),))
    split = _split(RunConfig(protocol="official"), task)
    (fold,) = split.folds
    parts = np.array(splits)
    assert split.text == "official[test=val]"
    assert (fold.test == (parts == "val")).all()
    assert (fold.valid == (parts == "train")).all()
    assert (fold.train == (parts == "test")).all()


def test_official_keeps_its_leaks_unless_asked_otherwise():
    task = _task([0, 1] * 4, list("abcdabcd"), splits=["train"] * 6 + ["test"] * 2)
    as_published, mended = (_split(RunConfig(protocol="official", leak_free=free), task) for free in (None, True))
    assert as_published.ignores == ("subject",)
    assert np.flatnonzero(as_published.folds[0].train).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(mended.folds[0].train).tolist() == [0, 1, 4, 5]  # c and d are tested
    assert (mended.ignores, mended.text) == ((), "official[test=test,leak_free=true]")


@pytest.mark.parametrize(
    ("splits", "wanted", "parts"),
    [
        ([""] * 4, None, ("no official splits",)),
        (["train"] * 4, None, ("'train'",)),
        (["train", "train", "test", "test"], "tset", ("no split 'tset'", "'test'")),
        (["x", "x", "y", "y"], None, ("--test-split: x, y",)),
        (["val", "val", "test", "test"], None, ("no split", "'test'")),
    ],
)
def test_official_splits_that_are_not_there(splits, wanted, parts):
    with pytest.raises(FerBenchError) as caught:
        _split(RunConfig(protocol="official", test_split=wanted), _task([0, 1, 0, 1], splits=splits))
    assert says(str(caught.value), *parts)


def test_added_data_train_in_every_fold_without_whom_the_fold_tests():
    own = make_view([0, 1] * 4, list("aabbccdd"))
    other = make_view([0, 1] * 3, ["a", "a", "x", "x", "b", "b"], first=8)  # the same data set, so the same people
    foreign = make_view([0, 1], ["a", "a"], place="faces/theirs", sha256=["x", "y"])  # another one's a is somebody else
    task = Task((own, other, foreign))
    split = _split(RunConfig(folds=4), task)
    for fold in split.folds:
        people = set(own.column("subject")[np.flatnonzero(fold.test)])
        trained = set(other.column("subject")[fold.train[8:14]])
        assert trained == {"a", "x", "b"} - people
        assert fold.train[14:].all()
        assert not fold.test[8:].any()
    ignoring = _split(RunConfig(protocol="kfold", folds=4), task)
    assert all(fold.train[8:].all() for fold in ignoring.folds)
    assert len(set(task.ids.to_pylist())) == len(task)
    assert task.ids[:8].to_pylist() == own.column("id").tolist()
    assert [part["n"] for part in task.identity()["trained_with"]] == [6, 2]


def test_cross_trains_on_the_others_alone_without_identical_images():
    own = make_view([0, 1, 0, 1], sha256=["1", "2", "3", "4"])
    other = make_view([0, 1] * 3, name="others", sha256=["4", "5", "6", "7", "8", "9"])
    (fold,) = _split(RunConfig(train_on=("others",)), Task((own, other))).folds
    assert np.flatnonzero(fold.test).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(fold.train).tolist() == [5, 6, 7, 8, 9]  # one is an image that is tested


def test_copies_of_an_audit_stay_together_and_chains_join():
    keys = np.array([1, 1, 2, 2, -1, -1, -1, -1])
    task = Task((make_view([0, 1] * 4, ["", "p", "p", "", "", "", "", ""]),), (keys,))
    assert task.known == ("subject", "copy")
    assert [np.flatnonzero(task.groups == name).tolist() for name in dict.fromkeys(task.groups.tolist())] == [
        [0, 1, 2, 3],
        [4],
        [5],
        [6],
        [7],
    ]
    alone = Task((make_view([0, 1] * 4),), (keys,))
    assert _choose(RunConfig(), alone)[0] == "group-kfold"
    assert _choose(RunConfig(), Task((make_view([0, 1] * 4),), (None,)))[0] == "kfold"


@pytest.mark.parametrize("protocol", ["kfold", "group-kfold"])
def test_validation_is_cut_from_training_alone(protocol):
    rng = np.random.default_rng(0)
    subjects = [f"p{i}" for i in rng.integers(0, 30, 600)]
    task = _task(rng.choice(2, 600, p=[0.8, 0.2]).tolist(), subjects)
    split = _split(RunConfig(protocol=protocol), task)
    cut = cut_validation(split, task, 0.1)
    for before, after in zip(split.folds, cut.folds, strict=True):
        assert not before.valid.any()
        assert (after.test == before.test).all()
        assert (after.train ^ after.valid == before.train).all()
        assert not (after.train & after.valid).any()
        assert 0.05 < after.valid.sum() / before.train.sum() < 0.16
        assert abs(task.labels[after.valid].mean() - task.labels[before.train].mean()) < 0.1
        if protocol == "group-kfold":
            assert not set(task.groups[after.valid]) & set(task.groups[after.train])
    assert cut.sha256 == cut_validation(split, task, 0.1).sha256 != split.sha256


def test_validation_needs_samples_and_groups_to_spare():
    split = _split(RunConfig(folds=2), _task([0, 1] * 4, list("aaaabbbb")))
    with pytest.raises(FerBenchError, match=r"one subject.*validation"):
        cut_validation(split, _task([0, 1] * 4, list("aaaabbbb")), 0.1)
    rare = _task([0] * 10 + [1] * 2)
    with pytest.raises(FerBenchError, match=r"\b1 training.*validation"):
        cut_validation(_split(RunConfig(folds=2), rare), rare, 0.1)
