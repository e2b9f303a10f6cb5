"""Which images are copies of each other, from what audits stored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fer_bench.arrays import Array
from fer_bench.audit import across
from fer_bench.audit.copies import exact_ids, join
from fer_bench.audit.signatures import load
from fer_bench.data.prepared import Prepared


def duplicate_clusters(datasets: Sequence[Prepared]) -> tuple[Array | None, ...]:
    """Return for each data set (n,) int64, the cluster of copies that an image belongs to, -1 for one without a copy.

    Needs no image: reads what ``fer-bench data audit`` stored, and is None for a data set without. Equal numbers in two
    data sets are one cluster: exact copies are found across data sets, near copies where the two were audited together.
    """
    parts = [load(prepared) for prepared in datasets]
    audited = [(prepared, part) for prepared, part in zip(datasets, parts, strict=True) if part is not None]
    if not audited:
        return (None,) * len(parts)
    starts = np.cumsum([0, *(len(part) for _, part in audited)])
    near = [part.near + start for (_, part), start in zip(audited, starts[:-1], strict=True)]
    for (one, (first, _)), (other, (second, _)) in itertools.combinations(enumerate(audited), 2):
        crossing = across.load(first, second)
        if crossing is not None:
            near.append(crossing + starts[[one, other]])
    clusters = join(exact_ids(np.concatenate([part.pixels for _, part in audited])), np.concatenate(near))
    sizes = np.bincount(clusters)
    names = iter(np.split(np.where(sizes[clusters] > 1, clusters, -1), starts[1:-1]))
    return tuple(None if part is None else next(names) for part in parts)
