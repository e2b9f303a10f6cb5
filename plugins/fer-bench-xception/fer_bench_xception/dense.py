"""The dense 3x3 convolutions of block 1, as `fer_bench_xception.kernels` has the other operations."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from fer_bench_xception.kernels import IMAGE, by_platform, contract, turned


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> Array:
    """Convolve with a dense 3x3 kernel, without padding.

    Args:
        x: (b, h, w, c) float32.
        kernel: (3, 3, c, d) float32.
        stride: 1 or 2.
        dtype: type of the operands; sums are always float32.

    Returns:
        (b, (h-3)//stride+1, (w-3)//stride+1, d) float32.
    """
    return by_platform(
        partial(_convolve_rows, stride=stride, dtype=dtype),
        partial(_convolve_whole, stride=stride, dtype=dtype),
        x,
        kernel,
    )


def _beside(x: Array, stride: int) -> list[Array]:
    """Return every ``stride``-th row from each of the first on, (b, h'', w', 3 c): columns of a window side by side."""
    columns = (x.shape[2] - 3) // stride + 1
    shifted = [x[:, :, j : j + stride * (columns - 1) + 1 : stride] for j in range(3)]
    whole = lax.optimization_barrier(jnp.concatenate(shifted, axis=-1))
    return [whole[:, first::stride] for first in range(stride)]


def _convolve_rows(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> Array:
    """Multiply by all rows of the kernel that meet a row of the image, in one product; add up over the window."""
    _, _, c, d = kernel.shape
    rows = (x.shape[1] - 3) // stride + 1
    made: dict[int, Array] = {}
    for first, part in enumerate(_beside(x.astype(dtype), stride)):
        meeting = kernel[first::stride].transpose(1, 2, 0, 3).reshape(3 * c, -1)
        products = contract(part, meeting, 3, 0, dtype)
        for number, tap in enumerate(range(first, 3, stride)):
            made[tap] = products[:, number : number + rows, :, number * d : (number + 1) * d]
    return made[0] + made[1] + made[2]


def _convolve_whole(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> Array:
    return lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        (stride, stride),
        "VALID",
        dimension_numbers=IMAGE,
        preferred_element_type=jnp.float32,
    )


def _convolve_forward(x: Array, kernel: Array, stride: int, dtype: DTypeLike) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, stride, dtype), (x, kernel)


def _convolve_backward(
    stride: int, dtype: DTypeLike, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    rows = partial(_convolve_rows_backward, stride=stride, dtype=dtype)
    return by_platform(rows, partial(_convolve_whole_backward, stride=stride), *saved, gradient)


def _convolve_rows_backward(
    x: Array, kernel: Array, gradient: Array, stride: int, dtype: DTypeLike
) -> tuple[Array, Array]:
    """Return both gradients; the one towards the image by XLA's convolution in float32, which is faster."""
    to_kernel = _rows_to_kernel(x, gradient, dtype) if stride == 1 else _windows_to_kernel(x, gradient, stride)
    # Without the barrier XLA folds the transposition into the convolution, and then loops over single numbers.
    swapped = lax.optimization_barrier(kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    around = [(2, size - 1 - stride * (made - 1)) for size, made in zip(x.shape[1:3], gradient.shape[1:3], strict=True)]
    to_x = lax.conv_general_dilated(
        gradient, swapped, (1, 1), around, lhs_dilation=(stride, stride), dimension_numbers=IMAGE
    )
    return to_x, to_kernel.reshape(kernel.shape)


def _rows_to_kernel(x: Array, gradient: Array, dtype: DTypeLike) -> Array:
    """Return the kernel's gradient at stride 1, (3, 3 c, d), in one product with the columns of windows."""
    b, rows, columns, d = gradient.shape
    (beside,) = _beside(x.astype(dtype), 1)
    across = turned(gradient.reshape(-1, d), dtype).reshape(d, b, rows, columns)
    # For each row of the kernel, the gradient lies at the rows of the image that it saw.
    seen = jnp.stack([jnp.pad(across, ((0, 0), (0, 0), (i, 2 - i), (0, 0))) for i in range(3)])
    seen = lax.optimization_barrier(seen).reshape(3 * d, -1)
    products = contract(seen, beside.reshape(-1, beside.shape[-1]), 1, 0, dtype)
    return products.reshape(3, d, -1).transpose(0, 2, 1)


def _windows_to_kernel(x: Array, gradient: Array, stride: int) -> Array:
    """Return the kernel's gradient, (9 c, d), in one product in float32 with whole windows, which have few channels.

    As a convolution it is fast by itself. In a whole step XLA folds transpositions into it, and then loops over single
    numbers: a quarter of the step's time.
    """
    rows, parts = gradient.shape[1], _beside(x, stride)
    windows = [parts[i % stride][:, i // stride : i // stride + rows] for i in range(3)]
    whole = lax.optimization_barrier(jnp.concatenate(windows, axis=-1))
    return contract(
        whole.reshape(-1, whole.shape[-1]), gradient.reshape(-1, gradient.shape[-1]), 0, 0, jnp.dtype(jnp.float32)
    )


def _convolve_whole_backward(x: Array, kernel: Array, gradient: Array, stride: int) -> tuple[Array, Array]:
    _, pull_back = jax.vjp(partial(_convolve_whole, stride=stride, dtype=jnp.float32), x, kernel)
    return pull_back(gradient)


convolve.defvjp(_convolve_forward, _convolve_backward)
