"""What an audit keeps of every image, stored beside the prepared data: copies are then found without an image.

`compute` reads every image once; `store` and `load` keep the result in ``audit.npz`` in the folder of the prepared data
set, with the hash of the table that it belongs to.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.audit.copies import SIDE, exact_ids, pixel_hash, thumbnail
from fer_bench.audit.near import near_pairs
from fer_bench.data.prepared import Prepared

FILE = "audit.npz"
SCHEMA = 4
BATCH = 1024


@dataclass(frozen=True, eq=False)
class Signatures:
    """What is kept of n images.

    Attributes:
        pixels: (n, 16) uint8, a hash of shape and pixels; equal for exact copies.
        blank: (n,) bool, a single colour.
        near: (m, 2) int32, rows a < b that are near copies; of exact copies only the first takes part, and no blank
            image does.
    """

    pixels: Array
    blank: Array
    near: Array

    def __len__(self) -> int:
        return len(self.blank)

    def of(self, rows: Array) -> Signatures:
        """Return the signatures of (k,) increasing rows.

        Where the first of a group of exact copies is left out, the next that stays takes its place in ``near``.
        """
        near = np.sort(self.places(rows)[self.near], axis=1).astype(np.int32)
        near = near[near[:, 0] >= 0]
        return Signatures(self.pixels[rows], self.blank[rows], near[np.lexsort((near[:, 1], near[:, 0]))])

    def places(self, rows: Array) -> Array:
        """Return (n,) int64, where among ``rows`` the first exact copy of each image is; -1 where none is."""
        exact = exact_ids(self.pixels)
        first = np.full(int(exact.max(initial=-1)) + 1, -1)
        first[exact[rows[::-1]]] = np.arange(len(rows))[::-1]
        return first[exact]


def compute(
    prepared: Prepared,
    progress: Callable[[int, int], None] | None = None,
    comparing: Callable[[int, int], None] | None = None,
) -> Signatures:
    """Read every image of a prepared data set once.

    Images are compared by their pixels, so that a PNG and a BMP of one picture are copies, and a grey picture is a
    copy of itself stored in colour. Thumbnails wait in a temporary file.

    Args:
        prepared: the data set.
        progress: called with the number of images read, and of all.
        comparing: called with the number of pairs of images compared, and of all.

    Raises:
        DataError: the prepared data are damaged.
    """
    n = len(prepared.samples)
    pixels, blank = np.zeros((n, 16), np.uint8), np.zeros(n, bool)
    with tempfile.TemporaryFile() as file:
        thumbnails = np.memmap(file, np.uint8, "w+", shape=(n, SIDE, SIDE))
        for start in range(0, n, BATCH):
            rows = np.arange(start, min(start + BATCH, n))
            for row, image in zip(rows, prepared.images(rows), strict=True):
                pixels[row] = np.frombuffer(pixel_hash(image), np.uint8)
                blank[row] = (image == image[0, 0]).all()
                thumbnails[row] = thumbnail(image)
            if progress is not None:
                progress(int(rows[-1]) + 1, n)
        near = near_pairs(thumbnails, first_of_copies(pixels, blank), progress=comparing)
        del thumbnails
    return Signatures(pixels, blank, near)


def first_of_copies(pixels: Array, blank: Array) -> Array:
    """Return the rows, rising, of images that are not blank, only the first of each group of exact copies."""
    _, first = np.unique(exact_ids(pixels), return_index=True)
    return np.sort(first[~blank[first]])


def store(signatures: Signatures, prepared: Prepared) -> None:
    """Write ``signatures`` beside the prepared data, whole or not at all.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    arrays = {field.name: getattr(signatures, field.name) for field in fields(signatures)}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, head=np.array([str(SCHEMA), prepared.table_sha256]), **arrays)
    atomic.write_file(prepared.folder / FILE, content.getvalue(), f"the audit of {prepared.name!r}")


def load(prepared: Prepared) -> Signatures | None:
    """Return what `store` wrote for exactly these data; None if there is nothing, it is damaged, or of other data."""
    try:
        with np.load(prepared.folder / FILE, allow_pickle=False) as file:
            if file["head"].tolist() != [str(SCHEMA), prepared.table_sha256]:
                return None
            signatures = Signatures(**{field.name: file[field.name] for field in fields(Signatures)})
    except Exception:  # zipfile, zlib and numpy each raise their own; an audit can always be made again.
        return None
    return signatures if len(signatures) == len(prepared) else None
