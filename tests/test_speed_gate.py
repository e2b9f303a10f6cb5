"""The speed gate on files that pytest-benchmark wrote: an injected slowdown is found, noise is not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).parents[1] / "benchmarks" / "speed_gate.py"
BENCHMARK = """
import time

def test_sleeps(benchmark):
    benchmark.pedantic(time.sleep, ({seconds},), rounds=3)

def test_other(benchmark):
    benchmark.pedantic(time.sleep, (0.02,), rounds=3)
"""


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
    subprocess.run([sys.executable, "-m", "pytest", *options, str(file)], check=True, capture_output=True, cwd=folder)
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
