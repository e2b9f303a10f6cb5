"""How well perceptual hashes find near copies, against the correlation of every two pictures of a data set.

    python benchmarks/near_copies.py DATASET

The data set must be prepared in the data folder (FER_BENCH_DATA_DIR). FER2013's 644 million pairs take some minutes on
two cores.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fer_bench import paths
from fer_bench.audit.copies import (
    CORRELATION,
    DISTANCE,
    SIDE,
    correlate,
    exact_ids,
    near_pairs,
    perceptual_hashes,
    pixel_hash,
    thumbnail,
)
from fer_bench.data.prepare import prepare
from fer_bench.registry import Registry

Array = np.ndarray[Any, Any]

SHOWN = (0, 2, 4, 6, 8, 9, 10, 11, 12, 14, 16)
"""Bits that may differ."""
BLOCK = 1024
SLACK = 1e-4
"""Pairs this far below the threshold are correlated again, as the audit does it."""


def main(dataset: str) -> None:
    """Print the table of ``docs/audit.md``."""
    thumbnails, pixels = read(dataset)
    exact, hashes = exact_ids(pixels), perceptual_hashes(thumbnails)
    rows = np.flatnonzero(thumbnails.reshape(len(thumbnails), -1).std(axis=1) > 0)
    truth, proposed = compare_all(thumbnails, hashes, rows)
    bits = np.bitwise_count(hashes[truth[:, 0]] ^ hashes[truth[:, 1]])
    near = exact[truth[:, 0]] != exact[truth[:, 1]]
    print(f"{len(rows):,} pictures of more than one grey, {len(rows) * (len(rows) - 1) // 2:,} pairs")
    print(f"correlation of {CORRELATION} or more: {len(truth):,} pairs, {near.sum():,} of them not exact copies\n")
    columns = ("bits that may differ", "pairs let through", "of these copies", "copies found", "of those not exact")
    print(f"| {' | '.join(columns)} |\n|{' ---: |' * len(columns)}")
    for most in SHOWN:
        through, found = int(proposed[: most + 1].sum()), bits <= most
        cells = [f"{through:,}", share(found.sum(), through), share(found.sum(), len(truth))]
        print(f"| {most} | {' | '.join([*cells, share((found & near).sum(), near.sum())])} |")
    reported = {tuple(pair) for pair in near_pairs(thumbnails, rows, hashes).tolist()}
    expected = {tuple(pair) for pair in truth[bits <= DISTANCE].tolist()}
    print(f"\nThe audit's search by bands, {DISTANCE} bits: {len(reported):,} pairs, ", end="")
    print("the same" if reported == expected else f"{len(reported ^ expected):,} others than by brute force")


def read(dataset: str) -> tuple[Array, Array]:
    """Return (n, SIDE, SIDE) uint8 thumbnails and (n, 16) uint8 hashes of the pixels."""
    prepared = prepare(Registry.load().dataset(dataset), paths.data_dir())
    thumbnails, pixels = np.empty((len(prepared), SIDE, SIDE), np.uint8), np.empty((len(prepared), 16), np.uint8)
    for start in range(0, len(prepared), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(prepared)))
        for row, image in zip(rows, prepared.images(rows), strict=True):
            thumbnails[row], pixels[row] = thumbnail(image), np.frombuffer(pixel_hash(image), np.uint8)
    return thumbnails, pixels


def compare_all(thumbnails: Array, hashes: Array, rows: Array) -> tuple[Array, Array]:
    """Return (m, 2) pairs a < b of ``rows`` that are copies, and (65,) the number of all pairs by bits that differ."""
    whole = thumbnails[rows].reshape(len(rows), -1).astype(np.float32)
    whole -= whole.mean(axis=1, keepdims=True)
    whole /= np.sqrt((whole**2).sum(axis=1, keepdims=True))
    found, counts = [np.empty((0, 2), np.int64)], np.zeros(65, np.int64)
    for a in range(0, len(rows), BLOCK):
        for b in range(a, len(rows), BLOCK):
            left, right = slice(a, a + BLOCK), slice(b, b + BLOCK)
            upper = np.arange(len(rows))[left, None] < np.arange(len(rows))[right]
            bits = np.bitwise_count(hashes[rows[left], None] ^ hashes[rows[right]])
            counts += np.bincount(bits[upper], minlength=65)
            likely = np.argwhere(upper & (whole[left] @ whole[right].T >= CORRELATION - SLACK))
            found.append(np.stack([rows[a + likely[:, 0]], rows[b + likely[:, 1]]], axis=1))
    pairs = np.concatenate(found)
    pairs = pairs[correlate(thumbnails, pairs) >= CORRELATION]
    return pairs, counts


def share(part: int, whole: int) -> str:
    """Return a percentage that is 100 only where nothing is missing."""
    return "-" if not whole else "100 %" if part == whole else f"{min(100 * part / whole, 99.99):.2f} %"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    main(parser.parse_args().dataset)
