"""The gate through the command line and through pytest: frozen, compared, refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from messages import says
from test_results import UNKNOWN, failed, make_cell, make_measures, make_result
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.evaluation.classification import find_largest, measure_hits
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.gate import GateReport, GateTerms
from fer_bench.reports.gate import check as gate_report
from fer_bench.results.baseline import load
from fer_bench.results.outcomes import Provenance
from fer_bench.results.store import Result, Store

DATA = {"fingerprint": "f" * 64, "samples_sha256": "a" * 64, "n": 1600}


def write_runs(
    folder: Path, lost: float = 0.0, n: int = 1600, seed: int = 1, code: str = "1", training: int = 0, **dataset
) -> Store:
    """Write two folds of one method that answers 80 % right, less ``lost``; the folds are those of seed 0."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    right = rng.random(n) < 0.8
    right &= np.random.default_rng(seed).random(n) >= lost
    top = np.round(rng.uniform(0.51, 0.99, n), 7)
    store = Store(folder)
    for fold in (0, 1):
        rows = np.arange(n) % 4 // 2 == fold
        p0 = np.where(right == (labels == 0), top, 1 - top)[rows]
        table = pd.DataFrame({"id": [f"s{i:05d}" for i in np.flatnonzero(rows)], "group": "", "label": labels[rows]})
        table["p0"], table["p1"] = p0, 1 - p0
        cell = make_cell(fold, training, "net", code=code, split_seed=0 if training else None, **{**DATA, **dataset})
        result = Result("ok", "", make_measures((1, 1)), table, pd.DataFrame({"phase": ["a"]}))
        store.write(cell, result, Provenance(python="3"))
    return store


@pytest.fixture
def frozen(tmp_path):
    write_runs(tmp_path / "old")
    assert invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base").exit_code == 0
    return tmp_path


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def gate(folder: Path, *options: object, runs: str = "new"):
    return invoke("check", "--baseline", folder / "base", "--runs-dir", folder / runs, *options)


def test_a_baseline_is_small_sorted_and_the_same_bytes_every_time(frozen):
    files = {file.relative_to(frozen / "base"): file.read_bytes() for file in (frozen / "base").rglob("*.*")}
    assert len(files) == 2
    invoke("baseline", "freeze", "--runs-dir", frozen / "old", "--output", frozen / "base")
    assert {file.relative_to(frozen / "base"): file.read_bytes() for file in (frozen / "base").rglob("*.*")} == files
    assert sum(map(len, files.values())) < 60_000
    (row,) = load(frozen / "base").values()
    lines = (frozen / "base" / row.record.file).read_text().splitlines()[1:]
    keys = [(int(seed), int(fold), name) for seed, fold, name, *_ in (line.split(",") for line in lines)]
    assert keys == sorted(keys)
    assert len(keys) == len(row.predictions) == 1600


@pytest.mark.parametrize(
    ("lost", "n", "code", "verdict"),
    [(0.0, 1600, 0, "PASS"), (0.002, 1600, 0, "PASS"), (0.08, 1600, 1, "FAIL")],
)
def test_the_verdict_is_the_exit_code(frozen, lost, n, code, verdict):
    write_runs(frozen / "new", lost, n, code="2")
    result = gate(frozen)
    assert result.exit_code == code, result.output
    assert result.stdout.splitlines()[-1].startswith(f"{verdict}: 1 {verdict} (paired non-inferiority of UAR")


def test_a_gain_passes(frozen):
    write_runs(frozen / "new", 0.3)
    invoke("baseline", "freeze", "--runs-dir", frozen / "new", "--output", frozen / "base")
    assert gate(frozen, runs="old").exit_code == 0
    assert gate(frozen, "--metric", "nll", runs="old").exit_code == 0


def test_too_few_data_are_told_with_what_would_settle_it(tmp_path):
    write_runs(tmp_path / "old", n=40)
    invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    assert gate(tmp_path, runs="old").exit_code == 0, "the same predictions"
    write_runs(tmp_path / "new", 0.05, n=40)
    result = gate(tmp_path)
    assert result.exit_code == 3
    assert says(result.stdout, "40 images", "a drop of", "would settle", "margin of 2")


def test_reports_for_machines(frozen, monkeypatch):
    write_runs(frozen / "new", 0.08)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(frozen / "summary.md"))
    result = gate(frozen, "--junit", frozen / "out" / "gate.xml", "--markdown", frozen / "gate.md")
    assert "::error title=fer-bench FAIL::faces / kfold x 2 / net / probe: " in result.stdout
    (failure,) = ElementTree.parse(frozen / "out" / "gate.xml").getroot().iter("failure")
    assert failure.get("type") == "FAIL"
    page = (frozen / "gate.md").read_text()
    assert "| FAIL | faces / kfold x 2 / net / probe |" in page
    assert (frozen / "summary.md").read_text() == page


def test_failed_cells_fail_the_gate(frozen):
    store = write_runs(frozen / "new")
    cell = make_cell(1, backbone="net", code="1", **DATA)
    store.write(cell, failed("MemoryError: <b>"), UNKNOWN)
    result = gate(frozen, "--junit", frozen / "gate.xml")
    assert result.exit_code == 1
    assert "cells failed: MemoryError: <b>" in result.stdout


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"fingerprint": "e" * 64}, ("other data", "ffffffffffff then", "eeeeeeeeeeee now")),
        ({"classes": ["a", "c"]}, ("other labels", "['a', 'b'] then", "['a', 'c'] now")),
        ({"samples_sha256": "b" * 64}, ("other samples", "aaaaaaaaaaaa then", "bbbbbbbbbbbb now")),
        ({"text": "faecs"}, ("no such row", "'faecs / kfold x 2 / net / probe'?")),
    ],
)
def test_a_baseline_of_other_data_is_refused_with_what_differs(frozen, change, parts):
    write_runs(frozen / "new", **change)
    assert says(str(gate(frozen).exception), *parts)


def test_other_splits_and_tested_labels_are_refused(frozen):
    index = frozen / "base" / "baseline.json"
    write_runs(frozen / "new")
    original = index.read_text()
    index.write_text(original.replace('"0": "0"', '"0": "1"'))
    assert says(str(gate(frozen).exception), "other splits", "seed 0")
    index.write_text(original.replace('"0": "0"', '"5": "0"'))
    assert says(str(gate(frozen).exception), "seeds", "[0]", "baseline.json")
    index.write_text(original.replace('"0": "0"', '"0": "0", "5": "1"'))
    assert says(str(gate(frozen).exception), "seeds", "[0, 5]", "[0]", "--split-seeds")


def test_a_new_seed_is_held_against_the_noise_of_the_frozen_ones(tmp_path):
    """Five trainings of one method: another one by the same code passes nothing and fails nothing that is noise."""
    for seed in range(5):
        write_runs(tmp_path / "old", 0.06, seed=seed + 1, training=seed)
    told = invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    assert "--split-seeds" not in told.output
    (row,) = load(tmp_path / "base").values()
    assert (len(row.predictions), row.splits) == (8000, {0: "0"})
    hits = measure_hits(row.predictions.labels, row.predictions.probabilities)
    scores = [hits[part].mean() for part in parts_of(row)]
    write_runs(tmp_path / "again", 0.06, seed=1, training=0)
    assert "the same predictions" in check(tmp_path / "base", tmp_path / "again").rows[0].message()
    write_runs(tmp_path / "new", 0.06, seed=9, training=9)
    (checked,) = check(tmp_path / "base", tmp_path / "new").rows
    assert (checked.trainings, checked.test.units) == ((5, 1), 1600)
    assert checked.test.standard_error**2 > np.var(scores, ddof=1) * (1 + 1 / 5)
    assert says(checked.message(), "1 training against 5")
    write_runs(tmp_path / "worse", 0.5, seed=9, training=9)
    assert check(tmp_path / "base", tmp_path / "worse").verdict == "FAIL"


def test_freezing_one_random_training_is_told(tmp_path):
    store = Store(tmp_path / "runs")
    for fold in (0, 1):
        result = make_result([0, 1] * 5, [0, 1] * 5, ids=[f"{fold}{place}" for place in range(10)])
        result.history["epoch"] = 1
        store.write(make_cell(fold), result, UNKNOWN)
    told = invoke("baseline", "freeze", "--runs-dir", store.runs_dir, "--output", tmp_path / "base")
    assert says(told.output, "faces / kfold x 2 / net / probe", "one seed", "--split-seeds")


def parts_of(row) -> list[np.ndarray]:
    return [row.predictions.training == training for training in np.unique(row.predictions.training)]


def check(baseline: Path, runs_dir: Path) -> GateReport:
    return gate_report(baseline, runs_dir, GateTerms(metric=STANDARD["accuracy"], margin=0.02, alpha=0.05))


def write_classes(folder: Path, recalls: tuple[float, float], n: int = 2000, code: str = "1") -> None:
    """Write one fold on which the first samples of each class are right, of subjects with one sample of each class."""
    labels = np.arange(n) % 2
    right = np.arange(n) // 2 < np.array(recalls)[labels] * n / 2
    ids = [f"s{i:05d}" for i in range(n)]
    result = make_result(labels.tolist(), np.where(right, labels, 1 - labels).tolist(), ids=ids)
    result.predictions["group"] = [f"sequence:{i // 2:04d}" for i in range(n)]
    for fold in (0, 1):
        half = result.predictions[fold * n // 2 : (fold + 1) * n // 2]
        cell = make_cell(fold, backbone="net", code=code, **DATA)
        Store(folder).write(cell, replace(result, predictions=half), UNKNOWN)


def test_a_class_that_is_lost_while_another_gains_is_no_pass(tmp_path):
    write_classes(tmp_path / "old", (0.6, 0.6))
    invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    write_classes(tmp_path / "new", (0.5, 0.7))
    result = gate(tmp_path, "--margin", 0.03)
    assert result.exit_code == 1
    assert says(result.stdout, "recall of a", "-10.00 points", "6 points")
    assert "recall of b" not in result.stdout
    assert gate(tmp_path, "--margin", 0.03, "--class-margin", 1).exit_code == 0, "the UAR is the same"
    assert gate(tmp_path, "--margin", 0.03, "--class-margin", 0.2).exit_code == 0
    assert says(str(gate(tmp_path, "--class-margin", 0).exception), "--class-margin 0", "0.1")


def test_units_are_called_what_they_are(tmp_path):
    write_classes(tmp_path / "old", (0.6, 0.6))
    invoke("baseline", "freeze", "--runs-dir", tmp_path / "old", "--output", tmp_path / "base")
    write_classes(tmp_path / "new", (0.59, 0.6))
    assert "1,000 sequences" in gate(tmp_path).stdout


def test_small_drops_add_up_to_a_drop_from_the_oldest_baseline(tmp_path):
    """Each release loses 1 point, which passes a margin of 2.5; two points are not excluded to be so many."""
    base = tmp_path / "base"
    for release, recall in enumerate((0.6, 0.59, 0.58)):
        write_classes(tmp_path / f"r{release}", (recall, recall), code=str(release))
    freeze = ["baseline", "freeze", "--output", base, "--runs-dir"]
    invoke(*freeze, tmp_path / "r0")
    assert gate(tmp_path, "--margin", 0.025, runs="r1").exit_code == 0
    invoke(*freeze, tmp_path / "r1")
    (row,) = load(base).values()
    assert row.oldest is not None
    then, now = (find_largest(one.predictions.probabilities) for one in (row.oldest, row))
    assert then.tolist() != now.tolist()
    kept = {file.name: file.read_bytes() for file in (base / "rows").iterdir()}
    assert len(kept) == 2
    result = gate(tmp_path, "--margin", 0.025, runs="r2")
    assert result.exit_code == 1
    assert says(result.stdout, "oldest baseline", "-2.00 points")
    invoke(*freeze, tmp_path / "r1")
    assert {file.name: file.read_bytes() for file in (base / "rows").iterdir()} == kept, "the same bytes again"
    invoke(*freeze, tmp_path / "r2")
    assert load(base)[row.name].oldest.record.sha256 == row.oldest.record.sha256, "the first one stays"
    (base / row.oldest.record.file).write_bytes(b"\xff")
    invoke(*freeze, tmp_path / "r0")
    assert load(base)[row.name].oldest is None, "what was changed is not frozen again"
    invoke(*freeze, tmp_path / "r1")
    invoke(*freeze, tmp_path / "r1", "--forget-oldest")
    assert load(base)[row.name].oldest is None
    assert len(list((base / "rows").iterdir())) == 1
    assert gate(tmp_path, "--margin", 0.025, runs="r2").exit_code == 0


def test_missing_cells_are_refused(frozen):
    store = write_runs(frozen / "new")
    first = store.cells()[0][0]
    (first.folder / "history.csv").write_text("changed")
    message = str(gate(frozen).exception)
    assert "is missing" in message
    assert says(message, "history.csv", "checksum")


def test_of_two_states_of_the_code_the_newest_is_tested_and_of_two_data_none(frozen):
    write_runs(frozen / "new", code="1")
    write_runs(frozen / "new", code="2", lost=0.5)
    failing = gate(frozen)
    assert failing.exit_code == 1
    assert says(failing.stdout, "older results", "faces / kfold x 2 / net / probe")
    write_runs(frozen / "new", code="3")
    assert gate(frozen).exit_code == 0
    write_runs(frozen / "new", fingerprint="other")
    assert "2 variants" in str(gate(frozen).exception)


def test_damaged_and_newer_baselines_are_refused(frozen):
    write_runs(frozen / "new")
    (row,) = (frozen / "base" / "rows").iterdir()
    text = row.read_text()
    row.write_text(text.replace("\n", "\r\n"), newline="")
    assert gate(frozen).exit_code == 0  # git may change the ends of lines
    row.write_text(text[:-20])
    assert says(str(gate(frozen).exception), row.name, "its hash")
    row.unlink()
    assert says(str(gate(frozen).exception), row.name, "missing")
    index = frozen / "base" / "baseline.json"
    record = json.loads(index.read_text())
    index.write_text(json.dumps({**record, "schema": 99}))
    assert "newer fer-bench (schema 99" in str(gate(frozen).exception)
    for content, parts in (
        ("{", ("cannot be read", "JSON")),
        ("[1, 2]", ("expected an object",)),
        ('{"schema": 1, "rows": [{"name": "x"}]}', ("schema 2", "rows.0.dataset is missing", "rows.0.file is missing")),
        (json.dumps({**record, "rows": record["rows"] * 2}), ("net / probe' 2 times", row.name, "missing")),
    ):
        index.write_text(content)
        assert says(str(gate(frozen).exception), *parts)


@pytest.mark.parametrize("what", ["index", "row"])
@pytest.mark.parametrize("kind", ["FIFO", "device", "loop", "folder", "huge"])
def test_a_baseline_of_what_is_no_file_is_one_message_and_waits_for_nothing(frozen, kind, what):
    write_runs(frozen / "new")
    (row,) = (frozen / "base" / "rows").iterdir()
    file = row if what == "row" else frozen / "base" / "baseline.json"
    file.unlink()
    match kind:
        case "FIFO":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "loop":
            file.symlink_to(file.name)
        case "folder":
            file.mkdir()
        case "huge":
            with file.open("wb") as stream:
                stream.truncate(1 << 33)
    message = str(gate(frozen).exception)
    assert file.name in message
    assert "read" in message
    frozen_again = invoke("baseline", "freeze", "--runs-dir", frozen / "new", "--output", frozen / "base")
    if kind == "huge":
        assert frozen_again.exit_code == 0
    else:
        assert "'" + str(frozen / "base") + "' holds something else" in str(frozen_again.exception)


def test_what_is_not_there_says_what_to_run(frozen):
    (frozen / "empty").mkdir()
    assert "Run 'fer-bench run" in str(gate(frozen, runs="empty").exception)
    assert "fer-bench baseline freeze" in str(invoke("check", "--baseline", frozen / "empty").exception)
    assert "'uar'?" in str(gate(frozen, "--metric", "war").exception)
    assert says(str(gate(frozen, "--margin", "0", runs="old").exception), "margin", "above 0")
    for text in ("x", "2%", "2 points"):
        assert says(str(gate(frozen, "--margin", text).exception), f"--margin '{text}'", "0.02", "2pt")


def test_only_whole_rows_are_frozen_and_nothing_else_is_overwritten(frozen):
    write_runs(frozen / "new").write(make_cell(1, backbone="net", strategy="other", **DATA), failed("no"), UNKNOWN)
    message = str(invoke("baseline", "freeze", "--runs-dir", frozen / "new", "--output", frozen / "b").exception)
    assert "failed: no" in message
    assert "fold 0 is missing" in message
    assert not (frozen / "b").exists()
    (frozen / "mine").mkdir()
    (frozen / "mine" / "thesis.txt").write_text("")
    message = str(invoke("baseline", "freeze", "--runs-dir", frozen / "old", "--output", frozen / "mine").exception)
    assert says(message, repr(str(frozen / "mine")), "baseline")


def run_pytest(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    (folder / "test_own.py").write_text("def test_own():\n    assert True\n")
    command = [sys.executable, "-m", "pytest", "-p", "fer_bench.pytest_plugin", "-p", "no:cacheprovider", "test_own.py"]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    return subprocess.run([*command, *map(str, arguments)], cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(("lost", "code", "outcome"), [(0.0, 0, "2 passed"), (0.08, 1, "1 failed, 1 passed")])
def test_the_gate_is_a_pytest_plugin(frozen, lost, code, outcome):
    write_runs(frozen / "new", lost)
    done = run_pytest(frozen, "--fer-baseline", "base", "--fer-runs-dir", "new")
    assert done.returncode == code, done.stdout
    assert outcome in done.stdout
    assert ("FAIL: faces / kfold x 2 / net / probe" in done.stdout) == (code == 1)
    assert "Traceback" not in done.stdout


def test_pytest_without_the_option_loads_nothing_and_a_wrong_one_is_a_usage_error(frozen):
    code = (
        "import sys, pytest; assert pytest.main(['-q', '-p', 'fer_bench.pytest_plugin', 'test_own.py']) == 0;"
        "print(sorted({'jax', 'numpy', 'pandas', 'scipy', 'pydantic', 'typer'} & set(sys.modules)))"
    )
    (frozen / "test_own.py").write_text("def test_own():\n    assert True\n")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=frozen, capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert out.splitlines()[-1] == "[]"
    done = run_pytest(frozen, "--fer-baseline", "base", "--fer-margin", "2")
    assert done.returncode == 4
    assert says(done.stderr, "--margin 2", "2pt")
    done = run_pytest(frozen, "--fer-baseline", "none")
    assert done.returncode == 4
    assert "holds no baseline" in done.stderr
