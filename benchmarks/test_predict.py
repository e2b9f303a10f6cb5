"""Small pictures a second through ``predict``, once the model is loaded: a linear probe on Xception at 71 pixels.

pytest benchmarks/test_predict.py --benchmark-only -s

Beside it stands the most that this machine could do: the floating-point operations of an image at the rate of a large
matrix product in the same precision. Both are measured in turn, since other processes slow them alike.
"""

from __future__ import annotations

import statistics
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
from fer_bench.networks.meter import forward_flops
from fer_bench.registry import Registry

PICTURES = 512
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


def test_predict(model, named, benchmark):
    multiply, precision = (
        product(model.record.experiment.backbone.precision),
        model.record.experiment.backbone.precision,
    )
    seconds = []

    def predict():
        assert not [answer.error for answer in pictures.predict(model, named, None) if answer.error]
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)

    benchmark.pedantic(predict, rounds=7, warmup_rounds=1)
    reached = PICTURES / benchmark.stats.stats.median
    operations = forward_flops(model.backbone, (SIDE, SIDE, 3))
    rate = 2 * SIZE**3 / statistics.median(seconds[1:])
    print(
        f"\n{reached:,.0f} pictures a second ({precision}); {operations / 1e9:.2f} billion operations each, of which a "
        f"matrix product takes {rate / 1e9:,.0f} billion a second: {rate / operations:,.0f} pictures at most"
    )
    assert reached > 0.2 * rate / operations, "predicting leaves most of the machine unused"
