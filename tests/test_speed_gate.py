"""The speed gate on files that pytest-benchmark wrote: an injected slowdown is found, noise is not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).parents[1] / "benchmarks" / "speed_gate.py"
BENCHMARK = """
import pytest

now = 0.0

def clock():
    global now
    now += 1e-9
    return now

def work(seconds):
    global now
    now += seconds

@pytest.mark.benchmark(timer=clock)
def test_sleeps(benchmark):
    benchmark.pedantic(work, ({seconds},), rounds=3)

@pytest.mark.benchmark(timer=clock)
def test_other(benchmark):
    benchmark.pedantic(work, (0.02,), rounds=3)
"""
"""By a clock of its own: a busy machine makes no difference."""


@pytest.fixture(scope="module")
def gate():
    spec = importlib.util.spec_from_file_location("speed_gate", GATE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured(gate, folder: Path, seconds: float) -> dict[str, float]:
    file = folder / "test_it.py"
    file.write_text(BENCHMARK.format(seconds=seconds))
    options = ["-q", "-p", "no:cacheprovider", "--benchmark-only", f"--benchmark-json={folder / 'found.json'}"]
    # A process that is told of pytest-xdist measures nothing.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command = [sys.executable, "-m", "pytest", *options, str(file)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    return gate.medians(folder / "found.json")


def test_an_injected_slowdown_is_found_and_what_stayed_is_not(gate, tmp_path):
    before, now = measured(gate, tmp_path, 0.02), measured(gate, tmp_path, 0.2)
    table, slower = gate.compare([(before, now)] * 3)
    assert slower == ["test_sleeps"]
    assert "**slower**" in next(line for line in table.splitlines() if "test_sleeps" in line)
    assert gate.compare([(now, before)] * 3)[1] == []


def test_one_busy_round_is_no_slowdown_and_what_is_new_is_named(gate):
    rounds = [
        ({"a": 1.0}, {"a": 1.1, "b": 1.0}),
        ({"a": 1.0}, {"a": 9.0, "b": 1.0}),
        ({"a": 1.0}, {"a": 1.3, "b": 1.0}),
    ]
    table, slower = gate.compare(rounds)
    assert slower == []
    assert "| a | 1000.0 | 1300.0 | 1.30 | 1.10 |  |" in table
    assert "| b | | | | | not in both |" in table


def test_a_further_round_measures_only_what_was_slower_in_all_before_it(gate, monkeypatch, tmp_path):
    found = {"a": [(1, 2), (1, 2), (1, 1)], "b": [(1, 1)], "c": [(1, 2), (1, 1)]}
    asked: list[tuple[bool, list[str]]] = []

    def measure(tree, folder, names):
        asked.append((tree == gate.ROOT, list(names)))
        number = (len(asked) - 1) // 2
        return {name: found[name][number][tree == gate.ROOT] for name in names or found}

    monkeypatch.setattr(gate, "measure", measure)
    rounds = gate.measure_rounds(tmp_path, tmp_path, 5)
    assert asked == [
        (side, names) for names, sides in (([], (0, 1)), (["a", "c"], (1, 0)), (["a"], (0, 1))) for side in sides
    ]
    assert gate.compare(rounds)[1] == []
    assert gate.compare(rounds[:2])[1] == ["a"]
