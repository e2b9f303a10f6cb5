"""The operations of `fer_bench_xception.kernels` for activations in bfloat16, as accelerators have them.

Images are read and written in bfloat16, half the bytes of float32; every sum is float32. Depthwise convolutions are
XLA's grouped ones: with both gradients an H100 took half of the time of shifted multiply-adds for them, and a fifth to
a half of that of Pallas kernels.

All images are (b, h, w, c) bfloat16, channels last; kernels, factors and shifts are float32.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from fer_bench_xception.kernels import IMAGE, depthwise_grouped
from fer_bench_xception.kernels import every_second as every_second
from fer_bench_xception.kernels import max_pool as max_pool

HALF = jnp.bfloat16

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
    return _contract(x, kernel, x.ndim - 1, 0, dtype, HALF)


def _contract(x: Array, y: Array, x_axis: int, y_axis: int, dtype: DTypeLike, result: DTypeLike) -> Array:
    axes = (((x_axis,), (y_axis,)), ((), ()))
    return lax.dot_general(x.astype(dtype), y.astype(dtype), axes, preferred_element_type=result)


def _product_forward(x: Array, kernel: Array, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel, dtype), (x, kernel)


def _product_backward(dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rows = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    to_kernel = _contract(*rows, 0, 0, dtype, jnp.float32)
    return _contract(gradient, kernel, gradient.ndim - 1, 1, dtype, HALF).astype(x.dtype), to_kernel


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


@jax.custom_vjp
def rectified(x: Array) -> Array:
    """Return max(x, 0). Its gradient needs only what it returned: ``x`` is not kept, and need not be written."""
    return jax.nn.relu(x)


def _rectified_forward(x: Array) -> tuple[Array, Array]:
    y = rectified(x)
    return y, lax.optimization_barrier(y)  # else XLA compares ``x`` with 0


rectified.defvjp(_rectified_forward, lambda y, gradient: (jnp.where(y > 0, gradient, jnp.zeros_like(gradient)),))


# --- Depthwise 3x3 convolution ---------------------------------------------------------------------------------------


def depthwise(x: Array, kernel: Array, relu: bool) -> Array:
    """Convolve every channel with its own 3x3 kernel; stride 1, zeros around the image.

    Args:
        x: (b, h, w, c).
        kernel: (3, 3, c) float32.
        relu: whether the convolution sees max(x, 0).

    Returns:
        (b, h, w, c) of the type of ``x``; sums are float32. The gradient of the kernel is rounded to that type.
    """
    return depthwise_grouped(rectified(x) if relu else x, kernel.astype(x.dtype))


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
