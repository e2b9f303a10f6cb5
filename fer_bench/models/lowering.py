"""A function of JAX by the operations that a converter to ONNX knows, without a backbone's help.

A backbone may choose between two formulations by platform, and pool over windows. A converter has no platform, and
jax2onnx makes of a window over images one over batch and channels too, which onnxruntime does not compute.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

_WINDOWS: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "reduce_window_max": (-jnp.inf, jnp.maximum),
    "reduce_window_sum": (0.0, jnp.add),
}
"""Primitive -> what an image is padded with, and what combines two values of a window."""
_LOOPS = ("while", "scan")


def lowered(function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """Return a function that computes the same: no choice by platform, but that of platforms without one of their own;
    no function that has a derivative of its own; pooling as the maximum or sum of shifted images.
    """

    def plain(x: jax.Array) -> jax.Array:
        (y,) = _evaluate(jax.make_jaxpr(function)(x), x)
        return y

    return plain


def _evaluate(program: Any, *arguments: Any) -> list[Any]:
    """Apply the operations of a jaxpr, closed or not, to arguments."""
    jaxpr, constants = (program.jaxpr, program.consts) if isinstance(program, ClosedJaxpr) else (program, ())
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        values.update(zip(equation.outvars, _apply(equation, [value(atom) for atom in equation.invars]), strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Any]) -> Sequence[Any]:
    primitive, params = equation.primitive, equation.params
    inner = params.get("jaxpr", params.get("call_jaxpr"))
    if primitive.name == "platform_index":
        return [params["platforms"].index(None)]
    if primitive.name == "cond" and isinstance(inputs[0], int):
        return _evaluate(params["branches"][inputs[0]], *inputs[1:])
    if primitive.name == "optimization_barrier":
        return inputs
    if primitive.name in _WINDOWS:
        return [_shifted(inputs[0], *_WINDOWS[primitive.name], params)]
    if inner is not None and primitive.name not in _LOOPS:
        return _evaluate(inner, *inputs)
    outputs = primitive.bind(*inputs, **params)
    return outputs if primitive.multiple_results else [outputs]


def _shifted(x: Any, around: float, combine: Callable[[Any, Any], Any], params: dict[str, Any]) -> Any:
    """Return ``combine`` over all places of a window, each a shifted view of ``x``."""
    window, strides = params["window_dimensions"], params["window_strides"]
    if any(step != 1 for name in ("base_dilation", "window_dilation") for step in params[name]):
        raise NotImplementedError("a pool with gaps between its pixels")
    padded = jnp.pad(x, params["padding"], constant_values=around)
    counts = [(size - width) // stride + 1 for size, width, stride in zip(padded.shape, window, strides, strict=True)]
    total = None
    for place in itertools.product(*map(range, window)):
        ends = [at + (count - 1) * stride + 1 for at, count, stride in zip(place, counts, strides, strict=True)]
        view = jax.lax.slice(padded, place, ends, strides)
        total = view if total is None else combine(total, view)
    return total
