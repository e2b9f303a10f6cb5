"""What ``fer-bench plan`` says that a run takes, beside what it takes: within a factor of 1.5, probed and measured.

pytest benchmarks/test_plan.py --benchmark-only
"""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from fer_bench.cli import app

GRID = ["--dataset", "synthetic[n=350]", "--backbone", "xception[input_size=71]", "--folds", "3"]
METHODS = ["--strategy", "linear-probe", "--strategy", "finetune[epochs=3]", "--strategy", "knn"]
FACTOR = 1.5


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    root = tmp_path_factory.mktemp("plan")
    return [part for name in ("data", "cache", "runs") for part in (f"--{name}-dir", str(root / name))]


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("seeds", ["0", "0,1"], ids=["probed", "measured"])
def test_plan(benchmark, folders, seeds):
    grid = [*GRID, *METHODS, "--seeds", seeds, *folders]
    rows = json.loads(invoke("plan", *grid, "--json"))["rows"]
    assert [row["done"] for row in rows] == [0 if seeds == "0" else 3] * 3
    benchmark.pedantic(lambda: invoke("run", *grid), rounds=1)
    said, took = sum(row["seconds"] for row in rows), benchmark.stats.stats.total
    print(f"\nplan said {said:.1f} s, the run took {took:.1f} s: {said / took:.2f}")
    assert 1 / FACTOR < said / took < FACTOR
