"""Xception with ImageNet weights, and mini-Xception, in Flax NNX. Importing this module imports no jax."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fer_bench import hookimpl
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput, WeightsSpec

__all__ = ["MINI_STAGES", "STAGES", "MiniXceptionParams", "XceptionParams", "fer_bench_backbones"]

STAGES = tuple(f"block{number}" for number in range(1, 15))
"""Attribute names of Xception's stages, in order."""
MINI_STAGES = ("stem", "block1", "block2", "block3", "block4", "neighbours")
"""Attribute names of mini-Xception's stages, in order."""


class XceptionParams(BackboneParams):
    """Parameters of Xception."""

    input_size: int = Field(299, ge=71, description="side of the square input, pixels")
    # Narrower than in the base class, which is sound because parameters are frozen.
    weights: Literal["imagenet", "random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "imagenet", description="'imagenet', or 'random' to start afresh"
    )


class MiniXceptionParams(BackboneParams):
    """Parameters of mini-Xception."""

    input_size: int = Field(48, ge=32, description="side of the square input, pixels")
    weights: Literal["random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "random", description="there are no trained weights; use the strategy 'scratch'"
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
    """Return the backbones of this package."""
    return [
        BackboneSpec(
            name="xception",
            summary="Xception (Chollet 2017), 20.9 million parameters, trained on ImageNet",
            build="fer_bench_xception.model:build",
            stages=STAGES,
            half_precision=True,
            feature_size=2048,
            image_input=ImageInput(channels=3, value_range=(-1.0, 1.0), resize="linear"),
            weights=(IMAGENET,),
            params=XceptionParams,
        ),
        BackboneSpec(
            name="mini-xception",
            summary="mini-Xception (Arriaga et al. 2017), 57 thousand parameters, to train from scratch",
            build="fer_bench_xception.mini:build",
            stages=MINI_STAGES,
            half_precision=True,
            feature_size=9 * 128,
            image_input=ImageInput(channels=1, value_range=(-1.0, 1.0), resize="linear"),
            params=MiniXceptionParams,
        ),
    ]
