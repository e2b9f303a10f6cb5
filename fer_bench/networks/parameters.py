"""The numbers of a model in one flat table by name, and back into the modules that use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx, traverse_util

from fer_bench.networks.backbone import Backbone

Table = dict[str, jax.Array]


def named(stage: str, state: Any) -> dict[str, Any]:
    """Return the leaves of a stage's pure dict as ``stage/path/to/leaf``."""
    return {"/".join(map(str, (stage, *path))): leaf for path, leaf in traverse_util.flatten_dict(state).items()}


def divide(backbone: Backbone) -> tuple[Table, Table]:
    """Return the parameters of a backbone, and its other arrays: statistics and random states."""
    parameters: Table = {}
    others: Table = {}
    for stage in backbone.graphs:
        module = nnx.merge(backbone.graphs[stage], backbone.state[stage])
        _, weights, rest = nnx.split(module, nnx.Param, ...)
        parameters |= named(stage, nnx.to_pure_dict(weights))
        others |= named(stage, nnx.to_pure_dict(rest))
    return parameters, others


def stage_of(backbone: Backbone, table: Mapping[str, jax.Array], stage: str) -> Any:
    """Return the module of a stage with its numbers of a table by name."""
    paths = traverse_util.flatten_dict(backbone.state[stage])
    state = traverse_util.unflatten_dict({path: table["/".join(map(str, (stage, *path)))] for path in paths})
    return nnx.merge(backbone.graphs[stage], state)


def run(
    backbone: Backbone,
    table: Mapping[str, jax.Array],
    x: jax.Array,
    start: int,
    train_norm: int | None,
    *,
    forget: bool = False,
) -> tuple[jax.Array, Table]:
    """Run the stages from ``start`` on.

    Args:
        backbone: its graphs.
        table: parameters and other arrays of these stages, by name.
        x: output of the stage before, of the type that the backbone's stages take.
        start: position of the first stage that runs.
        train_norm: position of the first stage that normalises by the statistics of the batch; None: none does.
        forget: whether the statistics are only those of this batch, rather than moved towards them.

    Returns:
        Features (b, feature_size), and by name the statistics that the run changed.
    """
    statistics: Table = {}
    for number, stage in enumerate(backbone.stages[start:], start):
        of_batch = train_norm is not None and number >= train_norm
        module = stage_of(backbone, table, stage)
        if of_batch:
            # Not ``module.train()``: a backbone's own dropout would want random numbers that nobody gives it.
            changes = {"use_running_average": False, **({"momentum": 0.0} if forget else {})}
            module.set_attributes(nnx.BatchNorm, **changes, raise_if_not_found=False)
        x = module(x)
        if of_batch:
            statistics |= named(stage, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat)))
    return backbone.pooled(x), statistics
