"""What is kept of an image does not depend on its place in a batch or on its neighbours: the same bits on a CPU."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fer_bench.networks.backbone import build
from fer_bench.networks.forward import Forward, Output
from fer_bench.registry import Registry


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices round by the size of a batch")
@pytest.mark.parametrize(
    ("backbone", "stop", "precision"),
    [
        ("mini-xception", 6, "float32"),
        pytest.param("xception[input_size=71]", 14, "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_a_row_has_the_same_bits_in_every_place_of_a_batch(backbone, stop, precision):
    net = build(Registry.load().backbone(backbone), precision, 0)
    forward = Forward(net, [Output(at, 2, np.dtype(np.float32)) for at in (stop // 2, stop)])
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (forward.batch, 48, 48, 1), np.uint8)
    usual = [values for values, _, _ in forward(images)]
    for order in (rng.permutation(forward.batch), np.repeat([5, 17], [1, forward.batch - 1])):
        for values, (moved, _, _) in zip(usual, forward(images[order]), strict=True):
            np.testing.assert_array_equal(moved, values[order])
