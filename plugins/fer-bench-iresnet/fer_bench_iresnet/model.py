"""IResNets in Flax NNX: InsightFace's and AdaFace's are one module with two switches.

J. Deng, J. Guo, N. Xue, S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
arXiv:1801.07698, section 3.2.2: residual blocks of BN-Conv-BN-PReLU-Conv-BN on 112 x 112 pixels, whose last image of
7 x 7 cells a matrix maps to an embedding. M. Kim, A. Jain, X. Liu, "AdaFace: Quality Adaptive Margin for Face
Recognition", CVPR 2022, arXiv:2204.00964, trains the same blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax
from jax.typing import DTypeLike

from fer_bench_iresnet.architectures import ARCHITECTURES, Architecture

if TYPE_CHECKING:
    from fer_bench_iresnet import IResNetParams

EPSILON = 1e-5
MOMENTUM = 0.9
SLOPE = 0.25
"""Of negative values, before training (He et al., arXiv:1502.01852, section 2.1)."""

_draw = nnx.initializers.he_normal()


def _convolution(x: Array, kernel: Array, stride: int, result: DTypeLike) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.dtype(result),
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> Array:
    """Convolve with a 3x3 kernel, with a pixel of zeros around the image.

    Args:
        x: (b, h, w, c).
        kernel: (3, 3, c, d) float32.
        stride: 1 or 2.
        dtype: type of the operands; sums are float32. The operands of the two gradients have it too.

    Returns:
        (b, ceil(h/stride), ceil(w/stride), d) of the type of ``x``.
    """
    return _convolution(x.astype(dtype), kernel.astype(dtype), stride, x.dtype)


def _forward(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, stride, dtype), (x, kernel)


def _backward(stride: int, dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    # XLA transposes only convolutions whose result has the type of their operands.
    operands = tuple(array.astype(dtype) for array in saved)
    _, pull_back = jax.vjp(partial(_convolution, stride=stride, result=dtype), *operands)
    to_x, to_kernel = pull_back(gradient.astype(dtype))
    return to_x.astype(saved[0].dtype), to_kernel.astype(jnp.float32)


convolve.defvjp(_forward, _backward)


def product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """Multiply the last axis of (..., c) by a matrix (c, d); return (..., d) of the type of ``x``."""
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x.astype(dtype), kernel.astype(dtype), axes, preferred_element_type=x.dtype)


def every(x: Array, stride: int) -> Array:
    """Return every ``stride``-th pixel of (b, h, w, c) along both axes.

    Elsewhere than on a CPU they lie in memory: XLA's compiler for GPUs joins them with the product that takes them, and
    may find no way to compile that, or end the process (jaxlib 0.10.2 and 0.11.2).
    """

    def cut(x: Array) -> Array:
        return x[:, ::stride, ::stride]

    return lax.platform_dependent(x, cpu=cut, default=lambda x: lax.optimization_barrier(cut(x)))


def norm_of(channels: int, rngs: nnx.Rngs, *, affine: bool = True) -> nnx.BatchNorm:
    """Return batch normalisation, which returns float32."""
    return nnx.BatchNorm(
        channels, momentum=MOMENTUM, epsilon=EPSILON, use_bias=affine, use_scale=affine, rngs=rngs, dtype=jnp.float32
    )


def _normalised(convolution: Callable[[Array], Array], kernel: Array, norm: nnx.BatchNorm) -> Array:
    """Return what a convolution and its norm make, of the type of what the convolution makes.

    The kernel takes the factor of a norm that is fixed, so that no image is read or written for it.
    """
    if not norm.use_running_average:
        y = convolution(kernel)
        return norm(y).astype(y.dtype)
    assert norm.scale is not None
    assert norm.bias is not None
    factor = norm.scale[...] * lax.rsqrt(norm.var[...] + norm.epsilon)
    y = convolution(kernel * factor)
    return (y + (norm.bias[...] - norm.mean[...] * factor)).astype(y.dtype)


class PRelu(nnx.Module):
    """A rectifier with a slope for negative values, one for each channel."""

    def __init__(self, channels: int) -> None:
        self.slope = nnx.Param(jnp.full(channels, SLOPE))

    def __call__(self, x: Array) -> Array:
        """Map (..., channels) to the same shape and type."""
        return jnp.where(x > 0, x, self.slope[...] * x).astype(x.dtype)


class Convolution(nnx.Module):
    """A 3x3 convolution without bias, and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.kernel = nnx.Param(_draw(rngs.params(), (3, 3, inputs, outputs), jnp.float32))
        self.norm = norm_of(outputs, rngs)
        self.stride = stride
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, ceil(h/stride), ceil(w/stride), outputs) of the same type."""
        apply = partial(convolve, x, stride=self.stride, dtype=self.compute_dtype)
        return _normalised(apply, self.kernel[...], self.norm)


class Shortcut(nnx.Module):
    """The way around a block that changes width or size: every second pixel, a matrix and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        self.kernel = nnx.Param(_draw(rngs.params(), (inputs, outputs), jnp.float32))
        self.norm = norm_of(outputs, rngs)
        self.stride = stride
        self.compute_dtype = compute_dtype

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, ceil(h/stride), ceil(w/stride), outputs) of the same type."""
        apply = partial(product, every(x, self.stride), dtype=self.compute_dtype)
        return _normalised(apply, self.kernel[...], self.norm)


class Stem(nnx.Module):
    """The first stage: a convolution at full size."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        width = architecture.widths[0]
        self.conv = Convolution(3, width, 1, rngs=rngs, compute_dtype=compute_dtype)
        self.prelu = PRelu(width)

    def __call__(self, x: Array) -> Array:
        """Map (b, s, s, 3) RGB in -1 to 1 to (b, s, s, width) of the same type."""
        return self.prelu(self.conv(x))


class Block(nnx.Module):
    """Two convolutions, of which the second may halve the image, around an identity or a shortcut."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        convolved: bool,
        depth: int,
        rngs: nnx.Rngs,
        compute_dtype: DTypeLike,
    ) -> None:
        self.norm = norm_of(inputs, rngs)
        self.conv1 = Convolution(inputs, outputs, 1, rngs=rngs, compute_dtype=compute_dtype)
        self.prelu = PRelu(outputs)
        self.conv2 = Convolution(outputs, outputs, stride, rngs=rngs, compute_dtype=compute_dtype)
        # Until norms have statistics of their own, every block adds as much as it gets: 2^49 in the deepest network.
        self.conv2.norm.scale = nnx.Param(jnp.full(outputs, depth**-0.5))
        if inputs != outputs or convolved:
            self.shortcut = Shortcut(inputs, outputs, stride, rngs=rngs, compute_dtype=compute_dtype)
        self.stride = stride

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, inputs) to (b, ceil(h/stride), ceil(w/stride), outputs) of the same type."""
        y = self.conv2(self.prelu(self.conv1(self.norm(x).astype(x.dtype))))
        return y + (self.shortcut(x) if hasattr(self, "shortcut") else x[:, :: self.stride, :: self.stride])


class Pool(nnx.Module):
    """The last stage: a norm, and the features: the embedding, or the mean of the last image over space."""

    def __init__(self, architecture: Architecture, features: str, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> None:
        a = architecture
        width, cells = a.widths[-1], a.side_of(a.input_size) ** 2
        self.norm = norm_of(width, rngs)
        self.compute_dtype = compute_dtype
        if features == "embedding":
            self.kernel = nnx.Param(_draw(rngs.params(), (cells * width, width), jnp.float32))
            self.bias = nnx.Param(jnp.zeros(width))
            self.embedding_norm = norm_of(width, rngs, affine=a.affine)

    def __call__(self, x: Array) -> Array:
        """Map (b, h, w, width) to (b, width), float32."""
        x = self.norm(x)
        if not hasattr(self, "kernel"):
            return x.mean((1, 2))
        x = product(x.reshape(len(x), -1), self.kernel[...], self.compute_dtype) + self.bias[...]
        return self.embedding_norm(x)


class IResNet(nnx.Module):
    """The stages ``stem``, ``layer1_0`` and so on, and ``pool``: from (b, s, s, 3) in -1 to 1 to features.

    Parameters are float32; ``compute_dtype`` is the type of the operands of products, whose sums are float32. A stage
    returns the type that it is given, float32 or bfloat16; the last one float32.
    """

    def __init__(
        self,
        architecture: Architecture,
        features: str,
        *,
        rngs: nnx.Rngs,
        compute_dtype: DTypeLike = jnp.float32,
    ) -> None:
        a, dtype = architecture, jnp.dtype(compute_dtype)
        self.stages = a.stages
        self.stem = Stem(a, rngs=rngs, compute_dtype=dtype)
        for name, (inputs, outputs, stride) in a.blocks.items():
            convolved = a.convolved and stride > 1
            block = Block(
                inputs, outputs, stride, convolved=convolved, depth=len(a.blocks), rngs=rngs, compute_dtype=dtype
            )
            setattr(self, name, block)
        self.pool = Pool(a, features, rngs=rngs, compute_dtype=dtype)

    def __call__(self, x: Array) -> Array:
        """Apply all stages to (b, s, s, 3) RGB in -1 to 1; return (b, 512) float32."""
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return x


def build(params: IResNetParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> IResNet:
    """Return an IResNet in eval mode, with the weights that ``params`` names.

    Args:
        params: ``weights="random"`` draws them from ``rngs``; otherwise they come from ``params.file``, or from where
            ``fer-bench weights fetch`` puts them.
        rngs: random streams; all parameters are drawn from ``params``.
        compute_dtype: ``float32`` or ``bfloat16``; see `IResNet`.

    Raises:
        FerBenchError: the weights are not there, or do not fit; every mismatch is listed.
    """
    architecture = ARCHITECTURES[params.architecture]

    def make(rngs: nnx.Rngs) -> IResNet:
        return IResNet(architecture, params.features, rngs=rngs, compute_dtype=compute_dtype)

    if params.weights == "random":
        model = make(rngs)
    else:
        from fer_bench.keeping.published import load_into
        from fer_bench_iresnet.naming import schemes
        from fer_bench_iresnet.published import files_of

        model = nnx.eval_shape(make, rngs)  # shapes only: the file replaces the numbers
        path = Path(params.file) if params.file else files_of(params)["weights"]
        load_into(model, path, schemes(architecture, params), f"the backbone {architecture.name}")
    model.eval()
    return model
