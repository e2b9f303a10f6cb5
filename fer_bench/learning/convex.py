"""Linear heads of all folds and seeds at once: multinomial logistic regression, fitted to convergence.

Every fold trains on rows of the same features, so a fold is a mask, and one matrix product serves all of them.
Heads lie side by side in one (f, m, c) array; `jax.vmap` over whole fits would make XLA's CPU products
many times slower. Features that do not fit a piece are read piece by piece in every pass over them, so that memory does
not depend on their number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning.descent import Descent, Objectives, Piece, Pieces, begin_at_zero, fold_scaling, sum_over
from fer_bench.networks import devices
from fer_bench.specs import ConvexPhase

KEPT_BYTES = 64 << 20
"""What a single piece takes in the memory of a CPU where all samples fit one: features twice, and six arrays of logits
of all heads."""
PIECE_BYTES = 16 << 20
"""Likewise what each of several pieces takes. Allocators keep what is freed, so that a process grows to several times
this size: 400 MB at 64 MiB, 210 MB at 16 (300,000 samples, 64 features, 5 heads)."""
BYTES_ELSEWHERE = 2 << 30
"""Either of them on a GPU or TPU."""
_FAR = 1e-2
"""Share of the mean square of a feature below which a second pass sums its variance over a training part: that part
lies far from the centre of all samples, as seen from its own spread."""


@dataclass(frozen=True, eq=False)
class Heads:
    """Fitted heads.

    Attributes:
        loss: (m,) float32, mean cross-entropy over the training part plus penalty, as minimised.
        gradient: (m,) float32, largest absolute entry of the gradient at the end.
        iterations: (m,) int32, L-BFGS steps taken.
        weights: (f, m, c) float32, of features from which ``centre`` is taken and that are divided by ``spread``.
        bias: (m, c) float32.
        centre: (f,) float32; likewise ``spread``.
    """

    loss: Array
    gradient: Array
    iterations: Array
    weights: Array
    bias: Array
    centre: Array
    spread: Array

    def of_features(self, head: int) -> dict[str, Array]:
        """Return ``head/kernel`` (f, c) and ``head/bias`` (c,) float32 of a head, for features as they are."""
        kernel = self.weights[:, head] / self.spread[:, None]
        return {"head/kernel": kernel, "head/bias": self.bias[head] - self.centre @ kernel}

    def log_probabilities(self, head: int, features: Inputs, rows: Array) -> Array:
        """Return what a head says of some samples, (k, c) float32."""
        weights = np.ascontiguousarray(self.weights[:, head])
        size = max(1, PIECE_BYTES // bytes_of_a_row(*self.weights.shape))
        values = np.empty((len(rows), weights.shape[1]), np.float32)
        for start in range(0, len(rows), size):
            x = (features.take(rows[start : start + size]) - self.centre) / self.spread
            values[start : start + size] = log_softmax(x @ weights + self.bias[head], axis=1)
        return values


def fit(
    features: Outputs,
    labels: Array,
    train: Array,
    classes: int,
    phase: ConvexPhase,
    advance: Callable[[int], None] = lambda percent: None,
) -> Heads:
    """Fit one head for each training part.

    Minimises the mean cross-entropy plus ``||W||^2 / (2 c n_train)``, whose minimiser is that of scikit-learn's
    ``LogisticRegression(C=c)`` after ``StandardScaler``, by L-BFGS with backtracking (Nocedal & Wright 2006,
    ch. 7.2 and 3.1).

    Args:
        features: (f,) each, n of them.
        labels: (n,) int, 0 to ``classes - 1``.
        train: (m, n) bool, the training part of each head.
        classes: c.
        phase: penalty, scaling and stopping rule.
        advance: called with the percent of the way that are gone since the last call, 100 in all. The way is that of
            the largest gradient to the tolerance, on a logarithmic scale.
    """
    count = train.sum(1).astype(np.float32)
    bounds = cut_evenly(len(features), bytes_of_a_row(features.shape[0], len(train), classes))
    centre, spread = mean_and_deviation(features, bounds) if phase.standardize else _identity(features.shape[0])
    # One thread for all passes: the memory that each new one frees would stay with it. Without the context GPUs would
    # round the operands of products to TF32.
    with ThreadPoolExecutor(1) as reader, jax.default_matmul_precision("float32"):
        pieces = _cut(features, labels, train, count, centre, spread, bounds, reader)
        problem = _pose(pieces, features.shape[0], count, phase)
        solved = _solve(pieces, problem, classes, phase, advance)
        weights, bias = map(np.asarray, fold_scaling(problem, solved.head))
    return Heads(solved.value, solved.largest, solved.iterations, weights, bias, centre, spread)


def too_much(m: int, c: int, f: int) -> str:
    """Return what was too much for the memory of the device, and what to take."""
    return f"{m} heads of {c} classes on {f} features at once; take fewer seeds a command, or JAX_PLATFORMS=cpu"


def bytes_of_a_row(f: int, m: int, c: int) -> int:
    """Return what a sample with f features takes in memory in a pass of m heads of c classes."""
    return 4 * (2 * f + 6 * m * c)


def cut_evenly(n: int, row: int) -> list[tuple[int, int]]:
    """Return the first sample of each piece and the one after its last, as even as can be, for ``row`` bytes each."""
    whole, part = (BYTES_ELSEWHERE, BYTES_ELSEWHERE) if devices.accelerated() else (KEPT_BYTES, PIECE_BYTES)
    pieces = 1 if n * row <= whole else -(-n // max(1, part // row))
    ends = [n * number // pieces for number in range(pieces + 1)]
    return list(itertools.pairwise(ends))


def _identity(f: int) -> tuple[Array, Array]:
    return np.zeros(f, np.float32), np.ones(f, np.float32)


def mean_and_deviation(features: Outputs, bounds: list[tuple[int, int]]) -> tuple[Array, Array]:
    """Return mean and deviation (1 where there is none) of each feature over all samples, (f,) each.

    Pieces are merged in float64 (Chan, Golub & LeVeque 1983).
    """
    n, mean, squares = 0, np.zeros(features.shape), np.zeros(features.shape)
    for start, stop in bounds:
        k, piece = stop - start, features.take(np.arange(start, stop))
        piece_mean = piece.mean(0, dtype=np.float64)
        piece -= piece_mean.astype(np.float32)
        delta = piece_mean - mean
        squares += np.einsum("kf,kf->f", piece, piece) + delta**2 * (n * k / (n + k))
        mean += delta * (k / (n + k))
        n += k
    deviation = np.sqrt(squares / n)
    return mean.astype(np.float32), np.where(deviation > 0, deviation, 1.0).astype(np.float32)


def _cut(
    features: Outputs,
    labels: Array,
    train: Array,
    count: Array,
    centre: Array,
    spread: Array,
    bounds: list[tuple[int, int]],
    reader: ThreadPoolExecutor,
) -> Pieces:
    """Return a function that iterates over the pieces; a single one stays on the device."""

    def read(start: int, stop: int) -> Piece:
        x = features.take(np.arange(start, stop))
        x -= centre
        x /= spread
        weight = train[:, start:stop].T / count
        return Piece(jnp.asarray(x), jnp.asarray(labels[start:stop]), jnp.asarray(weight, jnp.float32))

    def stream() -> Iterator[Piece]:
        # The next piece is read while the device works on this one.
        pending = reader.submit(read, *bounds[0])
        for following in (*bounds[1:], None):
            ready = pending.result()
            if following is not None:
                pending = reader.submit(read, *following)
            yield ready

    if len(bounds) > 1:
        return stream
    kept = (read(*bounds[0]),)
    return lambda: kept


def _pose(pieces: Pieces, f: int, count: Array, phase: ConvexPhase) -> Objectives:
    """Describe each head's objective."""
    mean, scale = jnp.zeros((f, len(count))), jnp.ones((f, len(count)))
    if phase.standardize:
        mean, square = sum_over(pieces, _moments)
        variance = square - mean**2
        # By NumPy, for which nothing is compiled. The digits that such a variance had are lost in the difference.
        if (np.asarray(variance) < _FAR * np.asarray(square)).any():
            variance = sum_over(pieces, _variance, mean)
        # As in StandardScaler, a feature that is constant over the training part is only centred.
        scale = jnp.where(variance > 1e-6, jax.lax.rsqrt(jnp.maximum(variance, 1e-6)), 1.0)
    return Objectives(mean, scale, jnp.asarray(1 / (2 * phase.c * count), jnp.float32))


@jax.jit
def _moments(piece: Piece) -> tuple[jax.Array, jax.Array]:
    return piece.x.T @ piece.weight, (piece.x * piece.x).T @ piece.weight


@jax.jit
def _variance(mean: jax.Array, piece: Piece) -> jax.Array:
    def of_head(head: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.square(piece.x - head[0]).T @ head[1]

    return jax.lax.map(of_head, (mean.T, piece.weight.T)).T


def _solve(
    pieces: Pieces, problem: Objectives, classes: int, phase: ConvexPhase, advance: Callable[[int], None]
) -> Descent:
    """Minimise all objectives; ``advance`` is called as of `fit`."""
    descent, gone = Descent(pieces, problem, begin_at_zero(problem, classes), phase), 0
    first = descent.largest
    while descent.active.any():
        descent.step()
        left = descent.active
        now = max(gone, _percent(first[left], descent.largest[left], phase.tolerance))
        advance(now - gone)
        gone = now
    advance(100 - gone)
    return descent


def _percent(first: Array, largest: Array, tolerance: float) -> int:
    """Return how much of its way the slowest head has gone, from 0 to 100."""
    smallest = max(tolerance, float(np.finfo(np.float32).tiny))
    whole, left = np.log(np.maximum(first, smallest) / smallest), np.log(np.maximum(largest, smallest) / smallest)
    ways = np.divide(left, whole, out=np.zeros_like(left), where=whole > 0)
    return round(100 * (1 - float(np.clip(ways, 0, 1).max(initial=0))))
