"""Xception in Flax NNX, with the semantics of ``keras.applications.Xception``.

F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017, arXiv:1610.02357, Fig. 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from fer_bench_xception import dense, half, kernels

if TYPE_CHECKING:
    from fer_bench_xception import XceptionParams

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.99

_kernel_init = nnx.initializers.glorot_uniform()


def _batch_norm(features: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(features, momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, rngs=rngs)


def _factor_and_shift(norm: nnx.BatchNorm) -> tuple[Array, Array]:
    """Return what a norm with stored statistics does to each channel."""
    assert norm.scale is not None
    assert norm.bias is not None
    factor = norm.scale[...] * jax.lax.rsqrt(norm.var[...] + norm.epsilon)
    return factor, norm.bias[...] - norm.mean[...] * factor


def _operations(activations: DTypeLike) -> Any:
    """Return the module with the operations for activations of a type, which is that of what a stage is given."""
    return half if activations == jnp.bfloat16 else kernels


def _normalised_product(
    x: Array, kernel: Array, norm: nnx.BatchNorm, dtype: DTypeLike, activations: DTypeLike
) -> Array:
    """Return what a 1x1 convolution and its norm make of (..., c): (..., d) of the type of the activations."""
    operations = _operations(activations)
    if norm.use_running_average:
        return operations.scaled_product(x, kernel, *_factor_and_shift(norm), dtype)
    return norm(operations.product(x, kernel, dtype)).astype(activations)


class Convolution(nnx.Module):
    """A dense 3x3 convolution without padding, BatchNorm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.kernel = nnx.Param(_kernel_init(rngs.params(), (3, 3, inputs, outputs), jnp.float32))
        self.norm = _batch_norm(outputs, rngs)
        self.stride = stride
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, h2, w2, outputs) of the type of ``x``."""
        convolve = half.convolve if x.dtype == jnp.bfloat16 else dense.convolve
        rectified = _operations(x.dtype).rectified
        if not self.norm.use_running_average:
            y = convolve(x, self.kernel[...], self.stride, self.compute_dtype)
            return rectified(self.norm(y).astype(x.dtype))
        factor, shift = _factor_and_shift(self.norm)  # the kernel takes the factor, as in `scaled_product`
        y: Array = convolve(x, self.kernel[...] * factor, self.stride, self.compute_dtype)
        return rectified(_operations(x.dtype).plus(y, shift))


class SeparableConvolution(nnx.Module):
    """A depthwise 3x3 convolution, a 1x1 convolution and BatchNorm: section 3 of the paper."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.depthwise = nnx.Param(_depthwise_init(rngs.params(), (3, 3, inputs), jnp.float32))
        self.pointwise = nnx.Param(_kernel_init(rngs.params(), (inputs, outputs), jnp.float32))
        self.norm = _batch_norm(outputs, rngs)
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array, *, relu: bool) -> Array:
        """Map (b, h, w, inputs), or max(it, 0), to (b, h, w, outputs) of the type of ``x``."""
        y = _operations(x.dtype).depthwise(x, self.depthwise[...], relu)
        return _normalised_product(y, self.pointwise[...], self.norm, self.compute_dtype, x.dtype)


class Shortcut(nnx.Module):
    """The residual connection around a block that halves the image: a 1x1 convolution at stride 2, BatchNorm."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.kernel = nnx.Param(_kernel_init(rngs.params(), (inputs, outputs), jnp.float32))
        self.norm = _batch_norm(outputs, rngs)
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, ceil(h/2), ceil(w/2), outputs) of the type of ``x``."""
        seen = _operations(x.dtype).every_second(x)
        return _normalised_product(seen, self.kernel[...], self.norm, self.compute_dtype, x.dtype)


class Stem(nnx.Module):
    """Block 1: two dense 3x3 convolutions."""

    def __init__(self, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.conv1 = Convolution(3, 32, 2, rngs=rngs, compute_dtype=compute_dtype)
        self.conv2 = Convolution(32, 64, 1, rngs=rngs, compute_dtype=compute_dtype)

    def __call__(self, x: Array) -> Array:
        """Map (b, s, s, 3) in [-1, 1] to (b, h, w, 64) of the type of ``x``."""
        return self.conv2(self.conv1(x))


class DownBlock(nnx.Module):
    """Blocks 2, 3, 4 and 13: two separable convolutions and a max-pool, beside a shortcut.

    Attributes:
        relu_first: whether a ReLU comes before the first convolution; block 2 follows one and has none.
    """

    def __init__(
        self, inputs: int, middle: int, outputs: int, *, relu_first: bool, rngs: nnx.Rngs, compute_dtype: DTypeLike
    ) -> None:
        self.sepconv1 = SeparableConvolution(inputs, middle, rngs=rngs, compute_dtype=compute_dtype)
        self.sepconv2 = SeparableConvolution(middle, outputs, rngs=rngs, compute_dtype=compute_dtype)
        self.shortcut = Shortcut(inputs, outputs, rngs=rngs, compute_dtype=compute_dtype)
        self.relu_first = relu_first

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, ceil(h/2), ceil(w/2), outputs) of the type of ``x``."""
        y = self.sepconv2(self.sepconv1(x, relu=self.relu_first), relu=True)
        return _operations(x.dtype).max_pool(y) + self.shortcut(x)


class MiddleBlock(nnx.Module):
    """Blocks 5 to 12: three separable convolutions, each after a ReLU, around an identity."""

    def __init__(self, features: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.sepconv1 = SeparableConvolution(features, features, rngs=rngs, compute_dtype=compute_dtype)
        self.sepconv2 = SeparableConvolution(features, features, rngs=rngs, compute_dtype=compute_dtype)
        self.sepconv3 = SeparableConvolution(features, features, rngs=rngs, compute_dtype=compute_dtype)

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, features) to the same shape and type."""
        y = self.sepconv2(self.sepconv1(x, relu=True), relu=True)
        return x + self.sepconv3(y, relu=True)


class ExitBlock(nnx.Module):
    """Block 14: two separable convolutions, each followed by a ReLU."""

    def __init__(self, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.sepconv1 = SeparableConvolution(1024, 1536, rngs=rngs, compute_dtype=compute_dtype)
        self.sepconv2 = SeparableConvolution(1536, 2048, rngs=rngs, compute_dtype=compute_dtype)

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, 1024) to (b, h, w, 2048) of the type of ``x``."""
        return _operations(x.dtype).rectified(self.sepconv2(self.sepconv1(x, relu=False), relu=True))


class Xception(nnx.Module):
    """Xception without its classifier: stages ``block1`` to ``block14``, from (b, s, s, 3) to (b, h, w, 2048).

    Parameters are float32; ``compute_dtype`` is the type of the operands of its dense products, whose sums are float32.
    A stage returns the type that it is given, float32 or bfloat16.
    """

    def __init__(self, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> None:
        dtype = jnp.dtype(compute_dtype)
        self.block1 = Stem(rngs=rngs, compute_dtype=dtype)
        self.block2 = DownBlock(64, 128, 128, relu_first=False, rngs=rngs, compute_dtype=dtype)
        self.block3 = DownBlock(128, 256, 256, relu_first=True, rngs=rngs, compute_dtype=dtype)
        self.block4 = DownBlock(256, 728, 728, relu_first=True, rngs=rngs, compute_dtype=dtype)
        for number in range(5, 13):
            setattr(self, f"block{number}", MiddleBlock(728, rngs=rngs, compute_dtype=dtype))
        self.block13 = DownBlock(728, 728, 1024, relu_first=True, rngs=rngs, compute_dtype=dtype)
        self.block14 = ExitBlock(rngs=rngs, compute_dtype=dtype)

    def __call__(self, x: Array) -> Array:
        """Apply all stages to (b, s, s, 3) in [-1, 1]; return (b, h, w, 2048) of the same type."""
        for number in range(1, 15):
            x = getattr(self, f"block{number}")(x)
        return x


def _depthwise_init(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # A depthwise output sees nine inputs, not nine times c: the fans of a (3, 3, 1, c) kernel would be wrong.
    limit = (6.0 / (9 + 9)) ** 0.5
    return jax.random.uniform(key, shape, jnp.dtype(dtype), -limit, limit)


def build(params: XceptionParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> Xception:
    """Return Xception in eval mode, with the weights that ``params`` names.

    Args:
        params: ``weights="imagenet"`` loads the weights that the package ships, ``"random"`` draws them from ``rngs``.
        rngs: random streams; all parameters are drawn from ``params``.
        compute_dtype: ``float32`` or ``bfloat16``; see :class:`Xception`.

    Raises:
        FerBenchError: the shipped weights are missing or damaged.
    """
    if params.weights == "random":
        model = Xception(rngs=rngs, compute_dtype=compute_dtype)
    else:
        from fer_bench_xception.checkpoint import load_shipped

        # Only shapes: drawing numbers that the file replaces would take seconds.
        model = nnx.eval_shape(lambda rngs: Xception(rngs=rngs, compute_dtype=compute_dtype), rngs)
        load_shipped(model, params.weights)
    model.eval()
    return model
