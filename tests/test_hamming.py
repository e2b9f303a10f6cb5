"""The banded search finds exactly the pairs that comparing every two finds."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.audit import hamming


def every_two(hashes, distance):
    differ = np.bitwise_count(hashes[:, np.newaxis] ^ hashes[np.newaxis])
    rows, columns = np.nonzero(differ <= distance)
    return {(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if a < b}


def banded(hashes, distance):
    pairs = [(int(a), int(b)) for found in hamming.close_pairs(hashes, distance) for a, b in found]
    assert len(set(pairs)) == len(pairs), "each pair once"
    return set(pairs)


def flip(rng, value, bits):
    return value ^ np.uint64(sum(1 << int(bit) for bit in rng.permutation(64)[:bits]))


@pytest.mark.parametrize("distance", [0, 3, 4, 12, 13])
def test_planted_pairs_at_every_distance(distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, 600, np.uint64)
    planted = np.array([flip(rng, hashes[n], n % (distance + 3)) for n in range(300)], np.uint64)
    both = np.concatenate([hashes, planted])
    assert banded(both, distance) == every_two(both, distance)
    assert len(banded(both, distance)) >= 300 * (distance + 1) // (distance + 3) - distance


def test_the_hardest_pair_spreads_its_bits_evenly():
    # Three bits in each band: no band is equal, and with one more bit anywhere the pair is too far.
    three = np.uint64(0x0007_0007_0007_0007)
    hashes = np.array([5, 5 ^ int(three), 5 ^ int(three) ^ (1 << 63)], np.uint64)
    assert banded(hashes, 12) == {(0, 1), (1, 2)}


def test_hashes_that_crowd_in_few_bands(monkeypatch):
    monkeypatch.setattr(hamming, "CHUNK", 50)
    rng = np.random.default_rng(1)
    # All share three bands, or nearly: buckets are large, and pieces many.
    hashes = rng.integers(0, 40, 300, np.uint64) + (rng.integers(0, 3, 300, np.uint64) << np.uint64(40))
    assert banded(hashes, 12) == every_two(hashes, 12)
    assert banded(hashes, 2) == every_two(hashes, 2)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n):
    assert banded(np.zeros(n, np.uint64), 12) == set()
