"""Depthwise convolution and max-pool in Triton, by Pallas: each image is read once from a device's memory.

A program has a tile of pixels, counted through all images of the batch, and of channels. What a tap sees of a tile is
another tile of the same array, which the cache of the multiprocessor holds; pixels outside of the image count as zero.
Sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from fer_bench_xception.kernels import TAPS, same_padding

PIXELS = 16
"""Of a tile."""
CHANNELS = 64
"""Of a tile, at most: 128 bytes in a row."""
PARTS = 64
"""Programs that share the pixels of the same channels in the gradient of a kernel."""
WARPS = 4
"""Groups of 32 threads of a program: a tile is eight values a thread, which one load reads."""


def depthwise(x: Array, kernel: Array, *, relu: bool, interpret: bool = False) -> Array:
    """Convolve every channel of ``x`` with its own 3x3 kernel, zeros around the image.

    Args:
        x: (b, h, w, c).
        kernel: (3, 3, c) float32.
        relu: whether the convolution sees max(x, 0).
        interpret: run as operations of jax, on any device.

    Returns:
        (b, h, w, c) of the type of ``x``.
    """
    return _run(_depthwise, (x, kernel), x.shape, x.dtype, interpret, relu=relu)


def to_image(gradient: Array, x: Array, kernel: Array, *, relu: bool, interpret: bool = False) -> Array:
    """Return the gradient of `depthwise` towards ``x``; the arguments are as there.

    Args:
        gradient: (b, h, w, c) towards the result.
        x: (b, h, w, c).
        kernel: (3, 3, c) float32.
        relu: as in `depthwise`.
        interpret: as in `depthwise`.
    """
    operands = (gradient, kernel[::-1, ::-1], x) if relu else (gradient, kernel[::-1, ::-1])
    return _run(_depthwise, operands, x.shape, x.dtype, interpret, relu=False)


def to_kernel(x: Array, gradient: Array, *, relu: bool, interpret: bool = False) -> Array:
    """Return the gradient of `depthwise` towards the kernel, (3, 3, c) float32; the arguments are as in `to_image`."""
    b, h, w, c = x.shape
    parts = min(PARTS, pl.cdiv(b * h * w, PIXELS))
    sums = pl.pallas_call(
        partial(_to_kernel, shape=x.shape, parts=parts, relu=relu),
        out_shape=jax.ShapeDtypeStruct((parts, 9, c), jnp.float32),
        grid=(parts, pl.cdiv(c, _tile(c))),
        compiler_params=triton.CompilerParams(num_warps=WARPS),
        interpret=interpret,
    )(_flat(x), _flat(gradient))
    return sums.sum(0).reshape(3, 3, c)


def max_pool(x: Array, *, interpret: bool = False) -> tuple[Array, Array]:
    """Take the maximum of every 3x3 window at stride 2, padded as Keras's "same" is.

    Args:
        x: (b, h, w, c).
        interpret: as in `depthwise`.

    Returns:
        (b, ceil(h/2), ceil(w/2), c) of the type of ``x``, and which tap each is from, of that shape, int8: the first in
        row-major order.
    """
    b, h, w, c = x.shape
    shape = (b, -(-h // 2), -(-w // 2), c)
    types = x.dtype, jnp.dtype(jnp.int8)
    highest, winner = _launch(_max_pool, (x,), shape, types, interpret, size=(h, w))
    return highest, winner


def to_pooled(winner: Array, gradient: Array, size: tuple[int, int], *, interpret: bool = False) -> Array:
    """Return the gradient of `max_pool` towards its image.

    Args:
        winner: (b, h', w', c) int8, from `max_pool`.
        gradient: (b, h', w', c) towards the maxima.
        size: height and width of the image.
        interpret: as in `depthwise`.

    Returns:
        (b, h, w, c) of the type of ``gradient``.
    """
    shape = (len(gradient), *size, gradient.shape[3])
    return _run(_to_pooled, (winner, gradient), shape, gradient.dtype, interpret, pooled=gradient.shape[1:3])


def _run(
    body: Callable[..., None],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    dtype: Any,
    interpret: bool,
    **static: Any,
) -> Array:
    (made,) = _launch(body, operands, shape, (dtype,), interpret, **static)
    return made


def _launch(
    body: Callable[..., None],
    operands: tuple[Array, ...],
    shape: tuple[int, ...],
    dtypes: tuple[Any, ...],
    interpret: bool,
    **static: Any,
) -> list[Array]:
    """Run a program for each tile of results of one shape, (b, h, w, c)."""
    b, h, w, c = shape
    places = b * h * w
    made = pl.pallas_call(
        partial(body, shape=shape, **static),
        out_shape=[jax.ShapeDtypeStruct((places, c), dtype) for dtype in dtypes],
        grid=(pl.cdiv(places, PIXELS), pl.cdiv(c, _tile(c))),
        compiler_params=triton.CompilerParams(num_warps=WARPS),
        interpret=interpret,
    )(*map(_flat, operands))
    return [part.reshape(shape) for part in made]


def _flat(x: Array) -> Array:
    """Return (places, channels)."""
    return x.reshape(-1, x.shape[-1])


def _tile(channels: int) -> int:
    """Return the channels of a tile, a power of two."""
    return min(CHANNELS, pl.next_power_of_2(channels))


class _Tile(NamedTuple):
    """The results of one program.

    Attributes:
        exist: (p,) bool, whether there is such a pixel.
        images: (p,) int32, the image that each pixel is of.
        rows: (p,) int32, in its image.
        columns: likewise.
        channels: (c,) int32.
        known: (c,) bool, whether there is such a channel.
    """

    exist: Array
    images: Array
    rows: Array
    columns: Array
    channels: Array
    known: Array


def _tile_of(number: Any, part: Any, shape: tuple[int, ...]) -> _Tile:
    """Return a tile of (b, h, w, c) by the numbers of its pixels and of its channels."""
    b, h, w, c = shape
    places = number * PIXELS + jnp.arange(PIXELS, dtype=jnp.int32)
    images, within = lax.div(places, jnp.int32(h * w)), lax.rem(places, jnp.int32(h * w))
    rows, columns = lax.div(within, jnp.int32(w)), lax.rem(within, jnp.int32(w))
    channels = part * _tile(c) + jnp.arange(_tile(c), dtype=jnp.int32)
    return _Tile(places < b * h * w, images, rows, columns, channels, channels < c)


def _read(
    ref: Any,
    tile: _Tile,
    rows: Array,
    columns: Array,
    size: tuple[int, ...],
    wanted: Array | bool = True,
    other: float = 0,
) -> Array:
    """Return (p, c) of an array (places, channels): pixels of images of ``size``; ``other`` outside and if unwanted."""
    h, w = size
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w) & wanted
    places = jnp.where(inside & tile.exist, tile.images * (h * w) + rows * w + columns, 0)
    channels = jnp.where(tile.known, tile.channels, 0)
    mask = (inside & tile.exist)[:, None] & tile.known[None]
    return triton.load(ref.at[places[:, None], channels[None]], mask=mask, other=other)


def _write(ref: Any, tile: _Tile, values: Array, size: tuple[int, ...]) -> None:
    places = tile.images * (size[0] * size[1]) + tile.rows * size[1] + tile.columns
    at = ref.at[places[:, None], tile.channels[None]]
    triton.store(at, values.astype(ref.dtype), mask=tile.exist[:, None] & tile.known[None])


def _depthwise(x: Any, kernel: Any, *others: Any, shape: tuple[int, ...], relu: bool) -> None:
    """Write a tile of the convolution; where ``others`` begins with an image, only where that is above 0."""
    *gate, result = others
    tile, size = _tile_of(pl.program_id(0), pl.program_id(1), shape), shape[1:3]
    total = jnp.zeros((PIXELS, _tile(shape[3])), jnp.float32)
    for number, (i, j) in enumerate(TAPS):
        seen = _read(x, tile, tile.rows + i - 1, tile.columns + j - 1, size).astype(jnp.float32)
        channels = jnp.where(tile.known, tile.channels, 0)
        weight = triton.load(kernel.at[number, channels], mask=tile.known, other=0.0)
        total += (jnp.maximum(seen, 0) if relu else seen) * weight[None]
    for image in gate:
        total = jnp.where(_read(image, tile, tile.rows, tile.columns, size) > 0, total, 0)
    _write(result, tile, total, size)


def _to_kernel(x: Any, gradient: Any, sums: Any, *, shape: tuple[int, ...], parts: int, relu: bool) -> None:
    """Write (9, channels) sums over every ``parts``-th tile of pixels."""
    (b, h, w, c), part, of_channels = shape, pl.program_id(0), pl.program_id(1)

    def add(step: Any, totals: tuple[Array, ...]) -> tuple[Array, ...]:
        tile = _tile_of(step * parts + part, of_channels, shape)
        given = _read(gradient, tile, tile.rows, tile.columns, (h, w)).astype(jnp.float32)
        added: list[Array] = []
        for total, (i, j) in zip(totals, TAPS, strict=True):
            seen = _read(x, tile, tile.rows + i - 1, tile.columns + j - 1, (h, w)).astype(jnp.float32)
            added.append(total + (jnp.maximum(seen, 0) if relu else seen) * given)
        return tuple(added)

    steps = pl.cdiv(pl.cdiv(b * h * w, PIXELS), parts)
    totals = lax.fori_loop(0, steps, add, (jnp.zeros((PIXELS, _tile(c)), jnp.float32),) * 9)
    tile = _tile_of(0, of_channels, shape)
    for number, total in enumerate(totals):
        triton.store(sums.at[part, number, tile.channels], total.sum(0), mask=tile.known)


def _max_pool(x: Any, highest: Any, winner: Any, *, shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    """Write a tile of maxima, and from which tap each came: the first of equals; NaN where a tap is."""
    tile, (top, left) = _tile_of(pl.program_id(0), pl.program_id(1), shape), (same_padding(side)[0] for side in size)
    largest = jnp.full((PIXELS, _tile(shape[3])), -jnp.inf, jnp.float32)
    number_of = jnp.zeros(largest.shape, jnp.int32)
    for number, (i, j) in enumerate(TAPS):
        rows, columns = 2 * tile.rows + i - top, 2 * tile.columns + j - left
        seen = _read(x, tile, rows, columns, size, other=-jnp.inf).astype(jnp.float32)
        larger = (seen > largest) | (seen != seen)
        largest, number_of = jnp.where(larger, seen, largest), jnp.where(larger, number, number_of)
    _write(highest, tile, largest, shape[1:3])
    _write(winner, tile, number_of, shape[1:3])


def _to_pooled(winner: Any, gradient: Any, result: Any, *, shape: tuple[int, ...], pooled: tuple[int, ...]) -> None:
    """Write a tile of the gradient: a pixel is in up to four windows, and gets the gradient of those that it won."""
    tile, size = _tile_of(pl.program_id(0), pl.program_id(1), shape), shape[1:3]
    total = jnp.zeros((PIXELS, _tile(shape[3])), jnp.float32)
    for number, (i, j) in enumerate(TAPS):
        rows = tile.rows + same_padding(size[0])[0] - i
        columns = tile.columns + same_padding(size[1])[0] - j
        begins = (rows >= 0) & (columns >= 0) & (rows % 2 == 0) & (columns % 2 == 0)  # whether a window does there
        rows, columns = lax.div(rows, jnp.int32(2)), lax.div(columns, jnp.int32(2))
        won = _read(winner, tile, rows, columns, pooled, begins, other=-1).astype(jnp.int32) == number
        total += jnp.where(won, _read(gradient, tile, rows, columns, pooled, begins).astype(jnp.float32), 0)
    _write(result, tile, total, size)
