"""Find all pairs of 64-bit hashes that differ in few bits, without comparing every two.

Pigeonholes: hashes that differ in at most 12 bits differ in at most 3 within one of their four bands of 16 bits. So
hashes are sorted by a band, and each is compared with those alone whose band is one of the 697 that differ from its own
in at most 3 bits: one pair in about 24, were hashes random (multi-index hashing, Norouzi, Punjani & Fleet,
arXiv:1307.2982, section 3). No pair is missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BANDS, WIDTH = 4, 16
CHUNK = 1 << 22
"""Pairs that are compared at once, some 100 MiB."""


def close_pairs(hashes: Array, distance: int) -> Iterator[Array]:
    """Yield (m, 2) int64, pairs of positions a < b whose hashes differ in at most ``distance`` bits; each pair once.

    Args:
        hashes: (n,) uint64.
        distance: 0 to 63.
    """
    bands = np.ascontiguousarray(hashes).view(np.uint16).reshape(len(hashes), BANDS)
    most = min(distance // BANDS, WIDTH)
    masks = [sum(1 << bit for bit in bits) for k in range(most + 1) for bits in itertools.combinations(range(WIDTH), k)]
    for band in range(BANDS):
        order = np.argsort(bands[:, band], kind="stable").astype(np.int32)
        values, sorted_hashes = bands[order, band].astype(np.int32), hashes[order]
        starts = np.searchsorted(values, np.arange((1 << WIDTH) + 1)).astype(np.int32)
        for mask in masks:
            for a, b in _candidates(values, starts, mask):
                differ = sorted_hashes[a] ^ sorted_hashes[b]
                close = np.flatnonzero(np.bitwise_count(differ) <= distance)
                # What an earlier band brings together was yielded there.
                parts = np.bitwise_count(differ[close].view(np.uint16).reshape(-1, BANDS)[:, :band])
                close = close[(parts > most).all(axis=1)]
                if len(close):
                    yield np.sort(np.stack([order[a[close]], order[b[close]]], axis=1).astype(np.int64), axis=1)


def _candidates(values: Array, starts: Array, mask: int) -> Iterator[tuple[Array, Array]]:
    """Yield places of hashes whose bands differ by ``mask``, (m,) int32 twice, each two once.

    Args:
        values: (n,) int32, a band of each hash, in rising order.
        starts: (65537,) int32, where each value begins.
        mask: the bits that differ.
    """
    others = values ^ mask
    first = np.arange(len(values), dtype=np.int32) if mask == 0 else np.flatnonzero(others > values).astype(np.int32)
    begin = first + 1 if mask == 0 else starts[others[first]]
    count = starts[others[first] + 1] - begin
    some = np.flatnonzero(count)
    first, begin, count = first[some], begin[some], count[some]
    ends = np.cumsum(count, dtype=np.int64)
    start = 0
    while start < len(first):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + CHUNK, "right")))
        part = slice(start, stop)
        before = (ends[part] - count[part] - done).astype(np.int32)
        within = np.arange(int(ends[stop - 1]) - done, dtype=np.int32)
        yield np.repeat(first[part], count[part]), within + np.repeat(begin[part] - before, count[part])
        start = stop
