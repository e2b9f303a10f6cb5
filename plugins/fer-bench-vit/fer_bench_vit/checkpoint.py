"""The weights of published files in a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
from flax import nnx

from fer_bench.keeping.published import load
from fer_bench_vit.architectures import Architecture
from fer_bench_vit.naming import schemes
from fer_bench_vit.published import files_of

if TYPE_CHECKING:
    from fer_bench_vit import VitParams


def load_into(model: nnx.Module, architecture: Architecture, params: VitParams) -> None:
    """Set every parameter of a model from a published file.

    Raises:
        FerBenchError: the file is not there, is damaged, or does not hold the architecture; all mismatches are listed.
    """
    variables = {
        "/".join(map(str, path)): variable
        for path, variable in nnx.iter_graph(model)
        if isinstance(variable, nnx.Param)
    }
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    name = f"the backbone {architecture.name}" + f"[registers={params.registers}]" * bool(params.registers)
    path = Path(params.file) if params.file else files_of(params)["weights"]
    tensors = load(path, schemes(architecture, params), shapes, name)
    for name, variable in variables.items():
        variable.set_value(jnp.asarray(tensors[name]))
