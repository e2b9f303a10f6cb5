"""The checkpoint of a cell: what comes back, what is refused, who may write, and what a full disk does."""

from __future__ import annotations

import errno
import math
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fer_bench.keeping import checkpoints
from fer_bench.keeping.checkpoints import SHARE, UNWANTED, Checkpoint, remove_left

ARRAYS = {
    "kernel": np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32),
    "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "empty": np.zeros((0, 3), np.float32),
    "count": np.array(4, np.int32),
    "seen": np.array([True, False]),
}
FACTS = {"epoch": 2, "loss": 0.1 + 0.2, "best": math.inf, "history": [{"phase": "p", "loss": 1 / 3}]}


def both(facts, arrays):
    return facts, arrays


def leave(file, *states, error=KeyboardInterrupt, warn=pytest.fail):
    """Save states and end by an error; return the file."""
    with pytest.raises(error), Checkpoint(file, warn) as checkpoint:  # noqa: PT012
        checkpoint.load(both)
        for facts, arrays in states:
            checkpoint.save(facts, arrays)
        raise error
    return file


@pytest.fixture
def messages():
    return []


@pytest.fixture
def left(tmp_path):
    """Return the checkpoint of a cell whose process was stopped after two epochs."""
    file = tmp_path / "unfinished" / "0123abcd.safetensors"
    return leave(file, ({"epoch": 1}, {"kernel": np.zeros(3)}), (FACTS, ARRAYS))


def test_the_newest_state_comes_back_to_the_bit_and_goes_when_the_cell_is_stored(left):
    assert sorted(path.name for path in left.parent.iterdir()) == ["0123abcd.lock", "0123abcd.safetensors"]
    with Checkpoint(left, pytest.fail) as checkpoint:
        facts, arrays = checkpoint.load(both)
        assert facts == FACTS
        assert arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(array, arrays[name])
            assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape)
        assert left.exists(), "the cell is not stored yet"
    assert not left.parent.exists()


def test_a_checkpoint_outlives_whatever_stops_its_cell_from_being_stored(left):
    for error in (OSError, SystemExit, KeyboardInterrupt):
        leave(left, error=error)
        assert left.exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "other facts", "not as expected", "other jax", "no file"])
def test_what_is_damaged_or_foreign_is_named_and_not_used(left, messages, monkeypatch, damage):
    content = left.read_bytes()
    if damage == "cut":
        left.write_bytes(content[:-20])
    elif damage == "changed":
        left.write_bytes(content[:-1] + bytes([content[-1] ^ 0xFF]))
    elif damage == "other facts":
        left.write_bytes(content.replace(b'\\"epoch\\": 2', b'\\"epoch\\": 3'))
        assert left.read_bytes() != content
    elif damage == "no file":
        left.write_bytes(b"")
    elif damage == "other jax":
        monkeypatch.setattr("jax.__version__", "0.0")
    with Checkpoint(left, messages.append) as checkpoint:
        assert checkpoint.load(lambda facts, arrays: arrays["not there"]) is None
    assert len(messages) == 1
    assert "0123abcd" in messages[0]
    assert "starts again" in messages[0]


def test_a_second_process_trains_without_it(left):
    with Checkpoint(left, pytest.fail) as first:
        assert first.load(both) is not None
        with Checkpoint(left, pytest.fail) as second:
            assert second.load(both) is None
            second.save({"epoch": 9}, {"kernel": np.ones(2)})
        assert left.exists()
        assert first.load(both)[0] == FACTS


def test_a_checkpoint_that_cannot_be_written_is_one_warning_that_names_the_disk(left, messages, monkeypatch):
    def full(arrays, file, metadata):
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    leave(left, ({"epoch": 3}, ARRAYS), ({"epoch": 4}, ARRAYS), warn=messages.append)
    assert len(messages) == 1
    for part in ("0123abcd", repr(str(left.parent)), "MiB free", "No space left on device"):
        assert part in messages[0]
    assert sorted(path.name for path in left.parent.iterdir()) == ["0123abcd.lock", "0123abcd.safetensors"]
    with Checkpoint(left, pytest.fail) as checkpoint:
        assert checkpoint.load(both)[0] == FACTS, "the state before stays"


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, messages):
    (tmp_path / "unfinished").write_text("a file")
    with Checkpoint(tmp_path / "unfinished" / "cell.safetensors", messages.append) as checkpoint:
        assert checkpoint.load(both) is None
        checkpoint.save(FACTS, ARRAYS)
    assert len(messages) == 1
    assert "unfinished" in messages[0]


def test_what_a_run_left_that_was_killed_after_storing_a_cell_goes_with_the_next_run(left):
    left.with_suffix(".part").write_bytes(b"half")
    other = leave(left.with_name("4567cdef.safetensors"), (FACTS, ARRAYS))
    with Checkpoint(left, pytest.fail) as busy:
        busy.load(both)
        remove_left(left.parent, {"0123abcd"}.__contains__, ())
        assert left.is_file()  # another process is at it
        left.with_suffix(".part").write_bytes(b"half")
        busy.save(FACTS, ARRAYS)
    assert sorted(path.name for path in left.parent.iterdir()) == ["4567cdef.lock", "4567cdef.safetensors"]
    leave(left, (FACTS, ARRAYS))
    left.with_suffix(".part").write_bytes(b"half")
    remove_left(left.parent, {"0123abcd"}.__contains__, ())
    assert sorted(path.name for path in left.parent.iterdir()) == ["4567cdef.lock", "4567cdef.safetensors"]
    remove_left(left.parent, {"4567cdef"}.__contains__, ())
    assert not other.parent.exists()
    remove_left(left.parent, {"4567cdef"}.__contains__, ())


def test_what_no_run_will_go_on_with_goes_and_the_checkpoint_of_another_grid_stays(left):
    folder = left.parent
    old, held = (leave(folder / f"{name}.safetensors", (FACTS, ARRAYS)) for name in ("01d0", "he1d"))
    (folder / "ba1f.part").write_bytes(b"killed in its first save")
    (folder / "10cc.lock").touch()
    (folder / "notes.txt").write_text("not ours")
    (folder / "strange" / "3").mkdir(parents=True)
    past = time.time() - UNWANTED * 24 * 3600 - 60
    with Checkpoint(held, pytest.fail) as busy:
        busy.load(both)
        os.utime(old, (past, past))
        os.utime(held, (past, past))
        remove_left(folder, lambda cell: False, ())
        assert held.is_file(), "a living process holds it"
    stays = {"0123abcd.lock", "0123abcd.safetensors", "notes.txt", "strange"}
    assert {entry.name for entry in folder.iterdir()} == stays
    os.utime(left, (past, past))
    remove_left(folder, lambda cell: False, {"0123abcd"})
    assert {entry.name for entry in folder.iterdir()} == stays, "this run asks for it"
    remove_left(folder, lambda cell: False, ())
    assert {entry.name for entry in folder.iterdir()} == {"notes.txt", "strange"}


def test_a_training_saves_its_state_only_where_writing_takes_a_small_share_of_it(left, monkeypatch):
    clock, processor, save_file, go_on = [1000.0], iter([3.0, 3.25]), checkpoints.save_file, threading.Event()
    times = SimpleNamespace(monotonic=lambda: clock[0], thread_time=lambda: next(processor))
    monkeypatch.setattr(checkpoints, "time", times)
    monkeypatch.setattr(checkpoints, "save_file", lambda *given: go_on.wait(60) and save_file(*given))
    with Checkpoint(left, pytest.fail) as checkpoint:
        assert not checkpoint.due, "another process may have it"
        checkpoint.load(both)
        assert checkpoint.due
        checkpoint.save(FACTS, ARRAYS)
        assert not checkpoint.due, "it is being written"
        go_on.set()
        deadline = time.perf_counter() + 60
        while checkpoint._writing is None or not checkpoint._writing.done():
            assert time.perf_counter() < deadline
        for clock[0], due in ((1000 + 0.25 / SHARE - 0.1, False), (1000 + 0.25 / SHARE, True)):
            assert checkpoint.due is due, clock
