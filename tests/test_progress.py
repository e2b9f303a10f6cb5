"""Progress: bars that fit every terminal, and lines where there is none."""

from __future__ import annotations

import io
import re
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from at_terminal import at_terminal
from rich.console import Console
from sklearn.neighbors import KNeighborsClassifier

from fer_bench import console, progress
from fer_bench.executors.progress import TerminalReporter
from fer_bench.executors.reporting import counting
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning.engine import run_plan
from fer_bench.learning.material import Material
from fer_bench.learning.prediction import READ_AT_ONCE
from fer_bench.networks.meter import compiling_told
from fer_bench.specs import Plan, ReadoutPhase
from fer_bench.tasks.folds import Fold

NAME = "features: fer2013[split=training] through xception[input_size=149,weights=imagenet]"


def _shown(steps, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(steps._bars.get_renderable())
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_bar_share_and_time_left_are_whole_and_the_name_is_shortened(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    steps = progress.Steps()
    step = steps.add(NAME, total=200)
    steps.advance(step, 90)
    time.sleep(0.01)
    steps.advance(step, 1)
    steps.set(steps.add("9 of 30 cells", 30), 9)
    first, second = _shown(steps, width)
    assert len(first) <= width
    assert first[:8] == NAME[:8]
    assert (NAME in first) == (width == 200)
    assert re.search(r" 46 % \d:\d\d:\d\d$", first)
    assert "━" * (width // 5 * 46 // 100 - 1) in first
    assert second.split()[:4] == ["9", "of", "30", "cells"]
    assert second.endswith("30 % -:--:--")


def test_the_time_left_runs_down_and_is_not_known_once_it_is_over(monkeypatch):
    """As in a process that waits for the last cell of another."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    steps = progress.Steps()
    steps._bars.get_time = lambda: now[0]
    step = steps.add("cells", 10)
    for _ in range(8):
        now[0] += 10
        steps.advance(step)
    left = []
    for _ in range(4):
        left.append(_shown(steps, 80)[0].split()[-1])
        now[0] += 8
    assert left == ["0:00:20", "0:00:12", "0:00:04", "-:--:--"]
    steps.set(step, 8)
    assert _shown(steps, 80)[0].endswith("-:--:--")
    steps.set(step, 9)
    assert _shown(steps, 80)[0].endswith("0:00:13")


def test_off_a_terminal_each_step_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_S", 0.02)
    with TerminalReporter(quiet=False) as reporter:
        reporter.step("first", 10)
        reporter.advance(4)
        time.sleep(0.2)
        reporter.step("second", 10)
        with counting("third", reporter) as tell:
            tell(1, None)
        said = capsys.readouterr().err.splitlines()
        time.sleep(0.1)
    assert said[0] == "first"
    assert said[1].startswith("first: 40 %")
    assert said[-2:] == ["second", "third"]
    assert capsys.readouterr().err == "", "the third step is over"
    with TerminalReporter(quiet=True) as reporter:
        reporter.step("first", 10)
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_a_path_above_bars_stays_whole_at_a_terminal(tmp_path):
    path = f"/data/{'faces-of-people/' * 6}labels.csv"
    code = (
        f"from fer_bench import console, progress\n"
        f"with progress.Steps() as steps:\n    steps.add('reading', 10)\n"
        f"    steps.print('the checkpoint is in {path}')\n    console.warn('the warning is of {path}')"
    )
    (ended,) = at_terminal(tmp_path, {"words": [sys.executable, "-c", code], "columns": 40})
    assert ended.text.count(path) == 2, ended.text
    assert "━━━ 0 % -:--:--" in re.sub("\x1b[^m]*m", "", ended.text)


def test_what_goes_to_a_file_stays_apart_from_bars(monkeypatch, tmp_path):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    with (tmp_path / "rows.csv").open("w") as file, monkeypatch.context() as patch:
        patch.setattr(progress.sys, "stdout", file)
        with TerminalReporter(quiet=False) as reporter:
            reporter.step("pictures", 10)
            console.write("a row\n")
    assert (tmp_path / "rows.csv").read_text() == "a row\n"


def test_a_step_says_that_it_compiles(monkeypatch):
    told: list[bool] = []
    with compiling_told(told.append):
        jax.jit(lambda x: x * jnp.float32(time.time()))(1.0)
    assert told[0]
    assert told.count(True) == told.count(False) > 0
    steps = progress.Steps()
    step = steps.add("first", 10)
    steps.compile(step, begins=True)
    monkeypatch.setattr(progress, "SLOW_S", 0.0)
    assert "compiling" in _shown(steps, 80)[0]
    steps.compile(step, begins=False)
    assert "compiling" not in _shown(steps, 80)[0]


def test_a_classical_classifier_says_how_many_images_it_has_predicted():
    """A piece at a time, each view counted; the pieces change no bit."""
    rng, n = np.random.default_rng(0), 30 + 2 * READ_AT_ONCE + 100
    labels, told = np.arange(n) % 3, []
    features = rng.normal(labels[:, None, None], 1.5, (n, 2, 8)).astype(np.float32)
    material = Material(
        labels=labels,
        classes=3,
        features=lambda: Outputs([features]),
        inputs=lambda stop, flip: Outputs([features]),
        backbone=lambda seed: None,
        begin=lambda what, total: told.append((what, total)),
        advance=told.append,
    )
    train = np.arange(n) < 30
    phase = ReadoutPhase(estimator="sklearn.neighbors:KNeighborsClassifier", options={"n_neighbors": 5})
    (call,) = run_plan(Plan(phases=(phase,), views="mirror"), material, [Fold(0, train, ~train)], [0])
    probabilities = call(Checkpoint(None)).probabilities
    assert told == [("readout of 1 fold", 2 * (n - 30)), *[READ_AT_ONCE, READ_AT_ONCE, 100] * 2]
    known = KNeighborsClassifier(5).fit(features[:30, 0], labels[:30])
    views = [known.predict_proba(features[30:, view]).astype(np.float32) for view in (0, 1)]
    np.testing.assert_array_equal(probabilities, np.mean(views, axis=0))
