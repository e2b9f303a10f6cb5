"""Stage outputs of all samples of a task, read from the maps of the cache a few rows at a time."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fer_bench.arrays import Array

_KEPT_BYTES = 64 << 20
"""Pages of the maps stay with this process until this number of bytes was read; then the operating system may have them
back (they stay in its file cache). Otherwise the process would seem to grow as large as the files."""


class Inputs(Protocol):
    """Input of the first stage that runs: `Outputs` of the stage before, or `fer_bench.networks.pictures.Pictures`."""

    def __len__(self) -> int: ...

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return the inputs of some samples as they are stored: the axes of ``rows``, then those of an input.

        ``variant`` 1 is of the mirrored image; one number, or one for each of ``rows``.
        """
        ...


class Outputs:
    """Outputs of a stage for every sample of a task.

    Args:
        parts: each (n_i, variants_i, …) floating point; what follows has one shape.
        dtype: of what `take` returns; None for the parts' own.
        places: (n, 2) int, of each sample the part and the row in it; None where samples come in the order of the
            parts, each once.
    """

    def __init__(
        self,
        parts: Sequence[Array],
        dtype: type[np.floating[Any]] | None = np.float32,
        places: Array | None = None,
    ):
        shapes = {part.shape[2:] for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"parts of {len(shapes)} shapes: {sorted(shapes)}")
        if places is None:
            places = np.concatenate(
                [np.stack(np.broadcast_arrays(i, np.arange(len(x))), 1) for i, x in enumerate(parts)]
            )
        self._maps = [part.base for part in parts if isinstance(part.base, mmap.mmap)]
        self._parts = [np.asarray(part) for part in parts]  # a plain array gives its rows faster than a map
        self._places = places
        self._read = 0
        self.dtype = np.result_type(*parts) if dtype is None else np.dtype(dtype)
        (self.shape,) = shapes

    def __len__(self) -> int:
        return len(self._places)

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return the outputs of some samples.

        Args:
            rows: (k,) or (steps, k) int, of the task, in any order; in rising order they are read fastest.
            variant: 0 for the image, 1 for the mirrored one; one number, or one for each of ``rows``.

        Returns:
            (k, …) or (steps, k, …).
        """
        shape, variant = np.shape(rows), np.broadcast_to(np.asarray(variant), np.shape(rows)).ravel()
        places = self._places[np.ravel(rows)]
        taken: Array = np.empty((len(places), *self.shape), self.dtype)
        # Row by row: indexing by arrays would copy everything twice.
        for into, (number, row), kind in zip(taken, places.tolist(), variant.tolist(), strict=True):
            into[...] = self._parts[number][row, kind]
        self._read += taken.nbytes
        if self._read > _KEPT_BYTES:
            self._give_pages_back()
        return taken.reshape(*shape, *self.shape)

    def _give_pages_back(self) -> None:
        self._read = 0
        for kept in self._maps if hasattr(mmap, "MADV_DONTNEED") else ():
            kept.madvise(mmap.MADV_DONTNEED)
