"""Search: settings are chosen on inner folds of each training part, and what a fold tests is predicted once."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace

import documents
import numpy as np
import pandas as pd
import pytest
import yaml
from messages import says
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny_run import invoke

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.metrics import STANDARD, evaluate
from fer_bench.evaluation.optimism import measure_optimism
from fer_bench.executors.grid import expand
from fer_bench.executors.progress import TerminalReporter
from fer_bench.keeping.checkpoints import Checkpoint, Step
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import penalties
from fer_bench.learning.material import Material
from fer_bench.learning.search import Searching
from fer_bench.learning.trials import SearchTrial, draw_settings, find_search, rounds
from fer_bench.registry import Registry
from fer_bench.reports.searched import describe_choice, list_choices
from fer_bench.results.store import Store
from fer_bench.space import SearchSpace
from fer_bench.specs import ConvexPhase, Plan, ReadoutPhase
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.inner import Nested

QUIET = TerminalReporter(quiet=True)
PAGE = documents.ROOT / "docs" / "search.md"
SPACE = "strategy: probe\nparameters:\n  c: {log: [0.001, 100]}\n"
RUN = ["--backbone", "net", "--dataset", "squares", "--folds", "3"]


@pytest.fixture
def space(tiny):
    """Return the file of a space, beside the tiny plugin."""
    file = tiny / "space.yaml"
    file.write_text(SPACE)
    return file


def test_settings_are_drawn_by_the_seed_within_their_ranges_and_once_each():
    parameters = {
        "c": {"log": (0.1, 10)},
        "share": {"uniform": (-1, 3)},
        "k": {"integer": (2, 5)},
        "kernel": ["a", "b"],
    }
    space = SearchSpace(strategy="any", parameters=parameters)
    drawn = draw_settings(space, 300, seed=7)
    assert drawn == draw_settings(space, 300, seed=7) != draw_settings(space, 300, seed=8)
    table = pd.DataFrame(drawn)
    assert len(table) == 300
    assert abs(np.log10(table["c"]).mean()) < 3 * 0.58 / 300**0.5, "uniform on a logarithmic scale: 0 is the middle"
    assert abs(table["share"].mean() - 1) < 3 * 1.16 / 300**0.5
    assert (table["c"].between(0.1, 10) & table["share"].between(-1, 3)).all()
    assert set(table["k"]) == {2, 3, 4, 5}
    assert set(table["kernel"]) == {"a", "b"}
    few = SearchSpace(strategy="any", parameters={"k": [1, 2, 3], "kernel": ["a", "b"]})
    assert len(draw_settings(few, 300, seed=0)) == 6, "a space that has no more gives all that it has"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("strategy: probe\nparameters: {d: [1]}\n", ["'d'", "'c'"]),
        ("strategy: probe\nparameters: {c: [1, many], calibrate: [cold]}\n", ["c: ", "'many'", "calibrate", "'cold'"]),
        ("strategy: 'probe[c=1]'\nparameters: {c: [1, 2]}\n", ["'c'", "'probe[c=1]'"]),
        ("strategy: none\nparameters: {c: [1, 2]}\n", ["'none'", "'probe'"]),
        ("strategy: probe\nparameters: {c: {log: [0, 1]}}\n", ["c: log", "[0, 1]"]),
        ("strategy: probe\nparameters: {c: {uniform: [2, 1]}}\n", ["c: uniform", "[2, 1]"]),
        ("strategy: probe\nparameters: {c: {integer: [1, 2.5]}}\n", ["c: integer", "[1, 2.5]"]),
        ("strategy: probe\nparameters: {c: {normal: [1, 2]}}\n", ["uniform, log, integer", "normal"]),
        ("strategy: probe\nparameters: {c: []}\n", ["c: "]),
        ("strategy: probe\nparameters: {}\n", ["'space.yaml'", "parameters", "{}"]),
        ("strategy: probe\nmethod: grid\nparameters: {c: [1]}\n", ["method", "'halving'", "'grid'"]),
        ("strategy: probe\nvalues: {c: [1]}\n", ["parameters", "values"]),
        ("- c\n", ["list"]),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_message_before_any_work(space, text, named):
    space.write_text(text)
    with pytest.raises(FerBenchError) as caught:
        invoke("run", *RUN, "--search", space.name)
    assert says(str(caught.value), *named), caught.value


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--search", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--search", "space.yaml", "--trials", "0"], ["trials", "1"]),
        (["--search", "space.yaml", "--inner", "1"], ["inner", "2"]),
        (["--search", "space.yaml", "--search", "space.yaml"], ["search"]),
        (["--trials", "5"], ["--trials", "--search"]),
        (["--search", "space.yaml", "--inner", "7"], ["--inner 7", "6 subjects"]),
    ],
)
def test_inner_folds_and_trials_that_cannot_be_are_refused(space, options, named):
    del space
    with pytest.raises(FerBenchError) as caught:
        invoke("run", *RUN, *options)
    assert says(str(caught.value), *named), caught.value


def test_without_optuna_the_extra_is_named(space, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    space.write_text("strategy: probe\nmethod: tpe\nparameters: {c: [1, 2]}\n")
    with pytest.raises(FerBenchError, match=r"pip install 'fer-bench\[search\]'"):
        invoke("run", *RUN, "--search", str(space))


FITS: Counter[int] = Counter()
"""Samples of a fit of `Threshold` -> how many there were."""


class Threshold:
    """A classifier that says 1 above a threshold; the process is stopped before a fit after ``stop`` others."""

    def __init__(self, share: float, stop: int):
        self.share, self.stop, self.classes_ = share, stop, np.arange(2)

    def fit(self, x, y):
        if FITS.total() == self.stop:
            raise KeyboardInterrupt
        FITS[len(x)] += 1

    def predict_proba(self, x):
        hit = (x[:, 0] > self.share).astype(float)
        return np.stack([1 - hit, hit], axis=1)


def _material(x, labels):
    features = Outputs([x[:, None].astype(np.float32)])
    told = []
    return Material(
        labels=labels,
        classes=int(labels.max()) + 1,
        features=lambda: features,
        inputs=lambda stop, flip: features,
        backbone=lambda seed: None,
        begin=lambda phase, samples: told.append(phase),
        advance=lambda samples: None,
    )


def _nested(n, folds):
    """Return a fold that tests the last third, and inner folds by turns."""
    at = np.arange(n)
    test = at >= 2 * n // 3
    inner = tuple(Fold(k, ~test & (at % folds != k), ~test & (at % folds == k)) for k in range(folds))
    return Nested(Fold(0, ~test, test), inner, None, None, None)


def _search(shares, labelled, nested, checkpoint=None, stop=-1, halving=False):
    """Return the outcome of a search for the best threshold of one feature."""
    trials = []
    for share in shares:
        phase = ReadoutPhase(estimator=f"{__name__}:Threshold", options={"share": share, "stop": stop})
        trials.append(SearchTrial({"share": share}, None, Plan(phases=(phase,))))
    FITS.clear()
    material, checkpoint = _material(*labelled), checkpoint or Checkpoint(None)
    return Searching(trials, nested, material, 0, _accuracy, checkpoint, halving).run()


def _accuracy(labels, probabilities):
    return evaluate(labels, probabilities, [STANDARD["accuracy"]])["accuracy"]


def test_a_search_that_was_stopped_goes_on_with_the_trial_that_it_stopped_in(tmp_path):
    x = np.random.default_rng(0).uniform(size=(30, 1))
    labelled, nested, shares = (x, (x[:, 0] > 0.5).astype(int)), _nested(30, 4), [0.9, 0.1, 0.5, 0.7, 0.3]
    whole = _search(shares, labelled, nested)
    assert FITS.total() == 5 * 4 + 1
    assert (whole.chosen.trial.settings, whole.chosen.score) == ({"share": 0.5}, 1.0)
    file = tmp_path / "unfinished" / "cell.safetensors"
    with pytest.raises(KeyboardInterrupt), Checkpoint(file) as checkpoint:
        _search(shares, labelled, nested, checkpoint, stop=14)
    with Checkpoint(file) as checkpoint:
        resumed = _search(shares, labelled, nested, checkpoint)
    assert FITS.total() == 2 * 4 + 1, "three trials were done, and what the fourth had begun is fitted again"
    assert not file.exists()
    pd.testing.assert_frame_equal(resumed.history, whole.history)
    assert np.array_equal(resumed.probabilities, whole.probabilities)


def test_halving_trains_most_trials_on_few_samples_and_the_best_on_all(monkeypatch):
    monkeypatch.setattr(Nested, "inner", lambda self, share, validation: _thin(self.folds, share))
    x = np.random.default_rng(1).uniform(size=(540, 1))
    shares = np.linspace(0.05, 0.95, 19).tolist()
    outcome = _search(shares, (x, (x[:, 0] > 0.5).astype(int)), _nested(540, 2), halving=True)
    assert rounds(19) == pytest.approx([1 / 9, 1 / 3, 1])
    assert FITS == {20: 19 * 2, 60: 7 * 2, 180: 3 * 2, 360: 1}
    assert outcome.chosen.trial.settings["share"] == pytest.approx(0.5)


def _thin(folds, share):
    step = round(1 / share)
    kept = [np.isin(np.arange(len(fold.train)), np.flatnonzero(fold.train)[::step]) for fold in folds]
    return tuple(replace(fold, train=train) for fold, train in zip(folds, kept, strict=True))


def test_the_spaces_of_the_page_can_be_searched():
    blocks = documents.blocks(PAGE.read_text("utf-8"))
    spaces = [yaml.safe_load(block.code) for block in blocks if block.language == "yaml"]
    found = [find_search(SearchSpace(**space), 20, 4, Registry.load()) for space in spaces]
    assert [search.text.partition(",trials")[0] for search in found] == [
        "linear-probe[search=c+standardize",
        "finetune[epochs=2,search=learning_rate+dropout+batch+balance",
    ]
    assert [len(search.draw(3)) for search in found] == [20, 20]
    # 20 trials: a ninth of 20, a third of 7 and 3 whole inner training parts of 3/4 in 4 folds, then the whole part.
    assert found[1].count_passes(3) == pytest.approx(1 + 3 * (20 / 9 + 7 / 3 + 3))


def test_a_step_keeps_its_state_beside_what_the_others_came_to(tmp_path):
    file = tmp_path / "cell.safetensors"

    def stop():
        with Checkpoint(file) as checkpoint:
            checkpoint.load(lambda facts, arrays: None)
            step = Step(checkpoint, "second", {"scores": [[0, 0, 0.25]]}, {"said/0": np.ones(2)}, None)
            step.save({"epoch": 3}, {"w": np.arange(4.0)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    with Checkpoint(file) as checkpoint:
        facts, arrays = checkpoint.load(lambda facts, arrays: (facts, arrays))
        step = Step(checkpoint, "second", {}, {}, (facts["training"], arrays))
        state = step.load(lambda facts, arrays: (facts["epoch"], arrays["w"].tolist()))
        broken = step.load(lambda facts, arrays: arrays["absent"])
    assert facts == {"scores": [[0, 0, 0.25]], "step": "second", "training": {"epoch": 3}}
    assert (state, broken) == ((3, [0, 1, 2, 3]), None)


@pytest.mark.parametrize(("samples", "features", "standardize"), [(90, 12, False), (60, 150, True)])
def test_heads_of_many_penalties_are_those_of_scikit_learn(samples, features, standardize):
    rng = np.random.default_rng(samples + features)
    labels = rng.integers(0, 3, samples)
    x = (
        rng.normal(size=(samples, features)) * rng.uniform(0.5, 2, features)
        + rng.normal(size=(3, features))[labels] / 3
    )
    x[1], x[:, 0] = x[0], 4.0  # a copy, and a feature that says nothing
    rows, cs = np.arange(samples - 10), [10.0, 0.001, 0.3, 0.02] * 5
    phase = ConvexPhase(c=1.0, standardize=standardize, max_iterations=2000, tolerance=1e-6)
    outputs = Outputs([x[:, None].astype(np.float32)])
    heads = penalties.fit(outputs, labels, rows, 3, phase, cs)
    said = np.exp(penalties.log_probabilities(heads, outputs, np.arange(samples)))
    scaler = StandardScaler(with_std=standardize).fit(x[rows])
    for place, c in enumerate(cs[:4]):
        model = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit(scaler.transform(x[rows]), labels[rows])
        assert np.abs(said[place] - model.predict_proba(scaler.transform(x))).max() < 0.004
        assert np.abs(said[place] - said[place + 8]).max() < 0.004, "equal penalties give equal heads"


def test_the_spread_of_what_was_chosen_and_the_optimism_are_as_by_hand():
    chosen = [{"c": 0.1, "flip": True}, {"c": 0.4, "flip": True}, {"c": 0.2, "flip": False}]
    assert describe_choice(chosen) == "c 0.2 (0.1 to 0.4), flip true 2 of 3, false 1 of 3"
    assert says(list_choices(chosen), "0.1, 0.4, 0.2", "flip", "true, true, false")
    optimism = measure_optimism(np.array([0.5, 0.6, 0.7]), np.array([0.4, 0.4, 0.6]), np.zeros(3))
    reach = 4.302653 * (0.01 / 3 / 3) ** 0.5  # Student's t with 2 degrees; differences .1, .2, .1
    assert (optimism.value, optimism.high - optimism.value) == pytest.approx((0.4 / 3, reach))
    alone = measure_optimism(np.array([0.5]), np.array([0.4]), np.zeros(1))
    assert (alone.low, alone.high) == (None, None)


def test_a_searched_row_holds_what_its_inner_folds_chose(space):
    words = [*RUN, "--strategy", "probe", "--search", str(space), "--inner", "3", "--trials", "6"]
    rows = json.loads(invoke("run", *words, "--json").stdout)["rows"]
    (row,) = [row for row in rows if row["search"]]
    assert row["strategy"] == "probe[search=c,trials=6,inner=3]"
    assert sum(not row["search"] for row in rows) == 2, "the strategy as it is, and the majority class"
    config = RunConfig(
        backbones=("net",), datasets=("squares",), folds=3, search=(str(space),), inner=3, trials=6
    )  # fmt: skip
    (block,) = expand(config, Registry.load(), config.data_folder, config.cache_folder, QUIET).blocks
    cells = [Store(config.runs_dir).find(job.cell) for job in block.jobs]
    assert all(cell and cell.ok for cell in cells), [cell and cell.error for cell in cells]
    groups = block.task.groups
    for job, cell in zip(block.jobs, cells, strict=True):
        inner = job.nested.folds
        assert np.array_equal(sum(fold.test.astype(int) for fold in inner), job.fold.train.astype(int))
        assert not any((fold.train & ~job.fold.train).any() for fold in inner), "nothing that the fold tests"
        assert not any(np.isin(groups[fold.train], groups[fold.test]).any() for fold in inner), "people kept apart"
        trials = pd.read_csv(pd.io.common.BytesIO(cell.history())).query("phase == 'trial'")
        found = cell.measures.search
        assert len(trials) == found.trials == 6
        assert trials["score"].max() == pytest.approx(found.score)
        assert trials.loc[trials["score"].idxmax(), "settings"] == f"c={found.settings['c']}"
        assert found.strategy.text == f"probe[c={found.settings['c']}]"
    outer = [cell.measures.search.score for cell in cells]
    assert row["search"]["inner"] == pytest.approx(np.mean(outer))
    assert row["search"]["optimism"] == pytest.approx(row["search"]["inner"] - row["search"]["outer"])
    shown = invoke("leaderboard", "--columns", "search", "--format", "csv").stdout
    assert "search_chosen" in shown
    assert "bit-identical" in invoke("replay", cells[0].id[:8]).stdout
