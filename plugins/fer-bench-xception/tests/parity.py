"""Features beside those of the Xception in PyTorch that our speed is compared with: ``tox run -e parity``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import torch
from fer_bench_xception import XceptionParams
from fer_bench_xception.model import build
from flax import nnx
from parity_table import apart, differences  # noqa: F401 (a fixture)

PEERS = Path(__file__).parents[3] / "benchmarks" / "peers"


def test_pytorchs_xception_computes_the_features_of_ours(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    from torch_xception import load

    images = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    ours = build(XceptionParams(input_size=96), rngs=nnx.Rngs(0))(jnp.asarray(images)).mean((1, 2))
    theirs = load(resources.files("fer_bench_xception") / "weights" / "imagenet.safetensors")
    with torch.no_grad():
        features = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert apart("Xception", np.asarray(ours), features) < 1e-4
