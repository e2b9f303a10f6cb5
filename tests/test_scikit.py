"""Folds and shapes that a machine remembers are those that scikit-learn and flax give, and cost neither of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import model_selection
from tiny_run import BASE, invoke, start

from fer_bench import memos
from fer_bench.networks import shapes
from fer_bench.networks.identity import identity
from fer_bench.registry import Registry
from fer_bench.tasks.scikit import ScikitSplitter, remembering

pytestmark = pytest.mark.filterwarnings("ignore:The groups parameter is ignored")

LABELS = np.random.default_rng(0).integers(0, 3, 120)
GROUPS = np.random.default_rng(1).integers(0, 14, 120)
DRAWN = {"shuffle": True, "random_state": 4}
SPLITTERS = {
    "StratifiedKFold": {"n_splits": 5, **DRAWN},
    "StratifiedGroupKFold": {"n_splits": 4, **DRAWN},
    "RepeatedStratifiedKFold": {"n_splits": 3, "n_repeats": 2, "random_state": 4},
    "LeaveOneGroupOut": {},
}


def _folds(splitter):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(LABELS, LABELS, GROUPS)]


@pytest.mark.parametrize("name", SPLITTERS)
def test_folds_are_those_of_scikit_learn_dealt_and_remembered(name, tmp_path, monkeypatch):
    peer = getattr(model_selection, name)(**SPLITTERS[name])
    splitter = remembering(ScikitSplitter(name, SPLITTERS[name]), tmp_path)
    assert splitter.get_n_splits(LABELS, LABELS, GROUPS) == peer.get_n_splits(LABELS, LABELS, GROUPS)
    expected = _folds(peer)
    assert _folds(ScikitSplitter(name, SPLITTERS[name])) == expected
    assert not any(tmp_path.iterdir()), "nothing is remembered without a folder"
    assert _folds(splitter) == expected
    monkeypatch.setattr(ScikitSplitter, "_make", lambda self: pytest.fail("dealt a second time"))
    assert _folds(splitter) == expected


@pytest.mark.parametrize(
    ("arguments", "labels", "groups"),
    [({"random_state": 5}, LABELS, GROUPS), ({}, LABELS[::-1], GROUPS), ({}, LABELS, GROUPS[::-1]), ({}, LABELS, None)],
    ids=["other seed", "other labels", "other groups", "no groups"],
)
def test_folds_of_something_else_are_not_taken(tmp_path, arguments, labels, groups):
    name = "StratifiedKFold" if groups is None else "StratifiedGroupKFold"
    _folds(ScikitSplitter(name, SPLITTERS[name], tmp_path))
    changed = SPLITTERS[name] | arguments
    dealt = ScikitSplitter(name, changed, tmp_path).split(labels, labels, groups)
    peer = getattr(model_selection, name)(**changed).split(labels, labels, groups)
    for (_, test), (_, expected) in zip(dealt, peer, strict=True):
        np.testing.assert_array_equal(test, expected)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-3], lambda b: b[:20] + bytes([b[20] ^ 4]) + b[21:], lambda b: b"", lambda b: b"\0" * 64]
)
def test_damaged_folds_are_dealt_again(tmp_path, damage):
    splitter = ScikitSplitter("StratifiedKFold", SPLITTERS["StratifiedKFold"], tmp_path)
    expected = _folds(splitter)
    (file,) = (tmp_path / "folds").iterdir()
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert _folds(splitter) == expected
    assert file.read_bytes() == content, "and remembered again"


def test_positions_beyond_the_samples_are_dealt_again(tmp_path, monkeypatch):
    splitter = ScikitSplitter("StratifiedKFold", SPLITTERS["StratifiedKFold"], tmp_path)
    _folds(splitter)
    stored = next((tmp_path / "folds").iterdir()).read_bytes()
    monkeypatch.setattr(memos, "recall", lambda *key: stored)
    tests = [test for _, test in splitter.split(LABELS[:30], LABELS[:30])]
    assert sorted(np.concatenate(tests)) == list(range(30))


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "folds").write_text("in the way")
    (tmp_path / "shapes").write_text("in the way")
    name = "StratifiedKFold"
    assert _folds(ScikitSplitter(name, SPLITTERS[name], tmp_path)) == _folds(ScikitSplitter(name, SPLITTERS[name]))
    backbone = Registry.load().backbone("mini-xception")
    assert shapes.shapes_of(backbone, {"one": 1}, tmp_path) == shapes.trace(backbone)


def test_shapes_are_traced_once(tmp_path, monkeypatch):
    backbone = Registry.load().backbone("mini-xception")
    known = identity(backbone, "float32")
    traced = shapes.shapes_of(backbone, known, tmp_path)
    (file,) = (tmp_path / "shapes").iterdir()
    for damage in ("{", "null", '{"head/bias": "x"}', "[1]"):
        file.write_text(damage)
        assert shapes.shapes_of(backbone, known, tmp_path) == traced
    monkeypatch.setattr(shapes, "trace", lambda backbone: pytest.fail("traced again"))
    assert shapes.shapes_of(backbone, known, tmp_path) == traced == {k: tuple(v) for k, v in traced.items()}
    assert traced["head/kernel"] == (backbone.spec.feature_size, 2)


@pytest.mark.slow
def test_what_is_done_is_found_without_scikit_learn_and_flax(tiny):
    methods = [*BASE, "--strategy", "steps", "--folds", "2"]
    assert invoke("run", *methods).exit_code == 0
    code = (
        "import sys, json; from fer_bench.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(json.dumps([name for name in ('sklearn', 'flax', 'scipy.stats', 'optax') if name in sys.modules]))"
    )
    for words in (["run", *methods], ["plan", *methods]):
        process = start(tiny, *words, process=code)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        assert json.loads(stdout.splitlines()[-1]) == [], words
