"""Small pictures a second through ``predict``, once the model is loaded: a linear probe on Xception at 71 pixels.

pytest benchmarks/test_predict.py --benchmark-only -s

Beside it stand two rates, measured in turn, since other processes slow all alike: that of the network on batches of
bytes that are ready, and the most that this machine could do, the floating-point operations of an image at the rate of
a large matrix product in the same precision.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fer_bench.config import RunConfig
from fer_bench.executors.fit import fit_model
from fer_bench.executors.progress import TerminalReporter
from fer_bench.models import pictures
from fer_bench.models.model import load_model
from fer_bench.networks.forward import BATCH, Forward, Output
from fer_bench.networks.meter import forward_flops
from fer_bench.registry import Registry

PICTURES = 256
ROUNDS = 5
SIDE = 48
SIZE = 2048
"""Of the matrices whose product shows the machine's rate."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a linear probe on Xception at 71 pixels, trained on pictures of 48."""
    folder = tmp_path_factory.mktemp("predict")
    config = RunConfig(
        datasets=(f"synthetic[n=28,size={SIDE}]",), backbones=("xception[input_size=71]",), folds=2, runs_dir=folder
    )
    fit_model(config, Registry.load(), TerminalReporter(quiet=True), folder / "model.safetensors")
    return load_model(folder / "model.safetensors")


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """Return the pictures as files, as `pictures.find_pictures` names them."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(PICTURES):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{number}.png")
    return pictures.find_pictures([str(folder)], bytes)


def product(precision):
    """Return a call that multiplies two large matrices, with float32 sums."""
    x = jnp.ones((SIZE, SIZE), precision)
    multiply = jax.jit(lambda x: jax.lax.dot(x, x, preferred_element_type=jnp.float32))
    return lambda: multiply(x).block_until_ready()


def bare(model):
    """Return a call that puts as many images as there are pictures through the network, ready batches of bytes."""
    forward = Forward(model.backbone, [Output(len(model.backbone.stages), 1, np.dtype(np.float32))])
    batch = np.random.default_rng(1).integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)

    def passes():
        for _ in range(PICTURES // BATCH):
            forward(batch)

    return passes


def timed(call):
    """Return the seconds that a call takes, by the clock and of processors."""
    wall, processors = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processors


def test_predict(model, named, benchmark):
    precision = model.record.experiment.backbone.precision
    network, multiply = bare(model), product(precision)
    seconds = []

    def predict():
        assert not [answer.error for answer in pictures.predict(model, named, None) if answer.error]

    def in_turn():
        seconds.append((timed(predict), timed(network), timed(multiply)))

    benchmark.pedantic(in_turn, rounds=ROUNDS, warmup_rounds=1)
    rounds = np.array(seconds[1:])  # (rounds, 3, 2)
    whole, passes, products = np.median(rounds[:, :, 0], axis=0)
    shares = np.median(rounds[:, 1] / rounds[:, 0], axis=0)
    operations, rate = forward_flops(model.backbone, (SIDE, SIDE, 3)), 2 * SIZE**3 / products
    assert operations, "XLA counts those of a CPU program"
    print(
        f"\n{PICTURES / whole:,.0f} pictures a second ({precision}); {PICTURES / passes:,.0f} images a second through "
        f"the network, which is {100 * shares[0]:.1f} % of the time and {100 * shares[1]:.1f} % of the processor time. "
        f"{operations / 1e9:.2f} billion operations each, of which a matrix product takes {rate / 1e9:,.0f} billion a "
        f"second: {rate / operations:,.0f} pictures at most"
    )
    assert shares[1] > 0.95, "reading pictures and writing answers takes time beside the network"
    assert PICTURES / whole > 0.2 * rate / operations, "predicting leaves most of the machine unused"
