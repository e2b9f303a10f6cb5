"""The side-by-side runner: its statistics by hand, and every program on a few drawn faces."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    spec = importlib.util.spec_from_file_location("peers_table", PEERS / "table.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def work(monkeypatch):
    spec = importlib.util.spec_from_file_location("peers_work", PEERS / "work.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def rounds_of(table, seconds, predictions=None):
    """Return rounds from program -> its seconds in each round."""
    count = len(next(iter(seconds.values())))
    return [
        {name: table.Run(name, values[i], False, (predictions or {}).get(name)) for name, values in seconds.items()}
        for i in range(count)
    ]


def test_the_ratio_is_the_median_of_ratios_within_rounds(table):
    # The second round ran on a busy machine: all of it is ten times slower, and the ratio is not.
    rounds = rounds_of(table, {"ours": [1.0, 10.0, 2.0], "peer": [4.0, 40.0, 4.0]})
    assert table.median_ratio(rounds, "peer", "ours") == 4.0


def test_the_table_holds_medians_ratios_and_accuracies(table):
    labels = np.arange(400) % 4
    half = np.where(np.arange(400) < 200, labels, (labels + 1) % 4)
    seconds = {"ours": [1.0, 3.0, 2.0], "peer": [20.0, 30.0, 50.0]}
    rounds = rounds_of(table, seconds, {"ours": labels, "peer": half})
    head, _, ours, peer = table.to_markdown("probe", rounds, ["ours"], labels, None).splitlines()
    assert head.split(" | ")[0] == "| probe"
    assert ours == "| ours | 2.0 | 1.00 | 100.0 | 100.0 to 100.0 | - |"
    cells = [cell.strip() for cell in peer.split("|")[1:-1]]
    assert cells[:4] == ["peer", "30.0", "20.00", "50.0"]
    low, high = map(float, cells[4].split(" to "))
    # The normal interval of 200 hits in 400 is 50 +- 4.9 points.
    assert low == pytest.approx(45.1, abs=0.6)
    assert high == pytest.approx(54.9, abs=0.6)
    assert re.fullmatch(r"-50\.0 \(-5[45]\.\d to -4[56]\.\d\)", cells[5])


def test_scaled_seconds_are_marked_and_have_no_accuracy(table):
    rounds = [{"ours": table.Run("ours", 1.0, False, None), "peer": table.Run("peer", 9.0, True, None)}]
    assert table.to_markdown("x", rounds, ["ours"], np.arange(4), None).splitlines()[3] == (
        "| peer | ~9.0 | 9.00 | - | - | - |"
    )


@pytest.mark.parametrize(("sample", "whole"), [(False, 7.0), (True, 7.0 * 3 * 5)])
def test_the_clock_scales_a_sample_to_all_epochs_and_folds(work, monkeypatch, sample, whole):
    now = iter([100.0, 107.0])
    monkeypatch.setattr(work.time, "perf_counter", lambda: next(now))
    clock = work.Clock(sample, folds=5)
    clock.time(lambda: None, epochs=3)
    assert (clock.measured, clock.whole) == (7.0, whole)


def run(*arguments):
    return subprocess.run([sys.executable, PEERS / "run.py", *arguments], capture_output=True, text=True, timeout=500)


def test_a_peer_that_does_not_exist_is_named():
    done = run("--peers", "caffe")
    assert done.returncode == 2
    assert "no such peers: ['caffe']" in done.stderr


@pytest.mark.slow
def test_the_runner_prints_fer_bench_alone_where_no_peer_is_installed():
    done = run("--limit", "21", "--size", "71", "--folds", "2", "--peers", "")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ")[0] for line in done.stdout.splitlines()]
    assert rows[2:4] == ["| fer-bench, empty cache", "| fer-bench, again"]
    cold, warm = (line.split(" | ")[-3] for line in done.stdout.splitlines()[2:4])
    assert cold == warm, "both runs predict the same"
    assert 0 <= float(cold) <= 100


@pytest.mark.slow
def test_pytorchs_xception_computes_the_features_of_ours(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is a peer, not a dependency: 'tox run -e peers' has it")
    monkeypatch.syspath_prepend(str(PEERS))
    import jax.numpy as jnp
    from fer_bench_xception import XceptionParams
    from fer_bench_xception.model import build
    from flax import nnx
    from torch_xception import load

    images = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    ours = build(XceptionParams(input_size=96), rngs=nnx.Rngs(0))(jnp.asarray(images)).mean((1, 2))
    theirs = load(resources.files("fer_bench_xception") / "weights" / "imagenet.safetensors")
    with torch.no_grad():
        features = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(features, ours, rtol=1e-3, atol=1e-4)
