"""Linear heads of many penalties on one training part, each fitted to convergence.

A search fits the same head under hundreds of penalties to each inner training part. Three things make that cheap, and
change no minimum:

- Where a part has fewer samples than features, the heads lie in the span of its samples (B. Schölkopf, R. Herbrich and
  A. J. Smola, "A generalized representer theorem", COLT 2001). A Cholesky factor of the samples' inner products takes
  the place of the features: as many numbers as there are samples.
- Neighbouring penalties have neighbouring heads. A few that span the path begin at zero, then those in the middle
  between them begin between their neighbours, and so on (J. Friedman, T. Hastie and R. Tibshirani, "Regularization
  paths for generalized linear models via coordinate descent", Journal of Statistical Software 33, 2010, section 2.5).
- A few heads are in training at a time. One that is done gives its place to the next, so that none waits for the
  slowest.
- Sizes are rounded up, by samples without weight, so that parts of nearly one size share their compiled programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import log_softmax

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning.convex import PIECE_BYTES, Heads, bytes_of_a_row, cut_evenly, mean_and_deviation
from fer_bench.learning.descent import Descent, Head, Objectives, Piece, begin_at_zero
from fer_bench.specs import ConvexPhase

AT_ONCE = 8
"""Heads in training at a time. With 16 more of them begin at zero, and 200 heads on 840 samples take 2,330 steps in all
instead of 1,394."""
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
    with jax.default_matmul_precision("float32"):  # as in `convex.fit`
        path = _Path(pieces, weight, np.asarray(cs, np.float64), classes, len(rows), phase)
        path.walk()
    weights = path.weights
    if factor is not None:
        k, m, c = len(x), len(cs), classes
        dual = solve_triangular(factor, weights[:k].reshape(k, m * c), lower=True, trans="T", check_finite=False)
        weights = (x.T @ dual.astype(np.float32)).reshape(-1, m, c)
    return Heads(path.loss, path.gradient, path.iterations, weights, path.bias, centre, spread)


class _Path:
    """The heads of all penalties on one training part, of which `AT_ONCE` are in training at a time.

    Attributes:
        weights: (r, m, c) float32 of those that are done; likewise the next ones, each (m, …).
    """

    def __init__(
        self,
        samples: tuple[jax.Array, jax.Array],
        weight: jax.Array,
        strengths: Array,
        classes: int,
        count: int,
        phase: ConvexPhase,
    ):
        m, self._width = len(strengths), min(AT_ONCE, len(strengths))
        self._logs, self._penalties = np.log(strengths), (1 / (2 * strengths * count)).astype(np.float32)
        self.weights = np.zeros((samples[0].shape[1], m, classes), np.float32)
        self.bias, self.loss, self.gradient = np.zeros((m, classes), np.float32), *np.zeros((2, m), np.float32)
        self.iterations = np.zeros(m, np.int32)
        self._done = np.zeros(m, bool)
        self._waiting = _in_halves(strengths)
        self._own = np.array([self._waiting.pop() for _ in range(self._width)])
        problem, piece = self._problem(), Piece(*samples, jnp.tile(weight, (1, self._width)))
        looser = replace(phase, tolerance=ENOUGH * phase.tolerance)
        self._descent = Descent(lambda: (piece,), problem, begin_at_zero(problem, classes), looser)

    def walk(self) -> None:
        """Train every head."""
        while not self._done.all():
            if (finished := ~self._descent.active & ~self._done[self._own]).any():
                self._keep(finished)
                self._refill()
            if self._descent.active.any():
                self._descent.step()

    def _problem(self) -> Objectives:
        unscaled = (len(self.weights), self._width)
        return Objectives(jnp.zeros(unscaled), jnp.ones(unscaled), jnp.asarray(self._penalties[self._own]))

    def _keep(self, finished: Array) -> None:
        """Take the heads of some lanes, (width,) bool, out of training."""
        own, descent = self._own[finished], self._descent
        self.weights[:, own] = np.asarray(descent.head.weights)[:, finished]
        self.bias[own] = np.asarray(descent.head.bias)[finished]
        self.loss[own], self.gradient[own] = descent.value[finished], descent.largest[finished]
        self.iterations[own], self._done[own] = descent.iterations[finished], True

    def _refill(self) -> None:
        """Put waiting heads in the place of those that are done."""
        lanes = np.flatnonzero(self._done[self._own])[: len(self._waiting)]
        if not len(lanes):
            return
        weights, bias = np.array(self._descent.head.weights), np.array(self._descent.head.bias)
        for lane in lanes:
            self._own[lane] = self._waiting.pop()
            weights[:, lane], bias[lane] = self._begin(int(self._own[lane]))
        replaced = np.isin(np.arange(self._width), lanes)
        self._descent.replace(replaced, self._problem(), Head(jnp.asarray(weights), jnp.asarray(bias)))

    def _begin(self, place: int) -> tuple[Array, Array]:
        """Return a head on the line through two that are done, over the logarithm of the strength.

        These are the nearest ones on both sides, or the two nearest where one side has none.
        """
        way = self._logs - self._logs[place]
        done = np.flatnonzero(self._done)
        done = done[np.abs(way[done]).argsort(kind="stable")]
        near = done[0]
        other = next((other for other in done if way[other] * way[near] < 0), done[min(1, len(done) - 1)])
        apart = way[other] - way[near]
        share = np.float32(np.clip(-way[near] / apart, -1, 1)) if abs(apart) > _CLOSE else np.float32(0)
        return (
            self.weights[:, near] + share * (self.weights[:, other] - self.weights[:, near]),
            self.bias[near] + share * (self.bias[other] - self.bias[near]),
        )


def _in_halves(strengths: Array) -> list[int]:
    """Return the places of strengths, last the two ends, before them the middle, and so on by halves."""
    order, bits = np.argsort(strengths, kind="stable").tolist(), len(strengths).bit_length()
    last, rest = order[-1], order[:-1]
    halves = sorted(range(len(rest)), key=lambda number: f"{number:0{bits}b}"[::-1])
    return [*(rest[number] for number in reversed(halves)), last]


def log_probabilities(heads: Heads, features: Inputs, rows: Array) -> Array:
    """Return what all heads say of some samples, (m, k, c) float32."""
    f, m, c = heads.weights.shape
    weights = heads.weights.reshape(f, m * c)
    size = max(1, PIECE_BYTES // bytes_of_a_row(f, m, c))
    values = np.empty((m, len(rows), c), np.float32)
    for start in range(0, len(rows), size):
        x = (features.take(rows[start : start + size]) - heads.centre) / heads.spread
        logits = (x @ weights).reshape(-1, m, c) + heads.bias
        values[:, start : start + size] = log_softmax(logits, axis=2).swapaxes(0, 1)
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
