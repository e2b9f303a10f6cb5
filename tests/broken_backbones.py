"""A backbone with one fault at a time, chosen by the parameter ``fault``; without one it keeps every rule."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pydantic import Field

from fer_bench.specs import BackboneParams, BackboneSpec

WIDTH = 4
SEEN: list[Any] = []


class BrokenParams(BackboneParams):
    input_size: int = Field(8, ge=4)
    fault: str = ""


class CarelessParams(BrokenParams):
    input_size: int = Field(8, ge=1)


class Stem(nnx.Module):
    def __init__(self, fault: str, rngs: nnx.Rngs):
        self.fault = fault
        self.conv = nnx.Conv(3, WIDTH, (3, 3), padding="VALID", rngs=rngs)
        self.runs = nnx.Variable(jnp.zeros((), jnp.int32))
        if fault == "compiles-by-seed" and int(jax.random.key_data(rngs.default.key[...])[-1]):
            self.conv.bias = nnx.Param(self.conv.bias[...].astype(jnp.float16))

    def __call__(self, x: jax.Array) -> Any:
        if self.fault == "one-channel":
            x = x[..., :1].repeat(3, -1)
        x = self.conv(x)
        if self.fault == "tuple":
            return x, x
        if self.fault == "batch-mean":
            x = x - x.mean(0)
        if self.fault == "counts-runs":
            self.runs[...] += 1
        if self.fault == "stop-gradient":
            x = jax.lax.stop_gradient(x)
        if self.fault == "global":
            SEEN.append(x)
        return x


class Top(nnx.Module):
    def __init__(self, fault: str, rngs: nnx.Rngs):
        self.fault = fault
        self.point = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.point(x)
        if self.fault == "root":
            x = jnp.sqrt(nnx.relu(x) * 0)
        if self.fault == "global":
            x = x + SEEN[-1]
        if self.fault == "half":
            return x.astype(jnp.float16)
        return x[:1] if self.fault == "first-image" else x


class Net(nnx.Module):
    def __init__(self, fault: str, rngs: nnx.Rngs):
        self.fault = fault
        self.stem = Stem(fault, rngs)
        self.top = Top(fault, rngs)
        if fault == "beside":
            self.scale = nnx.Param(jnp.ones(()))
        if fault == "shared":
            self.top.point.bias = self.stem.conv.bias
        if fault == "narrow":
            self.top.point.bias = nnx.Param(self.top.point.bias[...].astype(jnp.bfloat16))
        if fault == "time":
            self.top.point.bias[...] = jnp.asarray(np.random.default_rng().normal(size=WIDTH), jnp.float32)
        if fault == "same-weights":
            for layer in (self.stem.conv, self.top.point):
                layer.kernel[...] = jnp.ones_like(layer.kernel[...])

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.top(self.stem(x))
        return 2 * x if self.fault == "scales" else x


def build(params: BrokenParams, *, rngs: nnx.Rngs, compute_dtype: Any) -> Net:
    if params.fault == "raises":
        raise RuntimeError("no weights today")
    return Net(params.fault, rngs)


SPEC = BackboneSpec(
    name="broken",
    summary="",
    build="broken_backbones:build",
    stages=("stem", "top"),
    feature_size=WIDTH,
    params=BrokenParams,
)
