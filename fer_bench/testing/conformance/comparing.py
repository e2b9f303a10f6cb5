"""How far apart two arrays of numbers are, or two trees of them, for rules."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array

TOLERANCE = 1e-3
"""Largest difference of what should be equal, relative to the largest value: programs that are compiled apart sum in
other orders."""


def apart(one: Array, two: Array) -> str:
    """Return in words how far two arrays of one shape are apart, or nothing if they agree."""
    scale = max(float(np.abs(two).max(initial=0)), 1e-6)
    gap = float(np.abs(one - two).max(initial=0)) / scale
    return "" if gap <= TOLERANCE else f"they differ by {gap:.3g} of the largest feature"


def differing(before: Any, after: Any) -> list[str]:
    """Return the paths of the leaves that differ."""
    old, new = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (before, after))
    return [
        jax.tree_util.keystr(path)
        for path in sorted({*old, *new}, key=str)
        if path not in old or path not in new or not _equal(old[path], new[path])
    ]


def _equal(one: Any, two: Any) -> bool:
    if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
        one, two = jax.random.key_data(one), jax.random.key_data(two)
    return (
        np.array_equal(one, two, equal_nan=True)
        if jnp.issubdtype(one.dtype, jnp.floating)
        else np.array_equal(one, two)
    )
