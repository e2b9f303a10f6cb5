"""The checkpoint of a cell: what comes back, what is refused, who may write."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fer_bench.keeping.checkpoints import Checkpoint

LEAVES = [
    np.linspace(0, 1, 7, dtype=np.float32),
    np.zeros((0, 3), np.float32),
    np.int32(4),
    np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32),
]
FACTS = {"epoch": 2, "loss": 0.1 + 0.2, "best": math.inf, "history": [{"phase": "p", "loss": 1 / 3}]}


def _save_and_raise(folder, error):
    with Checkpoint(folder, print) as checkpoint:
        checkpoint.save({"epoch": 1}, [np.zeros(3)])
        checkpoint.save(FACTS, LEAVES)
        raise error


@pytest.fixture
def messages():
    return []


@pytest.fixture
def left(tmp_path):
    """Return the folder of a cell whose process was stopped after two epochs."""
    folder = tmp_path / "unfinished" / "0123abcd"
    with pytest.raises(KeyboardInterrupt):
        _save_and_raise(folder, KeyboardInterrupt)
    return folder


def test_the_newest_state_comes_back_to_the_bit_and_goes_when_the_cell_ends(left, messages):
    assert [path.name for path in left.iterdir()] == ["1"]
    with Checkpoint(left, messages.append) as checkpoint:
        saved = checkpoint.load(lambda facts: LEAVES if facts == FACTS else [])
        assert saved is not None
        assert saved.facts == FACTS
        for was, now in zip(LEAVES, saved.leaves, strict=True):
            np.testing.assert_array_equal(was, now)
            assert was.dtype == now.dtype
    assert not left.parent.exists()
    assert messages == []


def test_a_failed_cell_leaves_nothing_to_go_on_from(tmp_path, messages):
    with pytest.raises(FloatingPointError):
        _save_and_raise(tmp_path / "cell", FloatingPointError)
    with Checkpoint(tmp_path / "cell", messages.append) as checkpoint:
        assert checkpoint.load(lambda facts: LEAVES) is None


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "other shapes", "other jax"])
def test_what_is_damaged_or_foreign_is_named_and_not_used(left, messages, monkeypatch, damage):
    files = list(left.rglob("d/*"))
    assert files
    wanted = LEAVES
    if damage == "cut":
        for file in files:
            file.write_bytes(file.read_bytes()[:-20])
    elif damage == "changed":
        for file in files:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(bytes(content))
    elif damage == "gone":
        next(left.rglob("record/metadata")).unlink()
    elif damage == "other shapes":
        wanted = [LEAVES[0][:5], *LEAVES[1:]]
    else:
        monkeypatch.setattr("jax.__version__", "0.0")
    with Checkpoint(left, messages.append) as checkpoint:
        assert checkpoint.load(lambda facts: wanted) is None
    assert len(messages) == 1
    assert "checkpoint 1 of cell 0123abcd cannot be used" in messages[0]
    assert "begins anew" in messages[0]


def test_a_second_process_trains_without_it(left, messages):
    with Checkpoint(left, messages.append) as first:
        with Checkpoint(left, messages.append) as second:
            assert second.load(lambda facts: LEAVES) is None
            second.save({"epoch": 9}, [np.ones(2)])
        assert first.load(lambda facts: LEAVES) is not None
