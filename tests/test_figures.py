"""Figures of the leaderboard: what they show is what its JSON says, in files that are the same each time."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import synthetic_runs
from sklearn.metrics import recall_score
from test_results import UNKNOWN, make_cell, make_result
from tiny_run import invoke

from fer_bench.errors import FerBenchError
from fer_bench.reports.charts import find_front, find_marks, find_powers
from fer_bench.reports.figures import KINDS, name
from fer_bench.reports.leaderboard import build
from fer_bench.results.store import Store

MAGIC = {".svg": b"<?xml", ".pdf": b"%PDF-", ".png": b"\x89PNG"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two seeds of three methods on one board."""
    folder = tmp_path_factory.mktemp("figures") / "runs"
    synthetic_runs.write_runs(folder, datasets=1, methods=3, seeds=2, failed=0)
    return folder


def draw(runs: Path, file: Path, kind: str = "intervals") -> str:
    """Draw a figure of runs; return the texts of an SVG, one a line."""
    result = invoke(
        "leaderboard", "--runs-dir", str(runs), "--figure", str(file), "--figure-kind", kind, "--format", "json"
    )
    assert result.exit_code == 0, result.stderr
    assert file.read_bytes().startswith(MAGIC[file.suffix])
    texts = re.findall(r"<text[^>]*>(.*?)</text>", file.read_text("utf-8"), re.DOTALL) if file.suffix == ".svg" else []
    return "\n".join(unescape(re.sub("<[^>]*>", "", text)) for text in texts)


def rows_of(runs: Path) -> list[dict]:
    return json.loads(invoke("leaderboard", "--runs-dir", str(runs), "--format", "json").stdout)["rows"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_figure_names_each_method_and_is_the_same_bytes_each_time(runs, tmp_path, kind):
    texts = draw(runs, tmp_path / "a.svg", kind)
    for row in rows_of(runs):
        assert row["baseline"] or f"{row['backbone']}, {row['strategy']}" in texts
    draw(runs, tmp_path / "b.svg", kind)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("suffix", [".pdf", ".png"])
def test_a_figure_is_saved_as_its_name_ends(runs, tmp_path, suffix):
    for file in (tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"):
        draw(runs, file)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_recalls_of_classes_are_those_of_scikit_learn(runs, tmp_path):
    texts = draw(runs, tmp_path / "classes.svg", "classes").splitlines()
    for method in [row for row in rows_of(runs) if not row["baseline"]]:
        cells = [(file.parent, json.loads(file.read_text())) for file in runs.glob("cells/*/cell.json")]
        tables = [
            pd.read_feather(folder / "predictions.feather")
            for folder, cell in cells
            if (cell["backbone"]["text"], cell["strategy"]["text"]) == (method["backbone"], method["strategy"])
        ]
        table = pd.concat(tables)
        chosen = table[[f"p{c}" for c in range(7)]].to_numpy().argmax(axis=1)
        expected = [f"{100 * share:.0f}" for share in recall_score(table["label"], chosen, average=None)]
        assert len(tables) == 10
        assert all(texts.count(share) >= expected.count(share) for share in expected)


def test_pairs_have_a_star_where_tiers_are_apart(runs, tmp_path):
    texts = draw(runs, tmp_path / "pairs.svg", "pairs").splitlines()
    methods = [row for row in rows_of(runs) if not row["baseline"]]
    differences = {
        f"{100 * (a['scores']['uar']['mean'] - b['scores']['uar']['mean']):+.1f}"
        + ("" if set(a["tier"]) & set(b["tier"]) else "*")
        for a in methods
        for b in methods
        if a is not b
    }
    assert len(differences) == 6
    assert differences <= {text.replace("\N{MINUS SIGN}", "-") for text in texts}


def test_the_front_holds_what_no_other_beats_in_cost_and_score():
    points = [(10.0, 0.5), (1.0, 0.2), (5.0, 0.5), (20.0, 0.9), (2.0, 0.1), (20.0, 0.8), (5.0, 0.5)]
    assert find_front(points) == [1, 2, 3]
    assert find_front([(1.0, 0.9), (2.0, 0.3), (3.0, 0.4)], higher_is_better=False) == [0, 1]
    assert find_front([]) == []


def test_the_marks_of_an_axis_are_round_numbers_inside():
    assert find_marks(0.61, 0.93) == pytest.approx([0.7, 0.8, 0.9])
    assert find_marks(-3.0, 3.0) == [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    assert find_powers(3.0, 300.0) == [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    assert find_powers(0.5, 2e5) == [1.0, 10.0, 100.0, 1000.0, 1e4, 1e5]


def test_names_with_signs_of_mathematics_are_drawn_as_they_are(tmp_path):
    store = Store(tmp_path)
    store.write(make_cell(backbone="a$x^2$_b\x1b[31m"), make_result(), UNKNOWN)
    row = next(row for row in build(store.cells()[0]) if not row.baseline)
    assert name(row) == "a\\$x^2\\$_b\\x1b[31m, probe"


def test_another_ending_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(FerBenchError, match=r"board\.jpg.*\.svg, \.pdf, \.png"):
        invoke("leaderboard", "--runs-dir", str(tmp_path / "none"), "--figure", "board.jpg")
