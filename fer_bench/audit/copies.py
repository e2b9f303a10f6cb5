"""Which images are copies of each other: pure functions on hashes and thumbnails.

*Exact* copies have the same pixels. *Near* copies are one picture compressed again, brightened or shifted by a hair:
their perceptual hashes (signs of the lowest frequencies of the discrete cosine transform, as in C. Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2) differ in at most `DISTANCE` of
64 bits, and their grey thumbnails correlate by at least `CORRELATION`. What that finds, and misses: ``docs/audit.md``.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_bench.audit.hamming import close_pairs

Array = np.ndarray[Any, Any]

SIDE = 48
"""Side of a thumbnail, pixels: FER2013's own."""
HASHED_SIDE = 24
"""Side of the picture whose frequencies are hashed: what differs between copies is fine detail."""
BITS = 64
DISTANCE = 12
"""Two more than find every pair of FER2013 with a correlation of `CORRELATION` or more: 8 find 99.84 %, 10 all."""
CORRELATION = 0.97
CHUNK = 4096
"""Images whose cosines, and pairs whose correlations, are computed at once."""


def pixel_hash(image: Array) -> bytes:
    """Return 16 bytes of shape and pixels of (h, w, 1 or 3); a colour image whose channels are equal counts as grey."""
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    data = repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    return hashlib.blake2b(data, digest_size=16).digest()


def thumbnail(image: Array) -> Array:
    """Return a picture (h, w, 1 or 3) uint8 in grey, (SIDE, SIDE) uint8 whatever its proportions."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L")
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def exact_ids(pixels: Array) -> Array:
    """Return (n,) int64 from 0, equal for exact copies.

    Args:
        pixels: (n, 16) uint8 hashes.
    """
    return np.unique(np.ascontiguousarray(pixels).view("V16").ravel(), return_inverse=True)[1].astype(np.int64)


def perceptual_hashes(thumbnails: Array) -> Array:
    """Return (n,) uint64: the signs of the `BITS` lowest frequencies but the mean, along the antidiagonals.

    Args:
        thumbnails: (n, SIDE, SIDE) uint8.
    """
    u, v = np.mgrid[:HASHED_SIDE, :HASHED_SIDE]
    order = np.lexsort((np.abs(u - v).ravel(), (u + v).ravel()))[1 : BITS + 1]
    parts = SIDE // HASHED_SIDE
    found = np.empty(len(thumbnails), np.uint64)
    for start in range(0, len(thumbnails), CHUNK):
        whole = np.asarray(thumbnails[start : start + CHUNK], np.float32)
        small = whole.reshape(-1, HASHED_SIDE, parts, HASHED_SIDE, parts).mean(axis=(2, 4))
        cosines = np.asarray(dctn(small, axes=(1, 2), norm="ortho")).reshape(len(small), -1)[:, order]
        found[start : start + CHUNK] = np.ascontiguousarray(np.packbits(cosines > 0, axis=1)).view(np.uint64)[:, 0]
    return found


def near_pairs(thumbnails: Array, rows: Array, hashes: Array) -> Array:
    """Return (m, 2) int64, the pairs a < b among ``rows`` that are near copies, in order.

    Args:
        thumbnails: (n, SIDE, SIDE) uint8; may be mapped from a file.
        rows: (k,) increasing rows to look at, such as one of each group of exact copies.
        hashes: (n,) uint64 of the thumbnails.
    """
    keep = [np.empty((0, 2), np.int64)]
    for close in close_pairs(hashes[rows], DISTANCE):
        for start in range(0, len(close), CHUNK):
            pairs = rows[close[start : start + CHUNK]]
            keep.append(pairs[correlate(thumbnails, pairs) >= CORRELATION])
    found = np.concatenate(keep)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def join(exact: Array, near: Array) -> Array:
    """Return (n,) int64 cluster ids, numbered by first appearance: copies of copies are in one cluster.

    Args:
        exact: (n,) int64 from 0, equal for exact copies.
        near: (m, 2) int64 rows that are near copies.
    """
    size = int(exact.max(initial=-1)) + 1
    links = exact[near]
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(size, size))
    cluster = connected_components(graph, directed=False)[1][exact]
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def correlate(thumbnails: Array, pairs: Array) -> Array:
    """Return (m,) float32, Pearson's correlation of the thumbnails of each pair; 0 where one is of a single grey."""
    left, right = (thumbnails[pairs[:, side]].reshape(len(pairs), SIDE * SIDE).astype(np.float32) for side in (0, 1))
    left -= left.mean(axis=1, keepdims=True)
    right -= right.mean(axis=1, keepdims=True)
    scale = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.divide((left * right).sum(axis=1), scale, out=np.zeros(len(pairs), np.float32), where=scale > 0)
