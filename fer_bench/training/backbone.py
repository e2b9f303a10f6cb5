"""A built backbone as a pure function from stored images to features."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fer_bench.config import Precision
from fer_bench.data.transforms import to_input
from fer_bench.errors import PluginError
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec
from fer_bench.training.weights import weights_digest

BACKBONE_SEED = 0
"""Of the initial values where weights are random: one set of weights, whatever the seed of the folds."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A backbone in memory.

    Attributes:
        name: as the user typed it.
        parameters: how many numbers its trainable parameters have; BatchNorm statistics do not count.
        state: pytree of its arrays.
        features: (state, images (b, h, w, 1 or 3) uint8) -> (b, feature_size) float32; pure, to be jitted.
    """

    name: str
    parameters: int
    state: Any
    features: Callable[[Any, jax.Array], jax.Array]


def resolve_precision(precision: Precision) -> str:
    """Return ``float32`` or ``bfloat16``: for ``auto``, bfloat16 where the default device multiplies it natively."""
    if precision != "auto":
        return precision
    if jax.default_backend() != "cpu":
        return "bfloat16"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "float32"
    return "bfloat16" if {"amx_bf16", "avx512_bf16"} & set(flags.split()) else "float32"


def identity(component: Component[BackboneSpec], precision: str) -> dict[str, Any]:
    """Return what a cell records of a backbone: its code and weights by content.

    Args:
        component: the backbone.
        precision: ``float32`` or ``bfloat16``.
    """
    spec, params = component.spec, component.params
    assert isinstance(params, BackboneParams)
    weights = next((weights for weights in spec.weights if weights.name == params.weights), None)
    return {
        **component.identity(),
        "code_sha256": code_digest(spec.build),
        "weights_sha256": weights_digest(weights) if weights else None,
        "precision": precision,
    }


def code_digest(reference: str) -> str:
    """Return the sha256 of the Python source of the package that ``"package.module:attribute"`` lies in.

    A plugin's author changes code without changing the version; stored results must not outlive the code that made
    them.
    """
    found = importlib.util.find_spec(reference.partition(":")[0].partition(".")[0])
    digest = hashlib.sha256()
    if found is None or found.origin is None:
        return digest.hexdigest()
    roots = list(found.submodule_search_locations or [])
    files = sorted(file for root in roots for file in Path(root).rglob("*.py")) if roots else [Path(found.origin)]
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def build(component: Component[BackboneSpec], precision: str, seed: int) -> Backbone:
    """Build a backbone with its weights.

    Args:
        component: the backbone.
        precision: of the products, ``float32`` or ``bfloat16``.
        seed: of the initial values, where weights are random.

    Raises:
        PluginError: the plugin raised, or built something without the stages that it declares.
    """
    spec, params = component.spec, component.params
    assert isinstance(params, BackboneParams)
    try:
        factory = component.resolve(spec.build)
        module = factory(params, rngs=nnx.Rngs(seed), compute_dtype=jnp.dtype(precision))
        module.eval()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"Plugin {component.plugin.name!r} failed to build backbone {str(component)!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    missing = [stage for stage in spec.stages if not callable(getattr(module, stage, None))]
    if missing:
        raise PluginError(
            f"Backbone {spec.name!r} of plugin {component.plugin.name!r} lacks the stages {missing} that it declares."
        )
    graph, state = nnx.split(module)

    def features(state: Any, images: jax.Array) -> jax.Array:
        stages = nnx.merge(graph, state)
        x = to_input(images, params.input_size, spec.image_input)
        for stage in spec.stages:
            x = getattr(stages, stage)(x)
        return jnp.mean(x, axis=(1, 2)) if x.ndim == 4 else x

    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))
    return Backbone(name=str(component), parameters=parameters, state=state, features=features)
