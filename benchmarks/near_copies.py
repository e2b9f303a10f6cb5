"""How the time of the search for near copies grows, and that it finds what comparing every two pictures finds.

    python benchmarks/near_copies.py DATASET [--aligned] [--images N ...]

The data set must be prepared in the data folder (FER_BENCH_DATA_DIR). With ``--aligned`` each picture is put on black
behind one common oval, as aligned faces are: then all pictures look alike, which is the hardest case. More pictures
than the data set has are made of it: mirrored, then enlarged in steps, so that they are as alike as the real ones.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any

import numpy as np

from fer_bench import paths
from fer_bench.audit.copies import SIDE, thumbnail
from fer_bench.audit.near import CORRELATION, correlate, near_pairs, unit_vectors
from fer_bench.data.prepare import prepare
from fer_bench.registry import Registry

Array = np.ndarray[Any, Any]

BLOCK = 1024
CHECKED = 20_000
"""Most pictures of which every two are compared."""
SLACK = 1e-4
"""Pairs this far below the threshold are correlated again, as the audit does it."""


def main(dataset: str, aligned: bool, sizes: list[int]) -> None:
    """Print a row a number of pictures."""
    real = read(dataset)
    heads = ("pictures", "pairs", "near copies", "seconds", "of processors", "peak memory, MB", "all pairs compared")
    print(f"| {' | '.join(heads)} |\n|" + " ---: |" * len(heads))
    for n in sizes or [len(real)]:
        thumbnails = grow(real, n)
        if aligned:
            y, x = np.mgrid[:SIDE, :SIDE]
            thumbnails *= (((x - 23.5) / 17) ** 2 + ((y - 23.5) / 22) ** 2 < 1).astype(np.uint8)
        started, used = time.perf_counter(), time.process_time()
        pairs = near_pairs(thumbnails, np.arange(n))
        seconds, processors = time.perf_counter() - started, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        same = "-" if n > CHECKED else "the same" if np.array_equal(pairs, compare_all(thumbnails)) else "OTHERS"
        row = (f"{n:,}", f"{n * (n - 1) // 2:,}", f"{len(pairs):,}", f"{seconds:.1f}", f"{processors:.1f}")
        print(f"| {' | '.join((*row, f'{peak:,.0f}', same))} |", flush=True)


def read(dataset: str) -> Array:
    """Return (n, SIDE, SIDE) uint8 thumbnails."""
    prepared = prepare(Registry.load().dataset(dataset), paths.data_dir())
    thumbnails = np.empty((len(prepared), SIDE, SIDE), np.uint8)
    for start in range(0, len(prepared), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(prepared)))
        for row, image in zip(rows, prepared.images(rows), strict=True):
            thumbnails[row] = thumbnail(image)
    return thumbnails


def grow(real: Array, n: int) -> Array:
    """Return ``n`` pictures: the real ones, those mirrored, then both without 2, 4, … pixels on each side, enlarged."""
    grown = np.empty((n, SIDE, SIDE), np.uint8)
    for at in range(n):
        variant, row = divmod(at, len(real))
        margin = variant // 2 * 2
        inner = real[row, margin : SIDE - margin, margin : SIDE - margin]
        grown[at] = thumbnail(inner[:, :: -1 if variant % 2 else 1, None])
    return grown


def compare_all(thumbnails: Array) -> Array:
    """Return (m, 2) the pairs a < b whose correlation reaches the threshold, in order, by comparing every two."""
    whole, pairs = unit_vectors(thumbnails), [np.empty((0, 2), np.int64)]
    for a in range(0, len(whole), BLOCK):
        likely = np.argwhere(whole[a : a + BLOCK] @ whole.T >= CORRELATION - SLACK) + np.array([a, 0])
        pairs.append(likely[likely[:, 0] < likely[:, 1]])
    return np.concatenate([part[correlate(thumbnails, part) >= CORRELATION] for part in pairs])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--aligned", action="store_true")
    parser.add_argument("--images", type=int, nargs="*", default=[])
    options = parser.parse_args()
    main(options.dataset, options.aligned, options.images)
