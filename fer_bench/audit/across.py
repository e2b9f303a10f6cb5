"""Near copies in two data sets: looked for once, and kept beside one of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.audit.copies import CHUNK, CORRELATION, DISTANCE, SIDE, correlate, thumbnail
from fer_bench.audit.hamming import close_pairs
from fer_bench.audit.signatures import Signatures, first_of_copies
from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError

Array = np.ndarray[Any, Any]

BATCH = 1024


def find(first: Prepared, second: Prepared, signatures: tuple[Signatures, Signatures]) -> Array:
    """Return (m, 2) int64, rows of the first and of the second that are near copies of each other, in order.

    Of exact copies within a data set the first alone takes part, no blank image does, and what is an exact copy is left
    out: hashes of pixels tell those. Only images whose hashes are close are read again.

    Args:
        first: a data set.
        second: another.
        signatures: what an audit keeps of each.

    Raises:
        DataError: the prepared data are damaged.
    """
    rows = [first_of_copies(found.pixels, found.blank) for found in signatures]
    hashes = np.concatenate([found.hashes[own] for found, own in zip(signatures, rows, strict=True)])
    n = len(rows[0])
    close = [np.empty((0, 2), np.int64)]
    for pairs in close_pairs(hashes, DISTANCE):
        crossing = pairs[(pairs[:, 0] < n) & (pairs[:, 1] >= n)]
        found = np.stack([rows[0][crossing[:, 0]], rows[1][crossing[:, 1] - n]], axis=1)
        same = (signatures[0].pixels[found[:, 0]] == signatures[1].pixels[found[:, 1]]).all(axis=1)
        close.append(found[~same])
    pairs = np.concatenate(close)
    wanted = [np.unique(pairs[:, side]) for side in (0, 1)]
    places = np.stack([np.searchsorted(wanted[0], pairs[:, 0]), np.searchsorted(wanted[1], pairs[:, 1])], axis=1)
    places[:, 1] += len(wanted[0])
    with tempfile.TemporaryFile() as file:
        thumbnails = np.memmap(file, np.uint8, "w+", shape=(max(1, sum(map(len, wanted))), SIDE, SIDE))
        start = 0
        for prepared, own in zip((first, second), wanted, strict=True):
            for begin in range(0, len(own), BATCH):
                images = prepared.images(own[begin : begin + BATCH])
                for place, image in enumerate(images, start + begin):
                    thumbnails[place] = thumbnail(image)
            start += len(own)
        parts = np.array_split(np.arange(len(pairs)), len(pairs) // CHUNK + 1)
        kept = [pairs[part][correlate(thumbnails, places[part]) >= CORRELATION] for part in parts]
        del thumbnails
    near = np.concatenate(kept)
    return near[np.lexsort((near[:, 1], near[:, 0]))]


def store(near: Array, first: Prepared, second: Prepared) -> None:
    """Keep what `find` returned, whole or not at all.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    file, swapped = _file(first, second)
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".audit-", delete=False) as temporary:
            np.savez_compressed(temporary, head=_head(first, second), near=near[:, ::-1] if swapped else near)
        Path(temporary.name).replace(file)
    except OSError as error:
        raise FerBenchError(
            f"Cannot write the near copies of {first.name!r} and {second.name!r} to {str(file.parent)!r}: "
            f"{error.strerror or error}. Free space or permit writing there."
        ) from error


def load(first: Prepared, second: Prepared) -> Array | None:
    """Return what `store` kept for exactly these data; None if there is nothing, or it is damaged."""
    file, swapped = _file(first, second)
    try:
        with np.load(file, allow_pickle=False) as found:
            if found["head"].tolist() != _head(first, second):
                return None
            near = found["near"]
    except Exception:  # zipfile, zlib and numpy each raise their own; it can always be looked for again.
        return None
    return near[:, ::-1] if swapped else near


def _head(first: Prepared, second: Prepared) -> list[str]:
    return ["1", *sorted((first.fingerprint, second.fingerprint))]


def _file(first: Prepared, second: Prepared) -> tuple[Path, bool]:
    """Return where near copies of two data sets are kept, and whether the second comes first there."""
    swapped = second.fingerprint < first.fingerprint
    one, other = (second, first) if swapped else (first, second)
    return one.folder / f"audit-{other.fingerprint[:16]}.npz", swapped
