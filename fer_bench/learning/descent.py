"""Objectives of linear heads, which lie side by side, and the way down to their minima: L-BFGS with backtracking.

J. Nocedal and S. J. Wright, "Numerical optimization" (2nd edition, 2006), chapters 3.1 and 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_bench.arrays import Array
from fer_bench.specs import ConvexPhase

_MEMORY = 10
_BACKTRACKS = 20
_SUFFICIENT_DECREASE = 1e-4
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative noise of a float32 loss; a step that changes less than that is taken (Hager & Zhang 2005, sec. 4)."""


class Piece(NamedTuple):
    """Samples that a pass over them reads at once."""

    x: jax.Array  # (k, f) features, standardized over all samples for the sake of rounding
    target: jax.Array  # (k,) int labels
    weight: jax.Array  # (k, m), 1 / training samples where a sample trains head m, else 0


class Objectives(NamedTuple):
    """The objective of each head."""

    mean: jax.Array  # (f, m) of x over the training part
    scale: jax.Array  # (f, m) inverse deviation of x over the training part
    penalty: jax.Array  # (m,) factor of ||W||^2


class Head(NamedTuple):
    """Heads in training, or their gradients."""

    weights: jax.Array  # (f, m, c), of features standardized over the training part
    bias: jax.Array  # (m, c)


Pieces = Callable[[], Iterable[Piece]]


def sum_over(pieces: Pieces, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the sum over the pieces of ``function(*arguments, piece)``, a pytree."""
    total = None
    for piece in pieces():
        part = function(*arguments, piece)
        total = part if total is None else jax.block_until_ready(_add(total, part))
    return total


@partial(jax.jit, donate_argnums=0)
def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)


@jax.jit
def fold_scaling(problem: Objectives, head: Head) -> Head:
    """Return the head for features that are not standardized over the training part."""
    scaled = head.weights * problem.scale[..., None]
    return Head(scaled, head.bias - jnp.einsum("fm,fmc->mc", problem.mean, scaled))


@jax.jit
def _entropies(problem: Objectives, head: Head, piece: Piece) -> jax.Array:
    """Return (m,), what a piece adds to the cross-entropy of each head."""
    folded = fold_scaling(problem, head)
    f, m, c = folded.weights.shape
    logits = (piece.x @ folded.weights.reshape(f, m * c)).reshape(-1, m, c) + folded.bias
    chosen = jnp.take_along_axis(logits, piece.target[:, None, None], axis=2)[..., 0]
    return (piece.weight * (jax.nn.logsumexp(logits, axis=2) - chosen)).sum(0)


@jax.jit
def _entropies_and_gradients(problem: Objectives, head: Head, piece: Piece) -> tuple[jax.Array, Head]:
    """Return also the gradients; heads are independent, so the sum's gradient holds each one's."""
    values, pullback = jax.vjp(lambda head: _entropies(problem, head, piece), head)
    return values, pullback(jnp.ones_like(values))[0]


@jax.jit
def _penalize(problem: Objectives, head: Head, values: jax.Array) -> jax.Array:
    """Return (m,), the objectives for given cross-entropies."""
    return values + problem.penalty * (head.weights**2).sum((0, 2))


@jax.jit
def _penalize_gradients(problem: Objectives, head: Head, gradient: Head) -> Head:
    return gradient._replace(weights=gradient.weights + 2 * problem.penalty[:, None] * head.weights)


@jax.jit
def _largest(gradient: Head) -> jax.Array:
    """Return (m,), the largest absolute entry of each head's gradient."""
    return jnp.maximum(jnp.abs(gradient.weights).max((0, 2)), jnp.abs(gradient.bias).max(1))


def _dot(a: Head, b: Head) -> jax.Array:
    """Return (m,), the inner product of each head's parts."""
    return (a.weights * b.weights).sum((0, 2)) + (a.bias * b.bias).sum(1)


@jax.jit
def _move(head: Head, direction: Head, step: Array) -> Head:
    """Return ``head + step * direction`` with one step a head."""
    return Head(head.weights + step[None, :, None] * direction.weights, head.bias + step[:, None] * direction.bias)


_LANES: Any = Head(weights=1, bias=0)  # pyright: ignore[reportArgumentType]  # axes, for vmap
_LBFGS = optax.scale_by_lbfgs(memory_size=_MEMORY)


@jax.jit
def _remember_nothing(head: Head) -> Any:
    """Return the memory that L-BFGS starts with."""
    return jax.vmap(_LBFGS.init, in_axes=(_LANES,))(head)


@partial(jax.jit, donate_argnums=0)
def _descend(memory: Any, gradient: Head, head: Head) -> tuple[Any, Head, jax.Array]:
    """Return memory, direction, and (m,) slope along it."""
    precondition = jax.vmap(_LBFGS.update, in_axes=(_LANES, 0, _LANES), out_axes=(_LANES, 0))
    ascent, memory = precondition(gradient, memory, head)
    direction = jax.tree.map(jnp.negative, ascent)
    return memory, direction, _dot(direction, gradient)


class Descent:
    """Objectives on their way to their minima, all of them one step at a time.

    Attributes:
        head: where they are.
        value: (m,) float32, the objective of each.
        largest: (m,) float32, the largest absolute entry of each gradient.
        iterations: (m,) int32, steps of each.
        active: (m,) bool, which are not at their minimum yet.
    """

    def __init__(self, pieces: Pieces, problem: Objectives, head: Head, phase: ConvexPhase):
        self._pieces, self._problem, self._phase = pieces, problem, phase
        self.head, self._memory = head, _remember_nothing(head)
        self.value, self._gradient = self._losses_and_gradients(head)
        self.iterations = np.zeros(len(self.value), np.int32)
        self.largest = np.asarray(_largest(self._gradient))
        self.active = self.largest > phase.tolerance
        self._fresh = np.zeros_like(self.active)

    def step(self) -> None:
        """Take one step with every active head, or none with one that finds no lower point."""
        self._memory, direction, slope = _descend(self._memory, self._gradient, self.head)
        bound = _SUFFICIENT_DECREASE * np.asarray(slope)
        value, active, noise = self.value, self.active, _ROUNDING * np.abs(self.value)
        step = (active & ~self._fresh).astype(np.float32)
        # Nearly always every head takes the whole step, so its gradient comes in the same pass.
        moved = _move(self.head, direction, step)
        new, new_gradient = self._losses_and_gradients(moved)
        good = (new <= value + bound * step + noise) | ~active
        if not good.all():
            for _ in range(_BACKTRACKS):
                step = np.where(good, step, step / 2)
                moved = _move(self.head, direction, step)
                good = (self._losses(moved) <= value + bound * step + noise) | ~active
                if good.all():
                    break
            moved = _move(self.head, direction, np.where(good, step, np.float32(0)))
            new, new_gradient = self._losses_and_gradients(moved)
        self.head, self.value, self._gradient = moved, new, new_gradient
        self.iterations += active & ~self._fresh
        if self._fresh.any():
            self._memory = _forget(self._memory, self._fresh)
            self._fresh = np.zeros_like(active)
        # No step was good enough: rounding hides any further progress.
        self.largest = np.asarray(_largest(self._gradient))
        self.active = active & good & (self.largest > self._phase.tolerance)
        self.active &= self.iterations < self._phase.max_iterations

    def replace(self, lanes: Array, problem: Objectives, head: Head) -> None:
        """Put other objectives in the place of some; the next step only measures these where they begin.

        Args:
            lanes: (m,) bool, which are replaced.
            problem: all objectives.
            head: where those that are replaced begin, and the others are.
        """
        self._problem, self.head = problem, head
        self.value = np.where(lanes, np.float32(np.inf), self.value)
        self.iterations = np.where(lanes, np.int32(0), self.iterations)
        self.active, self._fresh = self.active | lanes, self._fresh | lanes

    def _losses(self, head: Head) -> Array:
        return np.asarray(_penalize(self._problem, head, sum_over(self._pieces, _entropies, self._problem, head)))

    def _losses_and_gradients(self, head: Head) -> tuple[Array, Head]:
        values, gradient = sum_over(self._pieces, _entropies_and_gradients, self._problem, head)
        value = np.asarray(_penalize(self._problem, head, values))
        return value, _penalize_gradients(self._problem, head, gradient)


@partial(jax.jit, donate_argnums=0)
def _forget(memory: Any, lanes: Array) -> Any:
    """Return the memory of L-BFGS without the past steps of some heads, (m,) bool: steps of weight 0 do not count."""
    weights = jnp.where(lanes[:, None], 0.0, memory.weights_memory)
    return memory._replace(count=jnp.where(lanes, 0, memory.count), weights_memory=weights)


def begin_at_zero(problem: Objectives, classes: int) -> Head:
    """Return heads that say of each sample that all classes are as likely."""
    f, m = problem.mean.shape
    return Head(jnp.zeros((f, m, classes)), jnp.zeros((m, classes)))
