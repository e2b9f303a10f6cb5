"""What a protocol's folds let from training into the test: copies, people, sequences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fer_bench.arrays import Array
from fer_bench.audit.clusters import duplicate_clusters
from fer_bench.audit.copies import exact_ids
from fer_bench.audit.signatures import Signatures
from fer_bench.data.texts import encode
from fer_bench.tasks.folds import Fold, Split
from fer_bench.tasks.view import View

KINDS = ("an exact copy", "an exact or near copy", "the same subject", "the same sequence")
NAMED = KINDS[2:]
"""Those that the data must name: pixels tell copies, and nothing tells people where no subject is named."""


def keys(view: View, signatures: Signatures) -> dict[str, Array]:
    """Return for each of `KINDS` (n,) int64, equal for images of a view that share it; below 0 where none is known."""
    (clusters,) = duplicate_clusters([view.prepared])
    assert clusters is not None, "the audit is stored"
    columns = (
        exact_ids(signatures.pixels)[view.rows],
        clusters[view.rows],
        _names(view, "subject"),
        _names(view, "sequence"),
    )
    return dict(zip(KINDS, columns, strict=True))


def count(split: Split, by_kind: Mapping[str, Array]) -> list[dict[str, int | None]]:
    """Return for each fold how many tested images share something with an image of its training part.

    Args:
        split: the folds.
        by_kind: from `keys`.

    Returns:
        ``{"fold": number, "tested": images, "an exact copy": images, …}`` for each fold; None for subjects or sequences
        where the data name none.
    """
    rows: list[dict[str, int | None]] = []
    for fold in split.folds:
        shared = {what: _shared(key, fold, what) for what, key in by_kind.items()}
        rows.append({"fold": fold.number, "tested": int(fold.test.sum()), **shared})
    return rows


def _shared(key: Array, fold: Fold, what: str) -> int | None:
    if what in NAMED and not (key >= 0).any():
        return None
    return int(np.isin(key[fold.test], key[fold.train & (key >= 0)]).sum())


def _names(view: View, column: str) -> Array:
    names, codes = encode(view.texts(column))
    empty = len(names) > 0 and names[0].as_py() == ""  # Names are in order.
    return np.where((codes == 0) & empty, -1, codes).astype(np.int64)
