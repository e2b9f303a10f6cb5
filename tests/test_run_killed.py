"""Runs that are killed or stopped go on where they were, and end in the same bits."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest
from messages import says
from safetensors import safe_open
from tiny_run import BASE, invoke, start


def test_a_run_that_is_killed_goes_on_where_it_was(tiny):
    grid = ["run", *BASE, "--backbone", "net[fault=slow]", "--folds", "3"]
    process = start(tiny, *grid, TINY_SLEEP="60")
    deadline = time.monotonic() + 300
    while len(list(tiny.glob("runs/cells/[0-9a-f]*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.kill()
    process.wait()
    assert len(list(tiny.glob("runs/cells/[0-9a-f]*"))) == 3
    again = invoke(*grid)
    assert again.exit_code == 0, again.output
    assert says(again.stderr, "6 cells", "3", "done")
    assert "net[fault=slow]" in again.stdout


def _epochs(file):
    """Return the epochs that a checkpoint stands after, of all phases; 0 if it has just gone."""
    try:
        with safe_open(file, "np") as stored:
            history = json.loads(stored.metadata()["record"])["facts"]["history"]
    except FileNotFoundError:
        return 0
    return sum("epoch" in row for row in history)


@pytest.mark.slow
def test_a_run_that_is_killed_between_epochs_ends_in_the_same_bits(tiny):
    grid = ["run", "--dataset", "squares", "--backbone", "net", "--strategy", "steps", "--folds", "2"]
    straight = invoke(*grid, "--runs-dir", "straight")
    assert straight.exit_code == 0, straight.output
    seen = []
    # In the second phase of the first cell, and in the second cell. A checkpoint follows the first epoch of a cell, and
    # the first of its second phase, before which a program is compiled; others follow as `SHARE` allows.
    for cells, newest in ((0, 9), (1, 1)):
        process = start(tiny, *grid, "--runs-dir", "killed")
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            epochs = [_epochs(file) for file in tiny.glob("killed/unfinished/*.safetensors")]
            done = len(list(tiny.glob("killed/cells/[0-9a-f]*")))
            if done >= cells and max(epochs, default=0) >= newest:
                break
        process.kill()
        process.wait()
        seen.append((done, bool(epochs)))
    assert seen == [(0, True), (1, True)]
    last = invoke(*grid, "--runs-dir", "killed")
    assert last.exit_code == 0, last.output
    assert not (tiny / "killed" / "unfinished").exists()
    folders = sorted(tiny.glob("straight/cells/[0-9a-f]*/predictions.feather"))
    trained = 0
    for file in folders:
        other = tiny / "killed" / "cells" / file.parent.name
        pd.testing.assert_frame_equal(pd.read_feather(file), pd.read_feather(other / file.name), check_exact=True)
        histories = [pd.read_csv(folder / "history.csv") for folder in (file.parent, other)]
        one, two = (history.drop(columns="seconds", errors="ignore") for history in histories)
        pd.testing.assert_frame_equal(one, two, check_exact=True)
        trained += len(one) > 1
    assert trained == 2
