"""mini-Xception: the paper's parameters by hand, parity with Keras, and that it learns."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fer_bench_xception import MINI_STAGES, MiniXceptionParams, fer_bench_backbones
from fer_bench_xception.mini import build
from flax import nnx
from pydantic import ValidationError

CLASSES = 7


@pytest.fixture(scope="module")
def model():
    return build(MiniXceptionParams(), rngs=nnx.Rngs(0))


def _count(module, kind) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, kind)))


def test_parameters_are_the_papers(model):
    """The stem, and per block the shortcut, two separable convolutions and three norms, written out as numbers."""
    assert _count(model.stem, nnx.Param) == 9 * 1 * 8 + 9 * 8 * 8 + 2 * (8 + 8) == 680
    blocks = {"block1": (128, 600, 96), "block2": (512, 1968, 192), "block3": (2048, 7008, 384)}
    blocks["block4"] = (8192, 9 * 64 + 64 * 128 + 9 * 128 + 128 * 128, 2 * 3 * 128)
    for name, parts in blocks.items():
        assert _count(getattr(model, name), nnx.Param) == sum(parts), name
    assert _count(model.neighbours, nnx.Param) == 0
    head = 9 * 128 * CLASSES + CLASSES  # the paper's last convolution, and our linear head
    assert _count(model, nnx.Param) + head == 56_951
    assert _count(model, nnx.BatchStat) == 1_472
    # "total params: 58,423" is what Keras prints of the authors' model; "approximately 60 000" in the paper, sec. III.
    assert 56_951 + 1_472 == 58_423


def _keras_model(size):
    """The authors' architecture in Keras; NumPy draws its weights, since Keras compiles each draw."""
    keras = pytest.importorskip("keras")
    layers = keras.layers
    norm = layers.BatchNormalization

    def convolution(width, size=3, **options):
        return layers.Conv2D(width, size, use_bias=False, kernel_initializer="zeros", **options)

    def separable(width):
        zeros = {"depthwise_initializer": "zeros", "pointwise_initializer": "zeros"}
        return layers.SeparableConv2D(width, 3, padding="same", use_bias=False, **zeros)

    x = image = keras.Input((size, size, 1))
    for _ in range(2):
        x = layers.ReLU()(norm()(convolution(8)(x)))
    for width in (16, 32, 64, 128):
        shortcut = norm()(convolution(width, 1, strides=2, padding="same")(x))
        x = layers.ReLU()(norm()(separable(width)(x)))
        x = norm()(separable(width)(x))
        x = layers.add([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])
    x = layers.Conv2D(CLASSES, 3, padding="same", kernel_initializer="zeros")(x)
    network = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(3)
    for weight in network.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
        else:
            weight.assign(rng.normal(0, np.prod(weight.shape[:-1]) ** -0.5, weight.shape))
    return network


def _assign(model, network):
    """Give our model the numbers of Keras's, convolution by convolution; return the linear head."""
    convolutions = [layer for layer in network.layers if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")]
    norms = [layer for layer in network.layers if hasattr(layer, "moving_mean")]
    ours = [model.stem.conv1, model.stem.conv2]
    for number in range(1, 5):
        block = getattr(model, f"block{number}")
        ours += [block.sepconv1, block.sepconv2, block.shortcut]
    # Keras lists layers by depth, so pairs are found by shape; both lists hold each shape once or in the same order.
    for part in ours:
        separable = hasattr(part, "depthwise")
        shape = (*part.depthwise.shape, 1) if separable else part.kernel.shape
        shape = shape if len(shape) == 4 else (1, 1, *shape)
        name = "depthwise_kernel" if separable else "kernel"
        layer = next(
            layer
            for layer in convolutions
            if hasattr(layer, name)
            and tuple(getattr(layer, name).shape) == shape
            and (not separable or layer.pointwise_kernel.shape[2:] == part.pointwise.shape)
        )
        convolutions.remove(layer)
        if separable:
            part.depthwise[...] = np.asarray(layer.depthwise_kernel)[..., 0]
            part.pointwise[...] = np.asarray(layer.pointwise_kernel)[0, 0]
        else:
            part.kernel[...] = np.asarray(layer.kernel).reshape(part.kernel.shape)
        norm = next(norm for norm in norms if norm.input is layer.output)
        part.norm.scale[...], part.norm.bias[...] = np.asarray(norm.gamma), np.asarray(norm.beta)
        part.norm.mean[...], part.norm.var[...] = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    (last,) = convolutions
    return np.asarray(last.kernel).reshape(9 * 128, CLASSES), np.asarray(last.bias)


@pytest.mark.parametrize("size", [48, 61])
def test_logits_are_those_of_the_authors_network(size, apply, picture, relative_error):
    network = _keras_model(size)
    assert network.count_params() == 58_423
    model = build(MiniXceptionParams(input_size=size), rngs=nnx.Rngs(0))
    kernel, bias = _assign(model, network)
    images = jnp.concatenate([picture(size), picture(size, 1.0)])[..., :1]
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(jax.jit(lambda images: network(images, training=False))(images))
        actual = np.asarray(apply(model, images)) @ kernel + bias
    assert np.std(expected) > 0.01
    assert relative_error(actual, expected) < 1e-5


def test_stages_in_order_are_the_model_and_the_declared_shape(model, apply, picture):
    spec = next(spec for spec in fer_bench_backbones() if spec.name == "mini-xception")
    x = picture(48)[..., : spec.image_input.channels]
    whole = apply(model, x)
    for stage in MINI_STAGES:
        x = apply(getattr(model, stage), x)
    assert x.shape == (1, spec.feature_size)
    np.testing.assert_allclose(x, whole, rtol=1e-4, atol=1e-6)


def test_params_reject_what_does_not_work():
    with pytest.raises(ValidationError, match="32"):
        MiniXceptionParams(input_size=31)
    with pytest.raises(ValidationError, match="random"):
        MiniXceptionParams(weights="imagenet")
