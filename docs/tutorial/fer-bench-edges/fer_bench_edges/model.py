"""Edges by direction, then their mean in each cell of a grid: the idea of N. Dalal and B. Triggs (CVPR 2005)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fer_bench_edges import CELLS, DIRECTIONS, STAGES, EdgesParams


class Edges(nnx.Module):
    """How strongly the picture brightens in each direction, at every pixel; the brightness itself comes first."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, s, s, 1) in [0, 1] to (b, s, s, 1 + DIRECTIONS), float32, 0 or more."""
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
        right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
        angles = jnp.arange(DIRECTIONS) * (2 * jnp.pi / DIRECTIONS)
        edges = nnx.relu(right * jnp.cos(angles) + down * jnp.sin(angles))
        return jnp.concatenate([x, edges], axis=-1).astype("float32")


class Cells(nnx.Module):
    """Means over a grid of cells; the edges of each cell are scaled to length 1, so that light does not matter."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, s, s, 1 + DIRECTIONS) to (b, CELLS * CELLS * (1 + DIRECTIONS)), float32."""
        b, side, _, channels = x.shape
        x = x.reshape(b, CELLS, side // CELLS, CELLS, side // CELLS, channels).mean((2, 4))
        light, edges = x[..., :1], x[..., 1:]
        edges = edges / jnp.sqrt((edges**2).sum(axis=-1, keepdims=True) + 1e-4)  # the root of 0 has no gradient
        return jnp.concatenate([light, edges], axis=-1).reshape(b, -1)


class Model(nnx.Module):
    """The stages in order."""

    def __init__(self) -> None:
        self.edges = Edges()
        self.cells = Cells()

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, s, s, 1) float32 in [0, 1] to (b, FEATURES), float32."""
        for stage in STAGES:
            x = getattr(self, stage)(x)
        return x


def build(params: EdgesParams, *, rngs: nnx.Rngs, compute_dtype: Any) -> Model:
    """Return the backbone; nothing is drawn or rounded."""
    del params, rngs, compute_dtype
    return Model()
