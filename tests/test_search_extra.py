"""Searches by suggestions of Optuna.

`tox run -e search` runs them; without Optuna they are skipped.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from test_search import _accuracy, _material, _nested
from tiny_run import invoke

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.learning.search import Searching
from fer_bench.learning.suggestions import BATCH, Suggestions
from fer_bench.learning.trials import find_search
from fer_bench.registry import Registry
from fer_bench.space import SearchSpace

optuna = pytest.importorskip("optuna", reason="an extra of its own: 'tox run -e search' has it")

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
