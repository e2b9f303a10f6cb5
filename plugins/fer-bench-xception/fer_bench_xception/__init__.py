"""The Xception backbone of fer-bench, in Flax NNX, with ImageNet weights. Importing this module imports no jax."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench import hookimpl
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput, WeightsSpec

__all__ = ["STAGES", "XceptionParams", "fer_bench_backbones"]

STAGES = tuple(f"block{number}" for number in range(1, 15))
"""Attribute names of the stages, in order."""


class XceptionParams(BackboneParams):
    """Parameters of Xception."""

    input_size: int = Field(299, ge=71, description="side of the square input, pixels")
    # Narrower than in the base class, which is sound because parameters are frozen.
    weights: Literal["imagenet", "random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "imagenet", description="'imagenet', or 'random' to start afresh"
    )


IMAGENET = WeightsSpec(
    name="imagenet",
    file="fer_bench_xception:weights/imagenet.safetensors",
    digests="fer_bench_xception:weights/imagenet.digests.json",
    convert="fer_bench_xception.checkpoint:convert",
    url="https://storage.googleapis.com/tensorflow/keras-applications/xception/"
    "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
    sha256="e3fa32521ed48ced4af05adc950ab24963c4a00bd42e6825f8b180c65853163c",
    source="F. Chollet, trained on ImageNet (ILSVRC 2012), as distributed with Keras; kernels rounded to float16",
    licence="MIT",
)


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return the backbone of this package."""
    return [
        BackboneSpec(
            name="xception",
            summary="Xception (Chollet 2017), 20.9 million parameters, trained on ImageNet",
            build="fer_bench_xception.model:build",
            stages=STAGES,
            feature_size=2048,
            image_input=ImageInput(channels=3, value_range=(-1.0, 1.0), resize="linear"),
            weights=(IMAGENET,),
            params=XceptionParams,
        )
    ]
