"""Samples that must not be torn apart: joined wherever they share a person, a sequence or a cluster of copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_bench.arrays import Array


def merge(keys: Sequence[Array]) -> Array:
    """Return the finest groups in which samples that share any key stand together, (n,) int64.

    Samples and keys are the nodes of a graph and groups its connected components, so that a chain of shared keys joins
    its ends.

    Args:
        keys: (n,) int each; below 0 where a sample has none. Equal numbers in two of them are two keys.

    Example:
        >>> merge([np.array([7, 7, -1, -1]), np.array([-1, 1, 1, -1])]).tolist()
        [0, 0, 0, 1]
    """
    n = len(keys[0])
    samples: list[Array] = []
    nodes: list[Array] = []
    size = n
    for column in keys:
        known = np.flatnonzero(column >= 0)
        names, codes = np.unique(column[known], return_inverse=True)
        samples.append(known)
        nodes.append(size + codes)
        size += len(names)
    rows, columns = np.concatenate(samples), np.concatenate(nodes)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    # Renumbered by first appearance, so that groups do not depend on how the graph is walked.
    _, first, codes = np.unique(components[:n], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes]
