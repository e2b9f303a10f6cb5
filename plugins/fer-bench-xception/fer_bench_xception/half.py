"""The operations of `fer_bench_xception.kernels` for activations in bfloat16, as accelerators have them.

Images are read and written in bfloat16, half the bytes of float32; every sum is float32. Depthwise convolutions are
shifted multiply-adds, which XLA fuses with the ReLU before: of what an H100 has run, a forward pass and training were
the fastest so. What it has not run is off (`FUSED`, `ALIGNED`).

All images are (b, h, w, c) bfloat16, channels last; kernels, factors and shifts are float32.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from fer_bench_xception import kernels
from fer_bench_xception.kernels import IMAGE, TAPS, by_platform

HALF = jnp.bfloat16

FUSED = False
"""Whether depthwise convolutions and max-pools are the kernels of `fer_bench_xception.fused`. No device has measured
them yet; benchmarks/gpu.py does."""
ALIGNED = 1
"""Channels of a product are filled up with zeros to a multiple of this: 64 makes 768 of 728. Not measured either."""


LARGEST = 2**31
"""Elements of the images of a batch that these kernels take at most: places are 32-bit numbers."""


# --- Products over channels ------------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """Multiply the last axis of ``x`` by a matrix: a 1x1 convolution.

    Args:
        x: (..., c).
        kernel: (c, d) float32.
        dtype: type of the operands; sums are float32.

    Returns:
        (..., d) bfloat16. The gradient of the kernel is float32.
    """
    wide = kernel.shape[1]
    return _contract(_filled(x), _filled(kernel, 0, 1), x.ndim - 1, 0, dtype, HALF)[..., :wide]


def _contract(x: Array, y: Array, x_axis: int, y_axis: int, dtype: DTypeLike, result: DTypeLike) -> Array:
    axes = (((x_axis,), (y_axis,)), ((), ()))
    return lax.dot_general(x.astype(dtype), y.astype(dtype), axes, preferred_element_type=result)


def _filled(x: Array, *axes: int) -> Array:
    """Return ``x`` with zeros up to a multiple of `ALIGNED` channels; fewer channels than that stay as they are.

    Channels lie on ``axes``, or on the last one where none is named.
    """
    around = [(0, 0)] * x.ndim
    for axis in axes or (x.ndim - 1,):
        around[axis] = (0, -x.shape[axis] % ALIGNED if x.shape[axis] > ALIGNED else 0)
    return jnp.pad(x, around) if any(after for _, after in around) else x


def _product_forward(x: Array, kernel: Array, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel, dtype), (x, kernel)


def _product_backward(dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    c, d = kernel.shape
    rows, gradient = _filled(x).reshape(-1, _filled(x).shape[-1]), _filled(gradient)
    to_kernel = _contract(rows, gradient.reshape(-1, gradient.shape[-1]), 0, 0, dtype, jnp.float32)
    to_x = _contract(gradient, _filled(kernel, 0, 1), gradient.ndim - 1, 1, dtype, HALF)
    return to_x[..., :c].astype(x.dtype), to_kernel[:c, :d]


product.defvjp(_product_forward, _product_backward)


def scaled_product(x: Array, kernel: Array, factor: Array, shift: Array, dtype: DTypeLike) -> Array:
    """Return `product`, times a factor and plus a shift for each column; the kernel takes the factor.

    Args:
        x: (..., c).
        kernel: (c, d) float32.
        factor: (d,) float32.
        shift: (d,) float32.
        dtype: type of the operands; sums are float32.

    Returns:
        (..., d) bfloat16.
    """
    return plus(product(x, kernel * factor, dtype), shift)


@jax.custom_vjp
def plus(x: Array, shift: Array) -> Array:
    """Add a number to each channel of (..., c) bfloat16; its gradient, (c,) float32, is summed in float32."""
    return x + shift.astype(x.dtype)


plus.defvjp(
    lambda x, shift: (plus(x, shift), None),
    lambda _, gradient: (gradient, gradient.sum(range(gradient.ndim - 1), dtype=jnp.float32)),
)


# --- Depthwise 3x3 convolution ---------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x: Array, kernel: Array, relu: bool) -> Array:
    """Convolve every channel with its own 3x3 kernel; stride 1, zeros around the image.

    Args:
        x: (b, h, w, c).
        kernel: (3, 3, c) float32.
        relu: whether the convolution sees max(x, 0).

    Returns:
        (b, h, w, c) of the type of ``x``; sums are float32. The gradient of the kernel is float32.
    """
    if _fused(x):
        from fer_bench_xception import fused  # which takes a while to import

        run = partial(fused.depthwise, relu=relu)
        return by_platform(partial(run, interpret=True), run, x, kernel).astype(x.dtype)
    return _convolved(jax.nn.relu(x) if relu else x, kernel).astype(x.dtype)


def _fused(x: Array) -> bool:
    return FUSED and x.size < LARGEST


def _convolved(x: Array, kernel: Array) -> Array:
    total = jnp.zeros((), jnp.float32)
    for (i, j), seen in zip(TAPS, _seen(x), strict=True):
        total = total + seen.astype(jnp.float32) * kernel[i, j]
    return total


def _seen(x: Array) -> list[Array]:
    """Return what each tap sees, (b, h, w, c): the image shifted, zeros around."""
    (_, h, w, _), padded = x.shape, jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i, j in TAPS]


def _depthwise_forward(x: Array, kernel: Array, relu: bool) -> tuple[Array, tuple[Array, Array]]:
    return depthwise(x, kernel, relu), (x, kernel)


def _depthwise_backward(relu: bool, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    if _fused(x):
        from fer_bench_xception import fused

        to_image, to_kernel = partial(fused.to_image, relu=relu), partial(fused.to_kernel, relu=relu)
        return (
            by_platform(partial(to_image, interpret=True), to_image, gradient, x, kernel),
            by_platform(partial(to_kernel, interpret=True), to_kernel, x, gradient),
        )
    to_x, given = _convolved(gradient, kernel[::-1, ::-1]).astype(x.dtype), gradient.astype(jnp.float32)
    sums = [(seen.astype(jnp.float32) * given).sum((0, 1, 2)) for seen in _seen(jax.nn.relu(x) if relu else x)]
    return jnp.where(x > 0, to_x, 0) if relu else to_x, jnp.stack(sums).reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


# --- Max-pool 3x3, stride 2 ------------------------------------------------------------------------------------------


def max_pool(x: Array) -> Array:
    """Take the maximum of every 3x3 window at stride 2, as `fer_bench_xception.kernels.max_pool` does."""
    return _max_pool(x, x.shape[1:3]) if _fused(x) else kernels.max_pool(x)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: Array, size: tuple[int, int]) -> Array:
    return _max_pool_forward(x, size)[0]


def _max_pool_forward(x: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    from fer_bench_xception import fused

    del size
    return by_platform(partial(fused.max_pool, interpret=True), fused.max_pool, x)


def _max_pool_backward(size: tuple[int, int], winner: Array, gradient: Array) -> tuple[Array]:
    from fer_bench_xception import fused

    run = partial(fused.to_pooled, size=size)
    return (by_platform(partial(run, interpret=True), run, winner, gradient),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


# --- Dense 3x3 convolution -------------------------------------------------------------------------------------------


def convolve(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> Array:
    """Convolve with a dense 3x3 kernel, without padding.

    Args:
        x: (b, h, w, c).
        kernel: (3, 3, c, d) float32.
        stride: 1 or 2.
        dtype: type of the operands; sums are float32.

    Returns:
        (b, (h-3)//stride+1, (w-3)//stride+1, d) bfloat16.
    """
    made = lax.conv_general_dilated(
        x.astype(dtype), kernel.astype(dtype), (stride, stride), "VALID", dimension_numbers=IMAGE
    )
    return made.astype(HALF)
