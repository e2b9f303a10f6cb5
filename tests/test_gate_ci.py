"""The gate in CI: margins, exit codes and reports that agree, what fell, and what changed between two baselines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from messages import says
from test_gate import DATA, gate, invoke, write_classes, write_runs
from test_results import UNKNOWN, make_cell, make_result

from fer_bench.evaluation.classification import measure_hits
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.margins import find_margin
from fer_bench.results.baseline import load
from fer_bench.results.store import Store


def test_a_margin_of_half_or_more_is_refused_and_points_have_one_spelling(tmp_path):
    """``--margin 2`` would turn the gate off."""
    write_runs(tmp_path / "old")
    read_frozen(tmp_path)
    write_runs(tmp_path / "new", 0.08)
    message = str(gate(tmp_path, "--margin", 2, "--class-margin", 3, "--alpha", 1).exception)
    assert says(message, "--margin 2:", "below 0.5", "2pt", "0.02", "--alpha 1:", "--class-margin 3:", "3pt")
    assert says(str(gate(tmp_path, "--margin", "50pt").exception), "--margin 0.5:", "below 0.5")
    as_points, as_fraction = (gate(tmp_path, "--margin", margin).stdout for margin in ("3.5pt", "0.035"))
    assert as_points == as_fraction
    assert "margin 0.035" in as_points
    assert gate(tmp_path, "--metric", "nll", "--margin", 2).exit_code == 0, "a metric without a largest value"


def test_exit_code_junit_and_annotations_agree_on_underpowered(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    write_runs(tmp_path / "old", n=40)
    told = invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    assert says(told.output, "40 images", "--margin ", "pt")
    write_runs(tmp_path / "new", 0.05, n=40)
    for how, code, tag, level in (("fail", 3, "failure", "error"), ("warn", 0, "skipped", "warning")):
        result = gate(tmp_path, "--underpowered", how, "--junit", tmp_path / f"{how}.xml")
        assert result.exit_code == code
        assert f"::{level} title=fer-bench UNDERPOWERED::" in result.stdout
        suite = ElementTree.parse(tmp_path / f"{how}.xml").getroot()
        (case,) = suite.iter("testcase")
        assert [part.tag for part in case] == [tag]
        assert (suite.get("failures"), suite.get("skipped")) == (("1", "0") if how == "fail" else ("0", "1"))
    write_runs(tmp_path / "lost", 0.9, n=40)
    assert gate(tmp_path, "--underpowered", "warn", runs="lost").exit_code == 1, "FAIL is no warning"


def test_the_smallest_margin_is_that_of_a_normal_bound_with_its_power(tmp_path):
    """Over 300 images: two methods whose answers correlate by a half differ with variance p (1 - p) an image."""
    write_runs(tmp_path / "old", n=300)
    (row,) = read_frozen(tmp_path).values()
    hits = measure_hits(row.predictions.labels, row.predictions.probabilities)
    spread = np.mean([hits[row.predictions.labels == label].var() for label in (0, 1)])
    expected = (1.645 + 1.645) * np.sqrt(spread / 300)
    assert find_margin(row.predictions, 2, STANDARD["uar"]) == pytest.approx(expected, rel=0.04), (
        "the bound is longer for skewness"
    )
    assert find_margin(row.predictions.take(np.arange(4)), 2, STANDARD["uar"]) == np.inf


def read_frozen(folder: Path):
    invoke("baseline", "freeze", "--runs-dir", folder / "old", "--output", folder / "base")
    return load(folder / "base")


def test_a_failure_names_what_fell_and_how_to_accept_it(tmp_path):
    write_classes(tmp_path / "old", (0.6, 0.6))
    read_frozen(tmp_path)
    write_classes(tmp_path / "new", (0.5, 0.7))
    result = gate(tmp_path, "--margin", "3pt", "--junit", tmp_path / "gate.xml")
    assert says(result.stdout, "a 60.0 % to 50.0 % (1,000 images)", "0500 100.0 % to 50.0 % (2 images)", "and 95 more")
    accept = f"fer-bench baseline freeze --runs-dir {tmp_path / 'new'} --output {tmp_path / 'base'} --forget-oldest"
    assert says(result.stdout, *accept.split())
    (failure,) = ElementTree.parse(tmp_path / "gate.xml").getroot().iter("failure")
    assert says(failure.text, "a 60.0 %", "0500", *accept.split())
    assert invoke(*accept.split()[1:]).exit_code == 0
    assert gate(tmp_path, "--margin", "3pt").exit_code == 0
    assert "accept" not in gate(tmp_path).stdout


def test_two_baselines_are_compared(tmp_path):
    write_runs(tmp_path / "a")
    write_runs(tmp_path / "b", 0.08, n=1200, training=3, code="2", text="faces")
    write_runs(tmp_path / "b", text="others")
    for name in "ab":
        invoke("baseline", "freeze", "--runs-dir", tmp_path / name, "--output", tmp_path / f"base-{name}")
    folders = tmp_path / "base-a", tmp_path / "base-b"
    record = json.loads(invoke("baseline", "diff", *folders, "--format", "json").stdout)
    (row,) = record["rows"]
    then, now = (load(folder)[row["name"]].predictions for folder in folders)
    scores = [STANDARD["uar"].compute(one.labels, one.probabilities) for one in (then, now)]
    common = then.take(np.flatnonzero(then.sample < 1200))
    gap = scores[1] - STANDARD["uar"].compute(common.labels, common.probabilities)
    assert (row["first"], row["second"]) == pytest.approx(tuple(scores))
    assert row["difference"]["value"] == pytest.approx(gap)
    assert (len(row["only"]["first"]), row["only"]["first"][0], row["only"]["second"]) == (400, "s01200", [])
    assert row["trainings"] == {"first": [[0, 0]], "second": [[0, 3]]}
    assert [field["field"] for field in row["fields"]] == ["backbone.code_sha256"]
    assert (record["removed"], record["added"]) == ([], ["others / kfold x 2 / net / probe"])
    shown = invoke("baseline", "diff", *folders).stdout
    assert says(shown, "only in B: others", "400, first s01200")
    same = invoke("baseline", "diff", folders[0], folders[0], "--format", "md").stdout
    assert says(same, "same predictions", "nothing")
    assert says(str(invoke("baseline", "diff", tmp_path / "a", folders[1]).exception), "baseline.json", "freeze")


def test_a_changed_class_that_one_image_shows_is_underpowered(tmp_path):
    """All of class b, one image of 2,000, is lost; the accuracy drops by half a thousandth."""
    for folder, kept in (("old", True), ("new", False)):
        labels = np.arange(2000) == 0
        result = make_result(labels.astype(int).tolist(), (labels & kept).astype(int).tolist())
        for fold in (0, 1):
            half = result.predictions[fold * 1000 : (fold + 1) * 1000]
            cell = make_cell(fold, backbone="net", code="1", **DATA)
            Store(tmp_path / folder).write(cell, replace(result, predictions=half), UNKNOWN)
    invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    told = gate(tmp_path, "--metric", "accuracy", "--junit", tmp_path / "gate.xml")
    assert told.exit_code == 3
    for text in (told.stdout, (tmp_path / "gate.xml").read_text()):
        assert says(text, "UNDERPOWERED", " b:", "images", "--class-margin 1")
    assert gate(tmp_path, "--metric", "accuracy", "--class-margin", 1).exit_code == 0, "no guard was asked for"
    assert gate(tmp_path, "--metric", "accuracy", runs="old").exit_code == 0, "nothing changed"
