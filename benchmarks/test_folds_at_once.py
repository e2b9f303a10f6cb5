"""Ten folds of five seeds of a linear probe cost less than three times one fold: features once, heads together.

    pytest benchmarks/test_folds_at_once.py -s

Whole processes of `fer-bench run`, each with an empty cache; two folds of one seed stand for one, since K is at least
2. Beside it, only the heads, on features that are already computed, where the work does grow; and steps of gradients,
which the engine takes fold after fold.
"""

from __future__ import annotations

import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import convex
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.state import Batches, Model
from fer_bench.networks.backbone import build
from fer_bench.registry import Registry
from fer_bench.specs import ConvexPhase, GradientPhase, Rule

IMAGES, FEATURES, CLASSES = 2100, 2048, 7
FOLDS, BATCH = 5, 32
PHASE = ConvexPhase(c=0.01, standardize=True, max_iterations=500, tolerance=1e-5)


def test_whole_runs(benchmark, tmp_path):
    def seconds(number: int, folds: int, seeds: str) -> float:
        command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", "--quiet"]
        command += ["--dataset", "synthetic", "--limit", "700", "--backbone", "xception[input_size=149]"]
        command += ["--strategy", "linear-probe", "--folds", str(folds), "--seeds", seeds]
        command += ["--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / f"cache-{number}")]
        start = time.perf_counter()
        subprocess.run([*command, "--runs-dir", str(tmp_path / f"runs-{number}")], check=True, capture_output=True)
        return time.perf_counter() - start

    seconds(0, 2, "0")  # Prepares the data.
    one = seconds(1, 2, "0")
    fifty = benchmark.pedantic(seconds, (2, 10, "0,1,2,3,4"), rounds=1)
    print(f"\nrun of one {one:.1f} s, of ten folds and five seeds {fifty:.1f} s: {fifty / one:.2f} times")
    assert fifty < 3 * one


@pytest.fixture(scope="module")
def problem():
    """Return features that half overlap between classes, labels, and 50 training parts."""
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    basis = rng.normal(size=(40, FEATURES))
    hidden = rng.normal(size=(IMAGES, 40)) + rng.normal(size=(CLASSES, 40))[labels] * 0.5
    features = np.maximum(hidden @ basis * 0.1 + rng.normal(size=(IMAGES, FEATURES)) * 0.3, 0).astype(np.float32)
    parts = [
        np.isin(np.arange(IMAGES), train)
        for seed in range(5)
        for train, _ in StratifiedKFold(10, shuffle=True, random_state=seed).split(labels, labels)
    ]
    return Outputs([features[:, None].astype(np.float16)]), labels, np.stack(parts)


def test_heads_alone(problem, benchmark):
    features, labels, parts = problem

    def seconds(train) -> float:
        start = time.perf_counter()
        convex.fit(features, labels, train, CLASSES, PHASE)
        return time.perf_counter() - start

    for train in (parts[:1], parts):
        seconds(train)
    pairs = [(seconds(parts[:1]), seconds(parts)) for _ in range(3)]
    one, fifty = np.median(pairs, axis=0)
    ratio = float(np.median([many / single for single, many in pairs]))
    print(f"\none head {one:.2f} s, fifty {fifty:.2f} s: {ratio:.1f} times (medians of 3 pairs)")
    benchmark.pedantic(convex.fit, (features, labels, parts, CLASSES, PHASE), rounds=1)
    assert ratio < 25, "fifty heads one after another would take 50 times one"


def test_steps_of_gradients(benchmark):
    """Five folds' steps from block 13 on under one vmap, beside five steps in turn: on a CPU it gains nothing."""
    net = build(Registry.load().backbone("xception[input_size=149]"), "float32", 0)
    model = Model.first(net, CLASSES)
    rules = (Rule(rate=0, stop=-2), Rule(start=-2), Rule(head=True))
    trainer = Trainer(net, GradientPhase(name="p", rules=rules, epochs=1, batch=BATCH), model.shapes)
    image = jax.ShapeDtypeStruct((BATCH, 149, 149, 3), jnp.uint8)
    shape = jax.eval_shape(lambda state, x: net.prefix(state, x, trainer.start), net.state, image).shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(FOLDS, *shape)).astype(np.float32)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (FOLDS, BATCH))]
    own, frozen = trainer.begin(model, 0), trainer.frozen(model)
    stacked = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (FOLDS, *leaf.shape)), own)

    def take(state, frozen, x, target):
        batch = Batches(x, target, jnp.float32(1e-4))
        return trainer._step(state, frozen, jnp.ones(CLASSES), batch, jnp.uint32(0), jnp.uint32(1))

    step, together = jax.jit(take), jax.jit(jax.vmap(take, in_axes=(0, None, 0, 0)))

    def seconds(run) -> float:
        start = time.perf_counter()
        jax.block_until_ready(run())
        return time.perf_counter() - start

    def in_turn():
        return [step(own, frozen, x[i], targets[i]) for i in range(FOLDS)]

    def at_once():
        return together(stacked, frozen, x, targets)

    loss_in_turn, loss_at_once = in_turn()[2][1], at_once()[1][2]
    assert np.allclose(loss_in_turn, loss_at_once, rtol=1e-4)
    ratio = float(np.median([seconds(in_turn) / seconds(at_once) for _ in range(5)]))
    print(f"\nsteps of {FOLDS} folds under one vmap are {ratio:.2f} times as fast as in turn (median of 5 pairs)")
    benchmark.pedantic(at_once, rounds=1)
    assert ratio < 1.3, "here it would be worth while to train the folds together"
