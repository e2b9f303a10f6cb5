"""Text columns of the table of samples, held by Arrow: Python's and numpy's texts take several times the memory.

Numbers come out of Arrow's buffers: its own ``to_numpy`` imports pandas, half a second for a command that needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute

from fer_bench.arrays import Array

compute: Any = pyarrow.compute
"""The stubs of its functions know fewer kinds of arguments than the functions take."""

Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"
"""A column as Arrow gives it, in one piece or in several."""

BLOCK = 4096
"""Texts that are Python objects at a time."""


def plain(column: Column) -> pa.LargeStringArray:
    """Return a text column in one piece."""
    texts = column.cast(pa.large_string())
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    assert isinstance(whole, pa.LargeStringArray), "a cast returns what it casts to"
    return whole


def encode(texts: pa.LargeStringArray) -> tuple[pa.LargeStringArray, Array]:
    """Return the distinct texts, in order, and (n,) int32 the place of each text among them."""
    encoded = texts.dictionary_encode()
    order = compute.array_sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int32)
    place[numbers(order)] = np.arange(len(order), dtype=np.int32)
    return plain(encoded.dictionary.take(order)), place[numbers(encoded.indices)]


def find_places(texts: pa.LargeStringArray, among: pa.LargeStringArray) -> Array:
    """Return (n,) int32: the place of each text among others that are distinct, -1 where it is none of them."""
    return numbers(compute.index_in(texts, among).fill_null(-1))


def numbers(column: Column) -> Array:
    """Return a column of whole or floating-point numbers, of its own dtype; it may not be written to.

    A missing floating-point number is NaN; a missing whole number raises `pyarrow.ArrowInvalid`.
    """
    whole: Any = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        whole = whole.fill_null(math.nan)
    kind, types = whole.type, pa.types
    letter = "f" if types.is_floating(kind) else "i" if types.is_signed_integer(kind) else "u"
    dtype = np.dtype(f"{letter}{kind.bit_width // 8}")  # pyarrow 17 imports pandas to say it
    if not len(whole):
        return np.empty(0, dtype)
    return np.frombuffer(whole.buffers()[1], dtype, len(whole), whole.offset * dtype.itemsize)


def blocks(texts: pa.LargeStringArray) -> Iterator[list[str]]:
    """Yield the texts as Python's, a few thousand at a time."""
    for start in range(0, len(texts), BLOCK):
        yield listed(texts.slice(start, BLOCK))


def listed(texts: pa.LargeStringArray) -> list[str]:
    """Return the texts as Python's; none may be missing, as none is in a table of samples or of predictions."""
    return cast("list[str]", texts.to_pylist())
