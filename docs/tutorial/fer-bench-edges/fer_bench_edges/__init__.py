"""The backbone edges: which way edges run in each part of a face. Importing this module imports no jax."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench import hookimpl
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput

FER_BENCH_INTERFACE = 1

STAGES = ("edges", "cells")
DIRECTIONS, CELLS = 8, 8
FEATURES = CELLS * CELLS * (DIRECTIONS + 1)


class EdgesParams(BackboneParams):
    """Parameters of the backbone."""

    input_size: int = Field(64, ge=16, multiple_of=CELLS, description="side of the square input, pixels")
    weights: Literal["random"] = Field("random", description="nothing is trained, so there are none")


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return the backbone of this package."""
    return [
        BackboneSpec(
            name="edges",
            summary="directions of edges in 8 x 8 cells, nothing trained",
            build="fer_bench_edges.model:build",
            stages=STAGES,
            feature_size=FEATURES,
            image_input=ImageInput(channels=1, value_range=(0.0, 1.0), resize="linear"),
            params=EdgesParams,
        )
    ]
