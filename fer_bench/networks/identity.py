"""What a cell records of a backbone, and the arithmetic that it is computed in; knows neither its modules nor flax."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from fer_bench.config import Precision
from fer_bench.errors import FerBenchError
from fer_bench.keeping.weights import weights_digest
from fer_bench.networks import devices
from fer_bench.plugin_code import digest_code
from fer_bench.registry import Component, file_sha256, marked
from fer_bench.specs import BackboneParams, BackboneSpec

BACKBONE_SEED = 0
"""Of the initial values where weights are random: one set of weights for all seeds of the folds."""

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
    return "bfloat16" if devices.multiplies_bfloat16() else "float32"


def notes_on_precision(precision: Precision) -> list[str]:
    """Return what a user should know of the device's arithmetic, if ``precision`` is asked for."""
    if precision == "float32" or not devices.accelerated() or devices.multiplies_bfloat16():
        return []
    kind = devices.describe_device()["kind"]
    if precision == "auto":
        return [f"precision is float32: {kind} does not multiply bfloat16."]
    return [f"{kind} does not multiply bfloat16: --precision bfloat16 is slower there than float32."]


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
        **_with_files(component),
        **digest_code(references, component.plugin.distribution, declared),
        "stages": list(spec.stages),
        "image_input": {**dataclasses.asdict(spec.image_input), "value_range": list(spec.image_input.value_range)},
        "weights_sha256": weights_digest(weights) if weights and weights.file else None,
        "precision": precision,
        **_unusual_arithmetic(),
    }


def _with_files(component: Component[BackboneSpec]) -> dict[str, Any]:
    """Return the identity of a component, its ``files`` with those that the plugin finds and a user's own code."""
    record = component.identity()
    digests: dict[str, str] = dict(record.get("files", {}))
    if component.spec.files:
        paths: Mapping[str, Path] = component.ask(f"find the files of {str(component)!r}", component.spec.files)
        digests |= {name: file_sha256(path) for name, path in paths.items()}
    for name in marked(type(component.params), "code"):
        if reference := getattr(component.params, name):
            digests[name] = _digest_own_code(name, reference)
    return {**record, "files": digests} if digests else record


def _digest_own_code(parameter: str, reference: str) -> str:
    """Return a sha256 of the code that a user's parameter names.

    Raises:
        FerBenchError: nothing of that name can be imported.
    """
    module = reference.partition(":")[0]
    digests = digest_code([reference], module.partition(".")[0])
    if not digests:
        raise FerBenchError(
            f"{parameter}={reference}: no module {module!r} can be imported. Install its package, such as with "
            "'pip install -e .', or name the folder that holds it in the variable PYTHONPATH."
        )
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _unusual_arithmetic() -> dict[str, Any]:
    """Return ``jax``, the settings of jax that change numbers and are not as usual; nothing where all are."""
    changed = {name: jax.config.values.get(name, usual) for name, usual in ARITHMETIC.items()}
    changed = {name: value for name, value in changed.items() if value != ARITHMETIC[name]}
    return {"jax": changed} if changed else {}
