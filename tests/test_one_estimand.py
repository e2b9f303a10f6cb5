"""A metric of a row is one number wherever it stands: board, comparison, gate, page and JSON, for rows of any shape."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer
from test_results import UNKNOWN, make_cell, make_measures
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import gate
from fer_bench.reports.leaderboard import build
from fer_bench.reports.page import to_html
from fer_bench.results.baseline import freeze
from fer_bench.results.store import Result, Store

CLASSES = 4
# Chance that a person has one expression, folds, seeds, split seeds (0: each seed deals its own), people, images.
LOSO = (0.5, 14, 1, 0, 14, 60)
SHAPES = [
    (0.5, 14, 1, 0, 14, 60),  # one person left out
    (0.2, 1, 1, 0, 9, 61),
    (0.9, 1, 3, 1, 9, 61),
    (0.2, 1, 3, 2, 9, 61),
    (0.9, 2, 1, 0, 9, 61),
    (0.2, 2, 3, 1, 9, 61),
    (0.9, 2, 3, 2, 9, 61),
    (0.2, 5, 3, 0, 9, 61),
    (0.9, 5, 1, 1, 9, 61),
    (0.2, 5, 1, 2, 9, 61),
]
"""Each pair of a chance, folds, seeds and split seeds stands in one of them."""


def write_row(store: Store, strategy: str, shape: tuple, skill: float) -> pd.DataFrame:
    """Store a row, and return its predictions with the training of each."""
    single, folds, seeds, split_seeds, people, n = shape
    rng = np.random.default_rng([folds, seeds, split_seeds, int(10 * single)])
    person = rng.permutation(np.arange(n) % people)
    own = rng.integers(CLASSES, size=people)
    true = np.where(rng.random(n) < single, own[person], rng.integers(CLASSES, size=n))
    true[:CLASSES] = range(CLASSES)
    parts = []
    splits = range(split_seeds) if split_seeds else (None,)
    for split, seed in itertools.product(splits, range(seeds)):
        dealt_by = seed if split is None else split
        fold = (np.random.default_rng(dealt_by).permutation(people) % folds)[person]
        logits = np.random.default_rng([seed, dealt_by, int(10 * skill)]).normal(size=(n, CLASSES))
        table = np.exp(logits + skill * np.eye(CLASSES)[true])
        table = (table / table.sum(axis=1, keepdims=True)).astype(np.float32)
        frame = pd.DataFrame({"id": [f"i{i:03d}" for i in range(n)], "group": [f"s{s}" for s in person], "label": true})
        frame[[f"p{c}" for c in range(CLASSES)]] = table
        frame["training"] = f"{dealt_by} {seed}"
        parts.append(frame)
        for number in range(folds):
            cell = make_cell(
                number, seed, strategy=strategy, split_seed=None if split in (None, seed) else split,
                n=n, classes=[f"c{c}" for c in range(CLASSES)],
            )  # fmt: skip
            cell = replace(cell, protocol=replace(cell.protocol, folds=folds, splits_sha256=f"{dealt_by}"))
            tested = frame[fold == number].drop(columns="training").reset_index(drop=True)
            counts = np.bincount(true[fold != number], minlength=CLASSES) + (folds == 1)
            measures = make_measures(counts.tolist())
            store.write(cell, Result("ok", "", measures, tested, pd.DataFrame({"phase": ["head"]})), UNKNOWN)
    return pd.concat(parts)


def score(frame: pd.DataFrame) -> dict[str, float]:
    """Return metrics of all predictions of a training, averaged over trainings, by scikit-learn."""
    values = []
    for _, part in frame.groupby("training"):
        true, table = part["label"].to_numpy(), part[[f"p{c}" for c in range(CLASSES)]].to_numpy(np.float64)
        named, confidence = table.argmax(axis=1), table.max(axis=1)
        bins = np.ceil(confidence * 15)
        gaps = [abs(((named == true) - confidence)[bins == b].sum()) for b in np.unique(bins)]
        values.append(
            {
                "accuracy": peer.accuracy_score(true, named),
                "uar": peer.balanced_accuracy_score(true, named),
                "macro_f1": peer.f1_score(true, named, average="macro"),
                "kappa": peer.cohen_kappa_score(true, named),
                "nll": -np.log(table[np.arange(len(true)), true]).mean(),
                "brier": ((table - np.eye(CLASSES)[true]) ** 2).sum(axis=1).mean(),
                "ece": sum(gaps) / len(true),
            }
        )
    return pd.DataFrame(values).mean().to_dict()


def terms(metric: str) -> gate.GateTerms:
    return gate.GateTerms(metric=STANDARD[metric], margin=0.05, alpha=0.05)


def read(store: Store, *words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--runs-dir", str(store.runs_dir)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_place_prints_one_number(shape, tmp_path: Path):
    store = Store(tmp_path / "runs")
    expected = {name: score(write_row(store, name, shape, skill)) for name, skill in (("good", 2.0), ("poor", 0.7))}
    rows = build(store.cells()[0])
    document = json.loads(read(store, "leaderboard", "--format", "json"))
    printed = read(store, "leaderboard")
    pair = json.loads(read(store, "compare", "good", "poor", "--format", "json"))["metrics"]
    page = to_html(rows, [])
    freeze(store.runs_dir, tmp_path / "base")
    for name, wanted in expected.items():
        (row,) = (row for row in rows if row.strategy == name)
        (listed,) = (row for row in document["rows"] if row["strategy"] == name)
        for metric, value in wanted.items():
            assert row.scores[metric].mean == pytest.approx(value, abs=1e-6), metric
            assert listed["scores"][metric]["mean"] == pytest.approx(value, abs=1e-6), metric
            assert pair[metric]["first" if name == "good" else "second"] == pytest.approx(value, abs=1e-6), metric
        assert row.interval.estimate == pytest.approx(wanted["uar"], abs=1e-6)
        assert listed["interval"]["low"] <= wanted["uar"] <= listed["interval"]["high"]
        line = next(line for line in printed.splitlines() if f" {name} " in line)
        shown = [f"{100 * wanted[metric]:.1f}" for metric in ("accuracy", "uar", "macro_f1")]
        assert [number for number in shown if number not in line] == []
        assert [number for number in shown if not re.search(rf">{re.escape(number)}\b", page)] == []
    for metric in ("accuracy", "uar", "macro_f1", "kappa"):
        report = gate.check(tmp_path / "base", store.runs_dir, terms(metric))
        for checked in report.rows:
            value = expected[checked.name.rpartition(" / ")[2]][metric]
            assert (checked.baseline, checked.current) == pytest.approx((value, value), abs=1e-6), metric


def test_a_board_of_five_people_says_in_its_title_that_it_tells_no_rows_apart(tmp_path: Path):
    store = Store(tmp_path / "runs")
    frames = {name: write_row(store, name, (0.2, 2, 3, 1, 5, 40), skill) for name, skill in (("good", 9), ("poor", 0))}
    title, *lines = read(store, "leaderboard", "--columns", "variance").strip().splitlines()
    assert [part for part in ("; 5 ", "5 %", "6") if part not in title] == []
    assert any(" good " in line for line in lines)
    for row in json.loads(read(store, "leaderboard", "--format", "json"))["rows"]:
        if row["strategy"] in frames:
            per_seed = [
                peer.balanced_accuracy_score(
                    part["label"], part[[f"p{c}" for c in range(CLASSES)]].to_numpy().argmax(1)
                )
                for _, part in frames[row["strategy"]].groupby("training")
            ]
            assert row["sources"]["seeds"] == pytest.approx(np.std(per_seed, ddof=1), abs=1e-4)
            assert row["sources"]["trainings"] == pytest.approx(np.std(per_seed, ddof=1), abs=1e-4)
            assert row["tier"] == "a"
