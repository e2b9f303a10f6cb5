"""Linear heads of all folds and seeds at once: multinomial logistic regression, fitted to convergence.

Every fold trains on rows of the same feature matrix, so a fold is a mask, and one matrix product serves all of them.
Heads lie side by side in one (f, m, c) array; `jax.vmap` over whole fits would make XLA's CPU products
many times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_bench.specs import ConvexPhase

Array = np.ndarray[Any, Any]

_MEMORY = 10
_BACKTRACKS = 20
_SUFFICIENT_DECREASE = 1e-4
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative noise of a float32 loss; a step that changes less than that is taken (Hager & Zhang 2005, sec. 4)."""


@dataclass(frozen=True, eq=False)
class Heads:
    """Fitted heads.

    Attributes:
        log_probabilities: (m, n, c) float32, of every sample under every head.
        loss: (m,) float32, mean cross-entropy over the training part plus penalty, as minimised.
        gradient: (m,) float32, largest absolute entry of the gradient at the end.
        iterations: (m,) int32, L-BFGS steps taken.
    """

    log_probabilities: Array
    loss: Array
    gradient: Array
    iterations: Array


class _Problem(NamedTuple):
    x: jax.Array  # (n, f) features, standardized over all samples for the sake of rounding
    target: jax.Array  # (n,) int labels
    weight: jax.Array  # (n, m), 1 / training samples where a sample trains head m, else 0
    mean: jax.Array  # (f, m) of x over the training part
    scale: jax.Array  # (f, m) inverse deviation of x over the training part
    penalty: jax.Array  # (m,) factor of ||W||^2


class _Head(NamedTuple):
    weights: jax.Array  # (f, m, c), of features standardized over the training part
    bias: jax.Array  # (m, c)


class _Search(NamedTuple):
    head: _Head
    memory: Any
    value: jax.Array  # (m,)
    gradient: _Head
    iterations: jax.Array  # (m,) int
    active: jax.Array  # (m,) bool


def fit(features: Array, labels: Array, train: Array, classes: int, phase: ConvexPhase) -> Heads:
    """Fit one head for each training part.

    Minimises the mean cross-entropy plus ``||W||^2 / (2 c n_train)``, whose minimiser is that of scikit-learn's
    ``LogisticRegression(C=c)`` after ``StandardScaler``, by L-BFGS with backtracking (Nocedal & Wright 2006,
    ch. 7.2 and 3.1).

    Args:
        features: (n, f) float32.
        labels: (n,) int, 0 to ``classes - 1``.
        train: (m, n) bool, the training part of each head.
        classes: c.
        phase: penalty, scaling and stopping rule.
    """
    problem = _pose(jnp.asarray(features), jnp.asarray(labels), jnp.asarray(train), phase.standardize, phase.c)
    solved = _solve(problem, classes, phase.max_iterations, phase.tolerance)
    return Heads(*(np.asarray(part) for part in solved))


@partial(jax.jit, static_argnames="standardize")
def _pose(features: jax.Array, labels: jax.Array, train: jax.Array, standardize: bool, c: float) -> _Problem:
    """Scale the features and describe each head's objective."""
    x = features.astype(jnp.float32)
    x = x - x.mean(0) if standardize else x
    deviation = x.std(0)
    x = x / jnp.where(deviation > 0, deviation, 1.0) if standardize else x
    count = train.sum(1)
    weight = (train / count[:, None]).T.astype(jnp.float32)
    if standardize:
        mean = x.T @ weight
        variance = (x * x).T @ weight - mean**2
        # As in StandardScaler, a feature that is constant over the training part is only centred.
        scale = jnp.where(variance > 1e-6, jax.lax.rsqrt(jnp.maximum(variance, 1e-6)), 1.0)
    else:
        mean, scale = jnp.zeros((x.shape[1], len(train))), jnp.ones((x.shape[1], len(train)))
    return _Problem(x, labels, weight, mean, scale, 1 / (2 * c * count))


def _logits(problem: _Problem, head: _Head) -> jax.Array:
    """Return (n, m, c)."""
    scaled = head.weights * problem.scale[..., None]
    f, m, c = scaled.shape
    offset = head.bias - jnp.einsum("fm,fmc->mc", problem.mean, scaled)
    return (problem.x @ scaled.reshape(f, m * c)).reshape(-1, m, c) + offset


def _losses(problem: _Problem, head: _Head) -> jax.Array:
    """Return (m,), the objective of each head."""
    logits = _logits(problem, head)
    chosen = jnp.take_along_axis(logits, problem.target[:, None, None], axis=2)[..., 0]
    entropy = jax.nn.logsumexp(logits, axis=2) - chosen
    return (problem.weight * entropy).sum(0) + problem.penalty * (head.weights**2).sum((0, 2))


def _values_and_gradients(problem: _Problem, head: _Head) -> tuple[jax.Array, _Head]:
    """Return the objectives (m,) and their gradients; heads are independent, so the sum's gradient holds each one's."""
    values, pullback = jax.vjp(partial(_losses, problem), head)
    return values, pullback(jnp.ones_like(values))[0]


def _largest(gradient: _Head) -> jax.Array:
    """Return (m,), the largest absolute entry of each head's gradient."""
    return jnp.maximum(jnp.abs(gradient.weights).max((0, 2)), jnp.abs(gradient.bias).max(1))


def _dot(a: _Head, b: _Head) -> jax.Array:
    """Return (m,), the inner product of each head's parts."""
    return (a.weights * b.weights).sum((0, 2)) + (a.bias * b.bias).sum(1)


def _move(head: _Head, direction: _Head, step: jax.Array) -> _Head:
    """Return ``head + step * direction`` with one step a head."""
    return _Head(head.weights + step[None, :, None] * direction.weights, head.bias + step[:, None] * direction.bias)


@partial(jax.jit, static_argnames=("classes", "max_iterations"))
def _solve(
    problem: _Problem, classes: int, max_iterations: int, tolerance: float
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Minimise all objectives; return what `Heads` holds."""
    f, m = problem.mean.shape
    lanes = _Head(weights=1, bias=0)  # pyright: ignore[reportArgumentType]  # axes, for vmap
    lbfgs = optax.scale_by_lbfgs(memory_size=_MEMORY)
    head = _Head(jnp.zeros((f, m, classes)), jnp.zeros((m, classes)))
    memory = jax.vmap(lbfgs.init, in_axes=(lanes,))(head)
    precondition = jax.vmap(lbfgs.update, in_axes=(lanes, 0, lanes), out_axes=(lanes, 0))

    def advance(search: _Search) -> _Search:
        ascent, memory = precondition(search.gradient, search.memory, search.head)
        direction = jax.tree.map(jnp.negative, ascent)
        slope = _dot(direction, search.gradient)

        def accepted(step: jax.Array) -> jax.Array:
            new = _losses(problem, _move(search.head, direction, step))
            bound = search.value + _SUFFICIENT_DECREASE * step * slope + _ROUNDING * jnp.abs(search.value)
            return (new <= bound) | ~search.active

        def shorten(carry: tuple[jax.Array, jax.Array, int]) -> tuple[jax.Array, jax.Array, int]:
            step, good, tries = carry
            step = jnp.where(good, step, step / 2)
            return step, accepted(step), tries + 1

        step = search.active.astype(jnp.float32)
        step, good, _ = jax.lax.while_loop(
            lambda c: ~c[1].all() & (c[2] < _BACKTRACKS), shorten, (step, accepted(step), 0)
        )
        step = jnp.where(good, step, 0.0)
        head = _move(search.head, direction, step)
        value, gradient = _values_and_gradients(problem, head)
        iterations = search.iterations + search.active
        # No step was good enough: rounding hides any further progress.
        active = search.active & good & (_largest(gradient) > tolerance) & (iterations < max_iterations)
        return _Search(head, memory, value, gradient, iterations, active)

    value, gradient = _values_and_gradients(problem, head)
    start = _Search(head, memory, value, gradient, jnp.zeros(m, jnp.int32), _largest(gradient) > tolerance)
    end = jax.lax.while_loop(lambda search: search.active.any(), advance, start)
    log_probabilities = jax.nn.log_softmax(_logits(problem, end.head)).transpose(1, 0, 2)
    return log_probabilities, end.value, _largest(end.gradient), end.iterations
