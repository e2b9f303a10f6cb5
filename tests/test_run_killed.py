"""A run that is killed goes on where it was, and ends in the same bits."""

from __future__ import annotations

import signal

import pandas as pd
import pytest
from messages import says
from tiny_run import PROCESS, invoke, start

KILLED = """
import math, os, signal
from fer_bench.keeping import checkpoints

real, cells, epochs = checkpoints.Checkpoint._write, int(os.environ["CELLS"]), int(os.environ["EPOCHS"])

def write(self, facts, given):
    real(self, facts, given)
    stored = [name for name in os.listdir("killed/cells") if name[0] != "."] if os.path.isdir("killed/cells") else []
    if len(stored) == cells and sum("epoch" in row for row in facts["history"]) >= epochs:
        os.kill(os.getpid(), signal.SIGKILL)

# A checkpoint after every epoch.
checkpoints.SHARE, checkpoints.Checkpoint._write = math.inf, write
"""
"""Kills a process as soon as a checkpoint stands after so many epochs, of all phases, while so many cells are done."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_run_that_is_killed_between_epochs_goes_on_where_it_was_and_ends_in_the_same_bits(tiny):
    grid = ["run", "--dataset", "squares", "--backbone", "net", "--strategy", "steps", "--folds", "2"]
    straight = invoke(*grid, "--runs-dir", "straight")
    assert straight.exit_code == 0, straight.output
    # In the second phase of the first cell, and in the second cell.
    for cells, epochs in ((0, 9), (1, 1)):
        limits = {"CELLS": str(cells), "EPOCHS": str(epochs)}
        process = start(tiny, *grid, "--runs-dir", "killed", process=KILLED + PROCESS, **limits)
        output = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, output
        assert len(list(tiny.glob("killed/cells/[0-9a-f]*"))) == cells
        assert len(list(tiny.glob("killed/unfinished/*.safetensors"))) == 1
    last = invoke(*grid, "--runs-dir", "killed")
    assert last.exit_code == 0, last.output
    assert says(last.stderr, "2 cells", "1 ", "done")
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
