"""Find all pairs of thumbnails whose correlation reaches a threshold, without correlating every pair.

Every thumbnail becomes a vector of mean 0 and length 1, so that a correlation is a product of two vectors. An
orthonormal basis of a few directions splits a vector into its coordinates and a rest. By the inequality of Cauchy and
Schwarz the product of the two rests is at most the product of their lengths, so that

    correlation <= product of the coordinates + product of the lengths of the rests.

One matrix product gives this bound for many pairs at once, and only pairs whose bound reaches the threshold are
correlated. No pair is missed with any basis. The basis is that of the largest principal components of a sample: on
faces that are aligned on black, one direction holds the outline that all of them share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import eigh

from fer_bench.arrays import Array

CORRELATION = 0.97
"""From here on two thumbnails count as near copies."""
DIRECTIONS = 128
"""Of the basis."""
SAMPLE = 4096
"""Vectors that the basis is made of, and how many are compared without one."""
BLOCK = 2048
"""Thumbnails on each side of a block of pairs: their bounds take 16 MiB, their vectors 36."""
PAIRS = 512
"""Pairs that are correlated at once: their vectors stay in the processor's cache."""
SLACK = 1e-5
"""More than float32 can be off in a product of two vectors of length 1."""


def near_pairs(
    thumbnails: Array, rows: Array, parts: int = 0, progress: Callable[[int, int], None] | None = None
) -> Array:
    """Return the pairs a < b among ``rows`` whose thumbnails correlate by at least `CORRELATION`.

    Args:
        thumbnails: (n, side, side) uint8; may be mapped from a file.
        rows: (k,) increasing rows to look at, such as one of each group of exact copies. A thumbnail of a single grey
            is near to none.
        parts: if above 0, only pairs of one of the first ``parts`` of ``rows`` with one of the others.
        progress: called with the number of pairs compared, and of all.

    Returns:
        (m, 2) int32, in order. On pictures that are all alike their number grows with the square of the pictures.
    """
    bounding = _bounding_vectors(thumbnails, rows)
    pairs = [np.empty((0, 2), np.int32)]
    total, done = parts * (len(rows) - parts) if parts else len(rows) * (len(rows) - 1) // 2, 0
    for left, rights in _blocks(len(rows), parts):
        first, beside = unit_vectors(thumbnails[rows[left]]), [np.empty((0, 2), np.int32)]
        for right in rights:
            bounds = bounding[left] @ bounding[right].T
            a, b = np.divmod(np.flatnonzero(bounds.ravel() >= CORRELATION - SLACK), bounds.shape[1])
            if left == right:
                a, b = a[a < b], b[a < b]
            likely, b = np.unique(b, return_inverse=True)
            near = _products(first, unit_vectors(thumbnails[rows[right][likely]]), a, b) >= CORRELATION
            beside.append(np.stack([rows[left][a[near]], rows[right][likely[b[near]]]], axis=1).astype(np.int32))
            if progress is not None:
                done += bounds.size
                progress(min(done, total), total)
        block = np.concatenate(beside)
        pairs.append(block[np.lexsort((block[:, 1], block[:, 0]))])
    return np.concatenate(pairs)


def unit_vectors(thumbnails: Array) -> Array:
    """Return (n, pixels) float32 of mean 0 and length 1 for (n, side, side) uint8; 0 for a single grey."""
    vectors = thumbnails.reshape(len(thumbnails), math.prod(thumbnails.shape[1:])).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return np.divide(vectors, lengths, out=vectors, where=lengths > 0)


def correlate(thumbnails: Array, pairs: Array) -> Array:
    """Return (m,) float32, Pearson's correlation of each of (m, 2) pairs; 0 where one is of a single grey."""
    places, which = np.unique(pairs, return_inverse=True)
    vectors, (a, b) = unit_vectors(thumbnails[places]), which.reshape(-1, 2).T
    return _products(vectors, vectors, a, b)


def _products(left: Array, right: Array, a: Array, b: Array) -> Array:
    """Return (m,) float32, the products of vectors (m,) ``a`` of ``left`` with vectors (m,) ``b`` of ``right``."""
    products = np.empty(len(a), np.float32)
    for start in range(0, len(a), PAIRS):
        part = slice(start, start + PAIRS)
        products[part] = np.einsum("ij,ij->i", left[a[part]], right[b[part]])
    return products


def _bounding_vectors(thumbnails: Array, rows: Array) -> Array:
    """Return (k, d) float32, the coordinates of each vector and the length of its rest; their products are bounds."""
    if len(rows) <= SAMPLE:
        return unit_vectors(thumbnails[rows])
    # The sample decides how fast the search is, never what it returns.
    sample = unit_vectors(thumbnails[np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))])
    size = sample.shape[1]
    basis = eigh(sample.T @ sample, subset_by_index=[size - DIRECTIONS, size - 1])[1].astype(np.float32)
    bounding = np.empty((len(rows), DIRECTIONS + 1), np.float32)
    for start in range(0, len(rows), SAMPLE):
        vectors = unit_vectors(thumbnails[rows[start : start + SAMPLE]])
        coordinates = bounding[start : start + SAMPLE, :-1] = vectors @ basis
        inside = np.einsum("ij,ij->i", coordinates, coordinates)
        bounding[start : start + SAMPLE, -1] = np.sqrt(np.maximum(np.einsum("ij,ij->i", vectors, vectors) - inside, 0))
    return bounding


def _blocks(n: int, parts: int) -> Iterator[tuple[slice, list[slice]]]:
    """Yield blocks that cover every pair a < b of 0 to n - 1, some a with all b; with ``parts`` only a < parts <= b.

    Without ``parts`` a block has the same a and b, or none of its a is a b.
    """
    for start in range(0, parts or n, BLOCK):
        rights = [slice(other, min(other + BLOCK, n)) for other in range(parts or start, n, BLOCK)]
        if rights:
            yield slice(start, min(start + BLOCK, parts or n)), rights
