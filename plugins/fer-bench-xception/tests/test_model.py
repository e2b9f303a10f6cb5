"""The model: parity with Keras, the shipped weights, stages, modes and precision."""

import json
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fer_bench_xception import STAGES, XceptionParams, checkpoint, fer_bench_backbones
from fer_bench_xception.model import Xception, build
from flax import nnx
from pydantic import ValidationError

DATA = Path(__file__).parent / "data"
GOLDEN = json.loads((DATA / "golden_features.json").read_text("utf-8"))
drawn_faces = runpy.run_path(str(DATA / "make_golden.py"))["drawn_faces"]


@pytest.fixture(scope="module")
def shipped():
    return build(XceptionParams(), rngs=nnx.Rngs(0), compute_dtype=jnp.float32)


# The size of the image, and that of what each of the four pools takes, is odd at the first and even at the second.
@pytest.mark.slow
@pytest.mark.parametrize("size", [71, 102])
def test_features_are_keras_features(size, keras_model, keras_files, apply, picture, relative_error):
    model = nnx.eval_shape(lambda: Xception(rngs=nnx.Rngs(0)))
    model.eval()
    checkpoint.assign(model, checkpoint.read(keras_files["weights"]))
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(keras_model(picture(size), training=False))
        actual = apply(model, picture(size))
    assert actual.shape == expected.shape
    assert actual.dtype == jnp.float32
    assert np.std(expected) > 0.01
    assert relative_error(actual, expected) < 1e-5


@pytest.mark.slow
def test_float16_kernels_change_little(shipped, apply, relative_error):
    """The golden features are those of the float32 weights that the shipped ones were rounded from.

    Measured on faces, drawn and real: 1.1e-3 on average, 1.8e-3 at most.
    """
    features = np.asarray(apply(shipped, drawn_faces()).mean((1, 2)))
    assert features.shape == (4, 2048)
    for row, expected in zip(features, GOLDEN["features"], strict=True):
        assert np.std(expected) > 0.1
        assert relative_error(row, np.array(expected)) < 2e-3


@pytest.mark.slow
def test_bfloat16_products_change_features_by_a_few_percent(shipped, apply, picture, relative_error):
    """Measured: 2.9e-2 before pooling, 2.5e-2 after; the bound leaves room for other CPUs' order of summation."""
    fast = build(XceptionParams(), rngs=nnx.Rngs(0), compute_dtype=jnp.bfloat16)
    exact, rounded = apply(shipped, picture(71)), apply(fast, picture(71))
    assert rounded.dtype == jnp.float32
    assert 0 < relative_error(rounded, exact) < 4e-2


def test_stages_in_order_are_the_model(shipped, apply, picture):
    x = picture(71)
    for stage in STAGES:
        x = apply(getattr(shipped, stage), x)
    assert x.shape == (1, 3, 3, 2048)
    np.testing.assert_allclose(x, apply(shipped, picture(71)), rtol=1e-4, atol=1e-5)


def test_build_returns_eval_mode_and_the_shipped_weights(shipped):
    norms = [m for _, m in nnx.iter_graph(shipped) if isinstance(m, nnx.BatchNorm)]
    assert len(norms) == 40
    assert all(norm.use_running_average for norm in norms)
    parameters = nnx.state(shipped, nnx.Param)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(parameters))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(shipped))) == 20_861_480


def test_random_weights_come_from_the_seed():
    @jax.jit  # which draws what is returned alone
    def draw(key):
        model = build(XceptionParams(weights="random"), rngs=nnx.Rngs(key), compute_dtype=jnp.float32)
        return model.block1.conv1.kernel[...], model.block14.sepconv2.pointwise[...]

    drawn = (draw(jax.random.key(seed)) for seed in (1, 1, 2))
    for one, same, other in zip(*drawn, strict=True):
        assert jnp.array_equal(one, same)
        assert not jnp.array_equal(one, other)


@pytest.mark.slow
def test_training_moves_statistics_and_has_finite_gradients_in_half_precision(picture):
    # Of the last block only, which takes a third of the time; that gradients reach every parameter is a rule of the
    # conformance tests.
    model = build(XceptionParams(), rngs=nnx.Rngs(0), compute_dtype=jnp.dtype("bfloat16"))
    model.train()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    x = jnp.concatenate([picture(71), picture(71, 1.0)])

    @jax.jit
    def step(block14, params, rest):
        def loss(block14):
            merged = nnx.merge(graph, {**params, "block14": block14}, rest)
            value = jnp.mean(merged(x) ** 2)
            return value, nnx.to_pure_dict(nnx.split(merged, nnx.Param, ...)[2])

        return jax.grad(loss, has_aux=True)(block14)

    gradients, updated = step(params["block14"], params, rest)
    leaves = jax.tree.leaves(gradients)
    assert len(leaves) == 2 * (2 + 2)
    assert all(bool(jnp.isfinite(leaf).all()) and float(jnp.abs(leaf).max()) > 0 for leaf in leaves)
    for block in ("block1", "block14"):
        before, after = (jax.tree.leaves(state[block]) for state in (rest, updated))
        assert not all(jnp.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_params_reject_what_does_not_work():
    assert XceptionParams().input_size == 299
    with pytest.raises(ValidationError, match="71"):
        XceptionParams(input_size=70)
    with pytest.raises(ValidationError, match="imagenet"):
        XceptionParams(weights="imagnet")


def test_the_spec_fits_the_model(shipped):
    spec = next(spec for spec in fer_bench_backbones() if spec.name == "xception")
    assert all(isinstance(getattr(shipped, stage), nnx.Module) for stage in spec.stages)
    assert set(nnx.to_pure_dict(nnx.state(shipped))) == set(spec.stages)
    assert spec.weights[0].name == XceptionParams().weights
