"""Searches that take more than the suite has: by suggestions of Optuna, and one of a real network that is killed.

`tox run -e extras` runs them; without Optuna they are skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from safetensors import SafetensorError, safe_open
from test_search import _accuracy, _material, _nested
from tiny_run import invoke

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.learning.search import Searching
from fer_bench.learning.suggestions import BATCH, Suggestions
from fer_bench.learning.trials import find_search
from fer_bench.registry import Registry
from fer_bench.space import SearchSpace

optuna = pytest.importorskip("optuna", reason="an extra of its own: 'tox run -e extras' has it")

SPACE = SearchSpace(
    strategy="finetune",
    parameters={
        "learning_rate": {"log": (1e-5, 1e-1)},
        "dropout": {"uniform": (0, 0.5)},
        "batch": {"integer": (2, 64)},
        "balance": ["none", "weights"],
    },
    method="tpe",
)


def _score(settings):
    """A score that is highest at a learning rate of 0.001 and weights."""
    return -abs(np.log10(settings["learning_rate"]) + 3) - (settings["balance"] == "none")


def _walk(search, seed):
    """Return the settings of all trials, and the scores."""
    suggestions = Suggestions(search, seed)
    tried, sizes = list(suggestions.first), []
    while len(tried) < suggestions.total:
        more = suggestions.after(tried, [_score(trial.settings) for trial in tried])
        sizes.append(len(more))
        tried += more
    return [trial.settings for trial in tried], sizes


def test_suggestions_repeat_by_the_seed_stay_within_the_space_and_come_near_the_best():
    search = find_search(SPACE, 64, 4, Registry.load())
    settings, sizes = _walk(search, 3)
    assert settings == _walk(search, 3)[0] != _walk(search, 4)[0]
    assert sizes == [BATCH] * 5 + [4]
    assert settings[:BATCH] == [trial.settings for trial in search.draw(3)[:BATCH]], "they begin as a random search"
    table = pd.DataFrame(settings)
    assert len(table.drop_duplicates()) == 64
    assert table["learning_rate"].between(1e-5, 1e-1).all()
    assert table["dropout"].between(0, 0.5).all()
    assert table["batch"].between(2, 64).all()
    scores = np.array([_score(each) for each in settings])
    assert scores[-20:].mean() > scores[:20].mean() + 0.3, "suggestions are better than draws"


def test_suggestions_of_a_small_space_are_all_of_it_and_failures_are_no_scores():
    space = SearchSpace(
        strategy="linear-probe", parameters={"c": list(range(1, 13)), "standardize": [True, False]}, method="tpe"
    )
    suggestions = Suggestions(find_search(space, 500, 2, Registry.load()), 0)
    assert suggestions.total == 24
    tried = list(suggestions.first)
    while len(tried) < 24:
        tried += suggestions.after(tried, [None if trial.settings["standardize"] else 0.5 for trial in tried])
    assert len({trial.text for trial in tried}) == 24


class Stopped(Exception):
    """The process ends here."""


def test_a_search_by_suggestions_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    x = np.random.default_rng(0).normal(size=(90, 1))
    labelled, nested = (x, (x[:, 0] + np.random.default_rng(1).normal(size=90) > 0).astype(int)), _nested(90, 3)
    space = SearchSpace(strategy="linear-probe", parameters={"c": {"log": (1e-4, 10)}}, method="tpe")
    search = find_search(space, 25, 3, Registry.load())
    made, left = [], [99]
    real = Searching._measure

    def measure(self, members, stage, share):
        if not left[0]:
            raise Stopped
        left[0] -= 1
        made.append(len(members))
        return real(self, members, stage, share)

    monkeypatch.setattr(Searching, "_measure", measure)

    def run(checkpoint):
        suggestions = Suggestions(search, 5)
        first = suggestions.first
        return Searching(first, nested, _material(*labelled), 5, _accuracy, checkpoint, False, suggestions).run()

    whole = run(Checkpoint(None))
    assert made == [10, 10, 5]
    left[0] = 2
    file = tmp_path / "unfinished" / "cell.safetensors"
    with pytest.raises(Stopped), Checkpoint(file) as checkpoint:
        run(checkpoint)
    made.clear()
    left[0] = 99
    with Checkpoint(file) as checkpoint:
        resumed = run(checkpoint)
    assert made == [5], "two batches were done"
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    assert resumed.chosen.trial.settings == whole.chosen.trial.settings
    assert whole.chosen.trials == 25


def test_a_row_that_is_searched_by_suggestions_says_so_and_is_replayed(tiny):
    (tiny / "space.yaml").write_text("strategy: probe\nmethod: tpe\nparameters:\n  c: {log: [0.001, 100]}\n")
    words = ["--backbone", "net", "--dataset", "squares", "--folds", "3", "--search", "space.yaml"]
    result = invoke("run", *words, "--inner", "2", "--trials", "14", "--json")
    (row,) = [row for row in json.loads(result.stdout)["rows"] if row["search"]]
    assert row["strategy"] == "probe[search=c,trials=14,inner=2,method=tpe]"
    assert row["search"]["trials"] == 14
    (cell, *_) = sorted(tiny.glob("runs/cells/[0-9a-f]*"))
    assert "bit-identical" in invoke("replay", cell.name).stdout


def _state(file):
    """Return how many trials of a search are scored, and after how many epochs of the next one it stands."""
    try:
        with safe_open(file, "np") as stored:
            facts = json.loads(stored.metadata()["record"])["facts"]
    except (OSError, SafetensorError):  # it has just gone, or is not there yet
        return 0, 0
    return len(facts["scores"]), sum("epoch" in row for row in facts.get("training", {}).get("history", []))


@pytest.fixture
def started():
    """Processes of a test; none of them outlives it."""
    processes = []
    yield processes
    for process in processes:
        process.kill()


@pytest.mark.slow
def test_a_killed_search_of_a_network_goes_on_in_two_processes_and_ends_in_the_same_bits(tmp_path, started):
    space = tmp_path / "space.yaml"
    space.write_text("strategy: finetune[epochs=2]\nparameters:\n  learning_rate: [0.003, 0.0003]\n")
    grid = [
        "run",
        "--backbone",
        "mini-xception",
        "--limit",
        "28",
        "--folds",
        "2",
        "--search",
        str(space),
        "--inner",
        "2",
    ]
    folders = {f"FER_BENCH_{name}_DIR": str(tmp_path / name.lower()) for name in ("DATA", "CACHE")}
    process = "from fer_bench.cli import main; main()"

    def start(runs):
        command = [sys.executable, "-c", process, *grid, "--runs-dir", str(tmp_path / runs)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=os.environ | folders, **pipes))
        return started[-1]

    straight = start("straight")
    assert straight.wait(500) == 0, straight.stderr.read()
    killed, deadline, state = start("killed"), time.monotonic() + 500, (0, 0)
    while killed.poll() is None and time.monotonic() < deadline:
        state = max((_state(file) for file in tmp_path.glob("killed/unfinished/*.safetensors")), default=(0, 0))
        if state[0] and state[1]:
            break
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(60) == -signal.SIGKILL
    assert state[0], "it was killed in its second trial or after it"
    assert not list(tmp_path.glob("killed/cells/[0-9a-f]*")), "in the first cell"
    both = [start("killed"), start("killed")]
    said = [each.communicate(timeout=500) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert not (tmp_path / "killed" / "unfinished").exists()
    cells = sorted(tmp_path.glob("straight/cells/[0-9a-f]*"))
    assert len(cells) == 2
    for cell in cells:
        other = tmp_path / "killed" / "cells" / cell.name
        results = [json.loads((folder / "result.json").read_text()) for folder in (cell, other)]
        assert results[0]["measures"]["search"] == results[1]["measures"]["search"]
        histories = [
            pd.read_csv(folder / "history.csv").drop(columns="seconds", errors="ignore") for folder in (cell, other)
        ]
        pd.testing.assert_frame_equal(*histories, check_exact=True)
        predictions = [pd.read_feather(folder / "predictions.feather") for folder in (cell, other)]
        pd.testing.assert_frame_equal(*predictions, check_exact=True)
