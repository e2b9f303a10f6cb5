"""Linear heads of many penalties on one training part, each fitted to convergence.

A search fits the same head under hundreds of penalties to each inner training part. Three things make that cheap, and
change no minimum:

- Where a part has fewer samples than features, the heads lie in the span of its samples (B. Schölkopf, R. Herbrich and
  A. J. Smola, "A generalized representer theorem", COLT 2001). A Cholesky factor of the samples' inner products takes
  the place of the features: as many numbers as there are samples.
- Neighbouring penalties have neighbouring heads. Penalties are sorted and dealt to batches like cards, so that each
  batch spans them all and begins at the heads of the one before (J. Friedman, T. Hastie and R. Tibshirani,
  "Regularization paths for generalized linear models via coordinate descent", Journal of Statistical Software 33,
  2010, section 2.5).
- Sizes are rounded up, by samples without weight, so that parts of nearly one size share their compiled programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning.convex import (
    PIECE_BYTES,
    Head,
    Heads,
    Objectives,
    Piece,
    bytes_of_a_row,
    cut_evenly,
    mean_and_deviation,
    solve,
)
from fer_bench.specs import ConvexPhase

AT_ONCE = 16
"""Heads of a batch. On a CPU more cost more steps in all, since a batch takes as many as its slowest head."""
LARGEST_BYTES = 1 << 30
"""Of the features of a training part; what is larger is not held in memory, and `convex.fit` streams it."""
ENOUGH = 10
"""Times the tolerance of the phase at which a head of a search is done; the engine counts a head as converged there."""
_JITTER = 1e-6
"""Share of their mean that is added to the inner products of samples with themselves: copies of a sample have no
Cholesky factor without it."""
_CLOSE = 1e-6
"""Logarithms of two strengths that are nearer show no direction."""
_CONSTANT = 1e-6
"""A feature whose variance over the training part is a smaller share of that over all samples is only centred, as in
`fer_bench.learning.convex`."""


class _Batch(NamedTuple):
    own: Array  # (b,) int, places of the strengths
    strengths: Array  # (b,) of the penalties, inverse
    head: Head
    loss: Array  # (b,) likewise the next two
    gradient: Array
    iterations: Array


def fit(features: Outputs, labels: Array, rows: Array, classes: int, phase: ConvexPhase, cs: Sequence[float]) -> Heads:
    """Fit one head for each inverse strength of the penalty to the same training part.

    The minimum of each is that of `fer_bench.learning.convex.fit` with this strength.

    Args:
        features: (f,) each, of all samples.
        labels: (n,) int, 0 to ``classes - 1``.
        rows: (k,) int, the training part.
        classes: c.
        phase: scaling and stopping rule; its own strength does not count.
        cs: m of them, > 0.
    """
    centre, spread = _scaling(features, rows, phase.standardize)
    x = (features.take(rows) - centre) / spread
    base, factor = _reduce(x)
    pieces, weight = _pad(base, labels[rows])
    order = np.argsort(cs, kind="stable")
    batches = -(-len(order) // AT_ONCE)
    size = -(-len(order) // batches)
    looser = replace(phase, tolerance=ENOUGH * phase.tolerance)
    solved: list[_Batch] = []
    for number in range(batches):
        # The last one of a short batch stands twice, so that all batches have one shape.
        own = _filled(order[number::batches], size)
        strengths = np.asarray(cs, np.float64)[own]
        penalty = jnp.asarray(1 / (2 * strengths * len(rows)), jnp.float32)
        unscaled = (pieces[0].shape[1], size)
        problem = Objectives(jnp.zeros(unscaled), jnp.ones(unscaled), penalty)
        piece = Piece(pieces[0], pieces[1], jnp.tile(weight, (1, size)))
        head, *said = solve(lambda piece=piece: (piece,), problem, classes, looser, begin=_begin(solved, strengths))
        solved.append(_Batch(own, strengths, head, *said))
    return _gather(solved, len(order), x, factor, centre, spread)


def log_probabilities(heads: Heads, features: Inputs, rows: Array) -> Array:
    """Return what all heads say of some samples, (m, k, c) float32."""
    f, m, c = heads.weights.shape
    weights = heads.weights.reshape(f, m * c)
    size = max(1, PIECE_BYTES // bytes_of_a_row(f, m, c))
    values = np.empty((m, len(rows), c), np.float32)
    for start in range(0, len(rows), size):
        x = (features.take(rows[start : start + size]) - heads.centre) / heads.spread
        logits = (x @ weights).reshape(-1, m, c) + heads.bias
        logits -= logits.max(2, keepdims=True)
        logits -= np.log(np.exp(logits).sum(2, keepdims=True))
        values[:, start : start + size] = logits.swapaxes(0, 1)
    return values


def _scaling(features: Outputs, rows: Array, standardize: bool) -> tuple[Array, Array]:
    """Return what is taken from each feature and what it is divided by, (f,) float32 each."""
    row = bytes_of_a_row(features.shape[0], 0, 0)
    overall = mean_and_deviation(features, cut_evenly(len(features), row))[1]
    x = features.take(rows)
    centre = x.mean(0, dtype=np.float64).astype(np.float32)
    if not standardize:
        return centre, np.ones_like(centre)
    variance = np.square((x - centre) / overall).mean(0, dtype=np.float64)
    scale = np.sqrt(np.where(variance > _CONSTANT, variance, 1.0))
    return centre, (overall * scale).astype(np.float32)


def _reduce(x: Array) -> tuple[Array, Array | None]:
    """Return samples (k, r) whose heads are those of ``x`` (k, f) by a change of base, and its factor (k, k) or None.

    With the factor C, lower triangular, a head w of the r numbers is the head ``x.T @ inv(C).T @ w`` of the features.
    """
    k, f = x.shape
    if k >= f:
        return x, None
    wide = x.astype(np.float64)
    products = wide @ wide.T
    products[np.diag_indices(k)] += _JITTER * products.trace() / k
    factor = np.linalg.cholesky(products).astype(np.float32)
    return factor, factor


def _pad(base: Array, labels: Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Return samples and labels of a rounded number, and the weight of each, (k', 1): 0 where it was added."""
    k, r = base.shape
    size = _round_up(k)
    wide = size if r == k else r
    x, target, weight = (
        np.zeros((size, wide), np.float32),
        np.zeros(size, labels.dtype),
        np.zeros((size, 1), np.float32),
    )
    x[:k, :r], target[:k], weight[:k] = base, labels, 1 / k
    return (jnp.asarray(x), jnp.asarray(target)), jnp.asarray(weight)


def _round_up(count: int) -> int:
    """Return the next number with three binary digits after the first: at most an eighth more."""
    unit = 1 << max(0, count.bit_length() - 4)
    return -(-count // unit) * unit


def _begin(solved: Sequence[_Batch], strengths: Array) -> Head | None:
    """Return heads on the lines through those of the two batches before, over the logarithm of the strength."""
    if len(solved) < 2:
        return solved[0].head if solved else None
    before, last = solved[-2:]
    way, ahead = np.log(last.strengths / before.strengths), np.log(strengths / last.strengths)
    step = np.divide(ahead, way, out=np.zeros_like(way), where=np.abs(way) > _CLOSE).clip(-1, 2).astype(np.float32)
    return jax.tree.map(lambda a, b: b + np.expand_dims(step, -1) * (b - a), before.head, last.head)


def _filled(order: Array, size: int) -> Array:
    """Return places of strengths, the last of them repeated until there are ``size``."""
    return np.concatenate([order, np.repeat(order[-1:], size - len(order))])


def _gather(solved: Sequence[_Batch], m: int, x: Array, factor: Array | None, centre: Array, spread: Array) -> Heads:
    """Return the heads of all batches in the order of the strengths, for features as `Heads` takes them."""
    own, first = np.unique(np.concatenate([batch.own for batch in solved]), return_index=True)
    assert len(own) == m, "every strength is in some batch"
    weights = np.concatenate([np.asarray(batch.head.weights) for batch in solved], 1)[:, first]
    bias = np.concatenate([np.asarray(batch.head.bias) for batch in solved])[first]
    if factor is not None:
        k, c = len(x), bias.shape[1]
        dual = solve_triangular(factor, weights[:k].reshape(k, m * c), lower=True, trans="T", check_finite=False)
        weights = (x.T @ dual.astype(np.float32)).reshape(-1, m, c)
    loss, gradient, iterations = (
        np.concatenate([getattr(batch, name) for batch in solved])[first] for name in ("loss", "gradient", "iterations")
    )
    return Heads(loss, gradient, iterations, np.ascontiguousarray(weights), bias, centre, spread)
