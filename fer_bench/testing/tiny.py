"""A backbone of a few hundred numbers: what strategies are tried on, and an example of the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import jax
from flax import nnx
from jax.typing import DTypeLike
from pydantic import Field

from fer_bench.about import __version__
from fer_bench.plugins import Plugin
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput

STAGES = ("stem", "low", "middle", "top")
WIDTH = 16


class TinyParams(BackboneParams):
    """Parameters of the tiny backbone."""

    input_size: int = Field(8, ge=4, description="side of the square input, pixels")
    channels: Literal[1, 3] = Field(3, description="of the input")


class Stem(nnx.Module):
    """A 3x3 convolution at stride 2."""

    def __init__(self, channels: int, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.conv = nnx.Conv(channels, WIDTH, (3, 3), 2, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, s, s, channels) to (b, s/2, s/2, WIDTH), float32."""
        return nnx.relu(self.conv(x).astype("float32"))


class TinyStage(nnx.Module):
    """A 1x1 convolution, BatchNorm and ReLU."""

    def __init__(self, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.point = nnx.Linear(WIDTH, WIDTH, dtype=dtype, rngs=rngs)
        self.norm = nnx.BatchNorm(WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, h, w, WIDTH) to the same shape, float32."""
        return nnx.relu(self.norm(self.point(x).astype("float32")))


class Tiny(nnx.Module):
    """A stem and three blocks."""

    def __init__(self, channels: int, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.stem = Stem(channels, rngs, dtype)
        self.low = TinyStage(rngs, dtype)
        self.middle = TinyStage(rngs, dtype)
        self.top = TinyStage(rngs, dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map (b, s, s, channels) in [-1, 1] to (b, s/2, s/2, WIDTH), float32."""
        for stage in STAGES:
            x = getattr(self, stage)(x)
        return x


def build(params: TinyParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike) -> Tiny:
    """Return the backbone in eval mode."""
    model = Tiny(params.channels, rngs, compute_dtype)
    model.eval()
    return model


SPEC = BackboneSpec(
    name="tiny",
    summary="a convolution and three layers, random weights",
    build="fer_bench.testing.tiny:build",
    stages=STAGES,
    feature_size=WIDTH,
    params=TinyParams,
)


def tiny_backbone(channels: Literal[1, 3] = 3, **params: Any) -> Component[BackboneSpec]:
    """Return the tiny backbone for pictures in grey (1) or colour (3)."""
    plugin = Plugin(name="fer-bench", distribution="fer-bench", version=__version__)
    spec = replace(SPEC, image_input=ImageInput(channels=channels))
    return Component(spec, TinyParams(channels=channels, **params), plugin)
