"""Which images are copies of each other: pure functions on hashes and thumbnails.

*Exact* copies have the same pixels. *Near* copies are one picture compressed again, brightened or shifted a little:
their grey thumbnails correlate by at least `fer_bench.audit.near.CORRELATION`. ``docs/audit.md`` says what that misses.
"""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from fer_bench.arrays import Array

SIDE = 48
"""Side of a thumbnail, pixels: FER2013's own."""


def pixel_hash(image: Array) -> bytes:
    """Return 16 bytes of shape and pixels of (h, w, 1 or 3); a colour image whose channels are equal counts as grey."""
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    data = repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()
    return hashlib.blake2b(data, digest_size=16).digest()


def thumbnail(image: Array) -> Array:
    """Return a picture (h, w, 1 or 3) uint8 in grey, (SIDE, SIDE) uint8 for an image of any proportions."""
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


def join(exact: Array, near: Array) -> Array:
    """Return (n,) int64 cluster ids, numbered by first appearance: copies of copies are in one cluster.

    Args:
        exact: (n,) int64 from 0, equal for exact copies.
        near: (m, 2) int64 rows that are near copies.
    """
    size = int(exact.max(initial=-1)) + 1
    links = exact[near]
    # Only here: most commands ask whether copies are known, and nothing is.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(size, size))
    cluster = connected_components(graph, directed=False)[1][exact]
    _, first, inverse = np.unique(cluster, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
