"""The operations that Xception is made of, in the formulation that is fast where they run.

XLA's CPU backend is slow at three things that this network does all the time: grouped convolutions (10 to 30 times
slower than nine shifted multiply-adds), the gradient of a max-pool (a scatter), and small dense convolutions. GPUs and
TPUs have kernels for these, of which the max-pool's is the slower one on an H100, too. So the other operations exist
twice, and only :func:`by_platform` chooses, when the program is lowered for a device. Those with a gradient that XLA
computes slowly have their own derivative rule. Dense convolutions are in `fer_bench_xception.dense`;
activations in bfloat16, which only accelerators have, are for `fer_bench_xception.half`.

All images are (b, h, w, c), channels last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike

IMAGE = ("NHWC", "HWIO", "NHWC")
TAPS = tuple((i, j) for i in range(3) for j in range(3))


def by_platform(cpu: Callable[..., Any], other: Callable[..., Any], *operands: Array) -> Any:
    """Apply ``cpu`` to the operands where the program is lowered for a CPU, and ``other`` elsewhere."""
    return lax.platform_dependent(*operands, cpu=cpu, default=other)


# --- Products over channels ------------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    """Multiply the last axis of ``x`` by a matrix: a 1x1 convolution.

    Args:
        x: (..., c) float32.
        kernel: (c, d) float32.
        dtype: type of the operands; sums are always float32.

    Returns:
        (..., d) float32. The two products of its gradient use operands of ``dtype`` too.
    """
    return contract(x, kernel, x.ndim - 1, 0, dtype)


def contract(x: Array, y: Array, x_axis: int, y_axis: int, dtype: DTypeLike) -> Array:
    """Sum over an axis of each; operands of ``dtype``, sums and result float32."""
    axes = (((x_axis,), (y_axis,)), ((), ()))
    return lax.dot_general(x.astype(dtype), y.astype(dtype), axes, preferred_element_type=jnp.float32)


def _over_rows(x: Array, y: Array, dtype: DTypeLike) -> Array:
    """Return the (c, d) product of the transposed ``x``, (n, c), and ``y``, (n, d)."""
    if dtype == jnp.float32:
        return contract(x, y, 0, 0, dtype)
    return by_platform(
        partial(_over_rows_turned, dtype=dtype), partial(contract, x_axis=0, y_axis=0, dtype=dtype), x, y
    )


def _over_rows_turned(x: Array, y: Array, dtype: DTypeLike) -> Array:
    return contract(turned(x, dtype), y, 1, 0, dtype)


def turned(x: Array, dtype: DTypeLike) -> Array:
    """Transpose (n, c) in memory: XLA has bfloat16 products for CPUs only in this order of the axes."""
    return with_layout_constraint(x.astype(dtype).T, Layout((0, 1)))


def _product_forward(x: Array, kernel: Array, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    # Only as operands of products: an image that is read by nothing else is never written in float32.
    return product(x, kernel, dtype), (x.astype(dtype), kernel)


def _product_backward(dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    to_kernel = _over_rows(x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1]), dtype)
    to_x = contract(gradient, kernel, gradient.ndim - 1, 1, dtype)
    return to_x, to_kernel


product.defvjp(_product_forward, _product_backward)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def scaled_product(x: Array, kernel: Array, factor: Array, shift: Array, dtype: DTypeLike) -> Array:
    """Return `product`, times a factor and plus a shift for each column: a 1x1 convolution and a norm that is fixed.

    The kernel takes the factor, so that no image is read or written for it.

    Args:
        x: (..., c) float32.
        kernel: (c, d) float32.
        factor: (d,) float32.
        shift: (d,) float32.
        dtype: type of the operands; sums are always float32.

    Returns:
        (..., d) float32.
    """
    return contract(x, kernel * factor, x.ndim - 1, 0, dtype) + shift


def _scaled_forward(x: Any, kernel: Any, factor: Any, shift: Any, dtype: DTypeLike) -> tuple[Array, tuple[Any, ...]]:
    values, saved = (x.value, kernel.value, factor.value), (x.value.astype(dtype), kernel.value, factor.value)
    # A kernel that learns gives the factor's gradient beside its own; else that needs the product before the factor.
    if kernel.perturbed or not factor.perturbed:
        return scaled_product(*values, shift.value, dtype), (*saved, None)
    unscaled = product(x.value, kernel.value, dtype)
    return unscaled * factor.value + shift.value, (*saved, unscaled)


def _scaled_backward(dtype: DTypeLike, saved: tuple[Any, ...], gradient: Any) -> tuple[Array, Array, Array, Array]:
    x, kernel, factor, unscaled = saved
    rows = gradient.reshape(-1, gradient.shape[-1])
    to_kernel = _over_rows(x.reshape(-1, x.shape[-1]), rows, dtype)  # but for the factor
    to_x = contract(gradient, kernel * factor, gradient.ndim - 1, 1, dtype)
    to_factor = (kernel * to_kernel if unscaled is None else rows * unscaled.reshape(rows.shape)).sum(0)
    return to_x, to_kernel * factor, to_factor, rows.sum(0)


scaled_product.defvjp(_scaled_forward, _scaled_backward, symbolic_zeros=True)


def every_second(x: Array) -> Array:
    """Return every second pixel of (b, h, w, c) along both axes.

    Elsewhere than on a CPU they lie in memory: joined with the product that takes them, they end XLA's compiler for
    GPUs, and the process (jaxlib 0.10.2 and 0.11.2, ``triton_tiling_propagation.cc``).
    """
    return by_platform(_second, lambda x: lax.optimization_barrier(_second(x)), x)


def _second(x: Array) -> Array:
    return x[:, ::2, ::2]


rectified = jax.nn.relu


def plus(x: Array, shift: Array) -> Array:
    """Add a number to each channel of (..., c)."""
    return x + shift


# --- Depthwise 3x3 convolution ---------------------------------------------------------------------------------------


def depthwise(x: Array, kernel: Array, relu: bool) -> Array:
    """Convolve every channel with its own 3x3 kernel; stride 1, zeros around the image.

    Args:
        x: (b, h, w, c) float32.
        kernel: (3, 3, c) float32.
        relu: whether the convolution sees max(x, 0).

    Returns:
        (b, h, w, c) float32.
    """
    return _depthwise(jax.nn.relu(x) if relu else x, kernel)


@jax.custom_vjp
def _depthwise(x: Array, kernel: Array) -> Array:
    return by_platform(_depthwise_shifted, depthwise_grouped, x, kernel)


def _pad(x: Array) -> Array:
    """Return ``x`` with a pixel of zeros around it, in memory: fused into nine readers it is made nine times."""
    return lax.optimization_barrier(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))


def _shifted(padded: Array, i: int, j: int) -> Array:
    return padded[:, i : padded.shape[1] - 2 + i, j : padded.shape[2] - 2 + j]


def _depthwise_shifted(x: Array, kernel: Array) -> Array:
    padded = _pad(x)
    total = _shifted(padded, 0, 0) * kernel[0, 0]
    for i, j in TAPS[1:]:
        total = total + _shifted(padded, i, j) * kernel[i, j]
    return total


def depthwise_grouped(x: Array, kernel: Array) -> Array:
    """Convolve as `depthwise`, by XLA's grouped convolution, with a kernel of the type of ``x``."""
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (1, 1), "SAME", dimension_numbers=IMAGE, feature_group_count=x.shape[-1]
    )


def _depthwise_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _depthwise(x, kernel), (x, kernel)


def _depthwise_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    return by_platform(_depthwise_shifted_backward, _grouped_backward, *saved, gradient)


def _depthwise_shifted_backward(x: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    padded = _pad(x)
    # One pass over the images with nine running sums; nine reductions of the whole are four times slower.
    to_kernel = jnp.stack([total.sum(0) for total in _sums_by_tap(padded, gradient)])
    return _depthwise_shifted(gradient, kernel[::-1, ::-1]), to_kernel.reshape(kernel.shape)


_AT_ONCE = 9
"""Rows whose products one operation adds up: few stay in the cache of a processor while all taps read them."""


def _sums_by_tap(padded: Array, gradient: Array) -> tuple[Array, ...]:
    """Return for each tap (w, c): the sum over images and rows of ``gradient`` times what the tap saw."""
    b, h, w, c = gradient.shape
    rows = _divisor(h, _AT_ONCE)
    images, pieces = _divisor(b, _AT_ONCE // rows), h // rows

    def add(piece: Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        image, top = piece // pieces * images, piece % pieces * rows

        # A slice for each product: one that several read would be copied.
        def row(of: Array, number: int, down: int, right: int) -> Array:
            return lax.dynamic_slice(of, (image + number, top + down, right, 0), (1, 1, w, c))[0, 0]

        each = [(number, down) for number in range(images) for down in range(rows)]
        return tuple(
            sum((row(padded, n, down + i, j) * row(gradient, n, down, 0) for n, down in each), total)
            for total, (i, j) in zip(sums, TAPS, strict=True)
        )

    return lax.fori_loop(0, b // images * pieces, add, (jnp.zeros((w, c), padded.dtype),) * 9)


def _divisor(of: int, most: int) -> int:
    """Return the largest divisor of a number that is at most ``most``."""
    return max(number for number in range(1, max(most, 1) + 1) if of % number == 0)


def _grouped_backward(x: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    _, pull_back = jax.vjp(depthwise_grouped, x, kernel)
    return pull_back(gradient)


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


# --- Max-pool 3x3, stride 2 ------------------------------------------------------------------------------------------


@jax.custom_vjp
def max_pool(x: Array) -> Array:
    """Take the maximum of every 3x3 window at stride 2, padded with minus infinity as Keras's "same" is.

    Args:
        x: (b, h, w, c) float32 or bfloat16.

    Returns:
        (b, ceil(h/2), ceil(w/2), c) of the same type. A gradient goes to the first maximum of its window in row-major
        order.
    """
    # A GPU reads beside the image as it goes, and is spared an image with a border.
    taps = _pool_taps(by_platform(_pool_padded, _pool_bordered, x))
    highest = taps[0]
    for tap in taps[1:]:
        highest = jnp.maximum(highest, tap)
    return highest


def same_padding(size: int) -> tuple[int, int]:
    """Return the pixels to add before and after an axis, for windows of 3 at stride 2: the odd one goes after."""
    total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
    return total // 2, total - total // 2


def _pool_padded(x: Array) -> Array:
    return lax.optimization_barrier(_pool_bordered(x))


def _pool_bordered(x: Array) -> Array:
    padding = ((0, 0), same_padding(x.shape[1]), same_padding(x.shape[2]), (0, 0))
    return jnp.pad(x, padding, constant_values=-jnp.inf)


def _pool_taps(padded: Array) -> list[Array]:
    rows, columns = (padded.shape[1] - 3) // 2 + 1, (padded.shape[2] - 3) // 2 + 1
    return [padded[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for i, j in TAPS]


def _max_pool_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool(x)
    return y, (x, y)


def _max_pool_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array]:
    # A GPU writes less where it gives a pixel's winner a byte; a CPU is slower with bytes.
    on_cpu = partial(_pool_backward, padded=_pool_padded, number_type=jnp.int32)
    elsewhere = partial(_pool_backward, padded=_pool_bordered, number_type=jnp.int8)
    return (by_platform(on_cpu, elsewhere, *saved, gradient),)


def _pool_backward(
    x: Array, y: Array, gradient: Array, padded: Callable[[Array], Array], number_type: DTypeLike
) -> Array:
    winner = jnp.full(y.shape, 8, number_type)
    for number, tap in reversed(list(enumerate(_pool_taps(padded(x))))):
        winner = jnp.where(tap == y, jnp.asarray(number, number_type), winner)
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    winner = lax.optimization_barrier(jnp.pad(winner, around, constant_values=-1))
    gradient = _pad(gradient)
    rows, columns = y.shape[1] + 1, y.shape[2] + 1

    def phase(row: int, column: int) -> Array:
        """Return the gradient of every second pixel: an even one is in two windows along an axis, an odd one in one."""
        total = jnp.zeros((), jnp.float32)
        for i, top in ((1, 1),) if row else ((0, 1), (2, 0)):
            for j, left in ((1, 1),) if column else ((0, 1), (2, 0)):
                here = (slice(None), slice(top, top + rows), slice(left, left + columns))
                total = total + jnp.where(winner[here] == 3 * i + j, gradient[here], 0)
        return total.astype(x.dtype)

    pairs = [jnp.stack([phase(row, 0), phase(row, 1)], axis=3) for row in (0, 1)]
    whole = jnp.stack(pairs, axis=2).reshape(x.shape[0], 2 * rows, 2 * columns, x.shape[3])
    top, left = same_padding(x.shape[1])[0], same_padding(x.shape[2])[0]
    return whole[:, top : top + x.shape[1], left : left + x.shape[2]]


max_pool.defvjp(_max_pool_forward, _max_pool_backward)
