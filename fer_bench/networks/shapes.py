"""The shapes of a backbone's parameters, traced once on a machine: what a plan is checked against before any work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_bench import memos
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec

Shapes = dict[str, tuple[int, ...]]
"""The shape of every parameter of a backbone and of a head of two classes, by names as ``stage/path``."""


def shapes_of(backbone: Component[BackboneSpec], identity: Mapping[str, Any], cache_dir: Path) -> Shapes:
    """Return the shapes of a backbone as remembered, or traced.

    Args:
        backbone: with its parameters.
        identity: from `fer_bench.networks.identity.identity`.
        cache_dir: where they are remembered.

    Raises:
        BaseException: what the plugin raises, native panics included.
    """
    try:
        remembered = json.loads(memos.recall(cache_dir, "shapes", identity) or b"null")
        if isinstance(remembered, dict) and remembered:
            return {str(name): tuple(map(int, shape)) for name, shape in remembered.items()}
    except (ValueError, TypeError):
        pass
    shapes = trace(backbone)
    with suppress(OSError):  # a run warns of a cache that cannot be written when it keeps features
        memos.remember(cache_dir, "shapes", identity, json.dumps(shapes).encode())
    return shapes


def trace(backbone: Component[BackboneSpec]) -> Shapes:
    """Return the shapes of a backbone; nothing is drawn, loaded or computed."""
    # Only here: flax takes half a second, which a command that finds everything done need not spend.
    import jax.numpy as jnp
    from flax import nnx

    from fer_bench.networks.parameters import named

    params = backbone.params
    assert isinstance(params, BackboneParams)
    factory = backbone.resolve(backbone.spec.build)
    params = params.model_copy(update={"weights": "random"})
    module = nnx.eval_shape(lambda: factory(params, rngs=nnx.Rngs(0), compute_dtype=jnp.dtype("float32")))
    shapes: Shapes = {}
    for stage in backbone.spec.stages:
        state = nnx.to_pure_dict(nnx.state(getattr(module, stage), nnx.Param))
        shapes |= {name: leaf.shape for name, leaf in named(stage, state).items()}
    return shapes | {"head/kernel": (backbone.spec.feature_size, 2), "head/bias": (2,)}
