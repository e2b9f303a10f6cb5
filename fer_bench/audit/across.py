"""Near copies in two data sets: looked for once, and kept beside one of them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.audit.copies import SIDE, thumbnail
from fer_bench.audit.near import near_pairs
from fer_bench.audit.signatures import Signatures, first_of_copies
from fer_bench.data.prepared import Prepared

BATCH = 1024


def find(
    first: Prepared,
    second: Prepared,
    signatures: tuple[Signatures, Signatures],
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return (m, 2) int64, rows of the first and of the second that are near copies of each other, in order.

    Of exact copies within a data set only the first takes part, no blank image does, and what is an exact copy is left
    out: hashes of pixels tell those.

    Args:
        first: a data set.
        second: another.
        signatures: what an audit keeps of each.
        progress: called with the number of pairs of images compared, and of all.

    Raises:
        DataError: the prepared data are damaged.
    """
    rows = [first_of_copies(part.pixels, part.blank) for part in signatures]
    n = len(rows[0])
    with tempfile.TemporaryFile() as file:
        thumbnails = np.memmap(file, np.uint8, "w+", shape=(max(1, n + len(rows[1])), SIDE, SIDE))
        for prepared, own, start in zip((first, second), rows, (0, n), strict=True):
            for begin in range(0, len(own), BATCH):
                images = prepared.images(own[begin : begin + BATCH])
                for place, image in enumerate(images, start + begin):
                    thumbnails[place] = thumbnail(image)
        pairs = near_pairs(thumbnails, np.arange(n + len(rows[1])), n, progress) if n else np.empty((0, 2), np.int64)
        del thumbnails
    near = np.stack([rows[0][pairs[:, 0]], rows[1][pairs[:, 1] - n]], axis=1)
    same = (signatures[0].pixels[near[:, 0]] == signatures[1].pixels[near[:, 1]]).all(axis=1)
    return near[~same]


def store(near: Array, first: Prepared, second: Prepared) -> None:
    """Keep what `find` returned, whole or not at all.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    file, swapped = _file(first, second)
    content = io.BytesIO()
    np.savez_compressed(content, head=_head(first, second), near=near[:, ::-1] if swapped else near)
    atomic.write_file(file, content.getvalue(), f"the near copies of {first.name!r} and {second.name!r}")


def load(first: Prepared, second: Prepared) -> Array | None:
    """Return what `store` kept for exactly these data; None if there is nothing, or it is damaged."""
    file, swapped = _file(first, second)
    try:
        with np.load(file, allow_pickle=False) as stored:
            if stored["head"].tolist() != _head(first, second):
                return None
            near = stored["near"]
    except Exception:  # zipfile, zlib and numpy each raise their own; it can always be looked for again.
        return None
    return near[:, ::-1] if swapped else near


def _head(first: Prepared, second: Prepared) -> list[str]:
    return ["3", *sorted((first.table_sha256, second.table_sha256))]


def _file(first: Prepared, second: Prepared) -> tuple[Path, bool]:
    """Return where near copies of two data sets are kept, and whether the second comes first there."""
    swapped = second.table_sha256 < first.table_sha256
    one, other = (second, first) if swapped else (first, second)
    return one.folder / f"audit-{other.table_sha256[:16]}.npz", swapped
