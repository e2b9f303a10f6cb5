"""What a cell records of a backbone, and the arithmetic that it is computed in; knows neither its modules nor flax."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from fer_bench.config import Precision
from fer_bench.keeping.weights import weights_digest
from fer_bench.plugin_code import digest_code
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec

BACKBONE_SEED = 0
"""Of the initial values where weights are random: one set of weights, whatever the seed of the folds."""

ARITHMETIC: Mapping[str, str | bool | None] = {
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_numpy_dtype_promotion": "standard",
}
"""Settings of jax that change numbers, and their usual values."""


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
    """Return what a cell records of a backbone: its code, the files that it names and its weights, by content.

    Args:
        component: the backbone.
        precision: ``float32`` or ``bfloat16``.
    """
    spec, params = component.spec, component.params
    assert isinstance(params, BackboneParams)
    weights = next((weights for weights in spec.weights if weights.name == params.weights), None)
    specs = [item for _, item in component.plugin.items if isinstance(item, BackboneSpec)]
    declared = [file for item in specs for one in item.weights for file in (one.file, one.digests) if file]
    references = [reference for reference in (spec.build, spec.answers) if reference]
    return {
        **component.identity(),
        **digest_code(references, component.plugin.distribution, declared),
        "stages": list(spec.stages),
        "image_input": {**dataclasses.asdict(spec.image_input), "value_range": list(spec.image_input.value_range)},
        "weights_sha256": weights_digest(weights) if weights and weights.file else None,
        "precision": precision,
        **_unusual_arithmetic(),
    }


def _unusual_arithmetic() -> dict[str, Any]:
    """Return ``jax``, the settings of jax that change numbers and are not as usual; nothing where all are."""
    changed = {name: jax.config.values.get(name, usual) for name, usual in ARITHMETIC.items()}
    changed = {name: value for name, value in changed.items() if value != ARITHMETIC[name]}
    return {"jax": changed} if changed else {}
