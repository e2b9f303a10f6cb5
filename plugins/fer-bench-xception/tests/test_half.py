"""Activations in bfloat16, as accelerators have them: the operations, and programs lowered for a GPU."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fer_bench_xception import dense, half, kernels
from half_programs import everything, programs, storing

from fer_bench.networks import devices
from fer_bench.networks.backbone import build
from fer_bench.registry import Registry

HALF = jnp.dtype("bfloat16")
F32 = jnp.dtype("float32")
PAIRS = ((half, HALF), (kernels, F32))
SHAPE = (2, 5, 4, 70)
"""An odd and an even side."""


def draw(seed, *shape):
    """Return numbers that bfloat16 holds, as float32."""
    numbers = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(numbers, HALF).astype(F32)


def gradients(operation, weights, x, *others):
    """Return the value of an operation, and the gradients of a weighted sum of it, compiled."""

    def both(x, *others):
        y, pull_back = jax.vjp(operation, x, *others)
        return y, *pull_back(weights.astype(y.dtype))

    return jax.jit(both)(x, *others)


def check(ours, exact, x, *others):
    """Compare what bfloat16 images give with what the same numbers in float32 do."""
    expected = gradients(exact, weights := draw(9, *jax.eval_shape(exact, x, *others).shape), x, *others)
    actual = gradients(ours, weights, x.astype(HALF), *others)
    assert [part.dtype for part in actual] == [HALF, HALF, *[F32] * len(others)]
    for mine, theirs in zip(actual, expected, strict=True):
        scale = float(jnp.abs(theirs).max()) + 1e-6
        np.testing.assert_allclose(mine.astype(F32), theirs, rtol=2**-7, atol=scale * 2**-8)


@pytest.mark.parametrize("relu", [False, True])
def test_depthwise_of_half_images_is_that_of_float32(relu):
    ours, exact = (partial(module.depthwise, relu=relu) for module, _ in PAIRS)
    check(lambda x, k: ours(x, k), lambda x, k: exact(x, k), draw(0, *SHAPE), draw(1, 3, 3, 70))


def test_rectified_gives_its_gradient_where_the_result_is_above_zero():
    x = jnp.asarray([-1.0, -0.0, 0.0, 1e-30, 2.0, jnp.inf], HALF)
    y, pull_back = jax.vjp(half.rectified, x)
    (gradient,) = pull_back(jnp.full_like(x, 3))
    assert (y == jax.nn.relu(x)).all()
    assert gradient.tolist() == [0, 0, 0, 3, 3, 3]


def test_max_pool_of_half_images_is_that_of_float32():
    check(half.max_pool, kernels.max_pool, jnp.floor(2 * draw(0, *SHAPE)))  # of equals the first gets the gradient


def test_products_of_half_images_are_those_of_float32():
    x, kernel, factor, shift = draw(0, 2, 3, 4, 7), draw(1, 7, 6), draw(2, 6), draw(3, 6)
    ours, exact = (lambda *o, module=module, dtype=dtype: module.scaled_product(*o, dtype) for module, dtype in PAIRS)
    check(ours, exact, x, kernel, factor, shift)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_of_half_images_is_that_of_float32(stride):
    x, kernel, shift = draw(0, 2, 8, 7, 3), draw(1, 3, 3, 3, 5), draw(2, 5)
    ours, exact = (
        lambda x, kernel, shift, plus=plus, convolve=convolve, dtype=dtype: plus(
            convolve(x, kernel, stride, dtype), shift
        )
        for plus, convolve, dtype in ((half.plus, half.convolve, HALF), (kernels.plus, dense.convolve, F32))
    )
    check(ours, exact, x, kernel, shift)


@pytest.fixture
def network(monkeypatch):
    """Return a function that builds the first two stages of mini-Xception as on an accelerator."""
    monkeypatch.setattr(devices, "accelerated", lambda: True)

    def make(precision):
        built = build(Registry.load().backbone("mini-xception"), precision, 0)
        graphs = {stage: built.graphs[stage] for stage in built.stages[:2]}
        return replace(built, stages=built.stages[:2], graphs=graphs, feature_size=16)

    return make


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_programs_for_a_gpu_store_no_float32_image(network, batch_norm):
    for name, text in programs(network("bfloat16"), everything(batch_norm), 48).items():
        assert not storing(text), name
    assert {"convolution", "dot_general"} <= storing(programs(network("float32"), everything(batch_norm), 48)["steps"])


def test_features_of_half_activations_are_those_of_float32(network, relative_error):
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
    made = [
        jax.jit(partial(backbone.prefix, stop=2))(backbone.state, images)
        for backbone in (network("float32"), network("bfloat16"))
    ]
    assert [part.dtype for part in made] == [F32, F32]
    assert 1e-4 < relative_error(made[1], made[0]) < 2e-2
