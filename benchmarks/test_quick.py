"""What users wait for, each in a second or two: the speed gate compares it with the commit before.

pytest benchmarks/test_quick.py --benchmark-only
tox run -e speed
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


@pytest.fixture(scope="module")
def problem():
    """Return 700 x 512 features that half overlap between seven classes, labels, and ten training parts."""
    from fer_bench.keeping.outputs import Outputs

    rng = np.random.default_rng(0)
    labels = np.arange(700) % 7
    features = rng.normal(size=(700, 512)) + rng.normal(size=(7, 512))[labels] * 0.1
    train = np.stack([np.arange(700) % 10 != fold for fold in range(10)])
    return Outputs([features[:, None].astype(np.float16)]), labels, train


def test_heads(problem, benchmark):
    from fer_bench.learning import convex
    from fer_bench.specs import ConvexPhase

    phase = ConvexPhase(c=0.01, standardize=True, max_iterations=500, tolerance=1e-4)
    benchmark.pedantic(convex.fit, (*problem, 7, phase), rounds=5, warmup_rounds=1)


def test_features(benchmark):
    from fer_bench.networks.backbone import build
    from fer_bench.registry import Registry

    net = build(Registry.load().backbone("xception[input_size=71,weights=random]"), "float32", 0)
    images = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), np.uint8)
    forward = jax.jit(lambda state, x: net.prefix(state, x, 5))  # every kernel, half the compiling
    run = lambda: forward(net.state, images).block_until_ready()  # noqa: E731
    benchmark.pedantic(run, rounds=10, warmup_rounds=2)


def test_leaderboard(benchmark, tmp_path):
    from synthetic_runs import write_runs

    from fer_bench.reports.leaderboard import build

    store = write_runs(tmp_path, datasets=2, methods=4, folds=5, seeds=2)
    benchmark.pedantic(lambda: build(store.cells()[0]), rounds=5, warmup_rounds=1)


def test_metrics(benchmark):
    from fer_bench.evaluation.metrics import STANDARD, evaluate

    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 7, 5000), rng.dirichlet(np.ones(7), 5000)
    benchmark.pedantic(lambda: evaluate(labels, probabilities, STANDARD.values()), rounds=100, warmup_rounds=5)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a function that runs a command on ten cells that are done, as a process of its own.

    ``FER_BENCH_SPEED_DIR`` names a folder where they are kept for the next process that measures the same code.
    """
    folder = Path(os.environ.get("FER_BENCH_SPEED_DIR") or tmp_path_factory.mktemp("done"))
    grid = ["--backbone", "mini-xception", "--dataset", "synthetic[n=70,size=48]"]
    grid += ["--strategy", "linear-probe", "--strategy", "knn"]
    grid += ["--data-dir", f"{folder / 'data'}", "--cache-dir", f"{folder / 'cache'}"]

    def start(command: str, *arguments: str) -> None:
        words = [sys.executable, "-m", "fer_bench", command, *arguments, "--runs-dir", f"{folder / 'runs'}"]
        subprocess.run(words, check=True, capture_output=True)

    start("run", *grid)
    return lambda command: start(command, *(grid if command != "leaderboard" else ()))


@pytest.mark.parametrize("command", ["run", "plan", "leaderboard"])
def test_command_that_finds_all_done(done, command, benchmark):
    benchmark.pedantic(done, (command,), rounds=1, warmup_rounds=1)
