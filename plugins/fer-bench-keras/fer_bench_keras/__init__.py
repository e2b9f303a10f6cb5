"""The models of ``keras.applications`` as the backbone ``keras``, and models of the user's own as ``keras-model``.

Importing this module imports neither jax nor Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from fer_bench_predictors import OnnxParams, answers, notes
from fer_bench_predictors import by_params as by_card
from pydantic import Field, model_validator

from fer_bench import hookimpl
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput, WeightsSpec
from fer_bench_keras.catalogue import APPLICATIONS, Application

__all__ = [
    "KerasModelParams",
    "KerasParams",
    "answers",
    "by_card",
    "by_params",
    "fer_bench_backbones",
    "files",
    "notes",
]


class KerasParams(BackboneParams):
    """Parameters of `keras`."""

    name: str = Field("", description="function of keras.applications in lower case, such as resnet50")
    input_size: int = Field(
        224, ge=32, description="side of the square input, pixels; by default that of the model's training"
    )
    # Narrower than in the base class, which is sound because parameters are frozen.
    weights: Literal["imagenet", "random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "imagenet", description="'imagenet', which Keras downloads, or 'random' to start afresh"
    )
    file: str = Field(
        "",
        description="weights of the model without its classifier, .h5 or .weights.h5, instead of the download",
        json_schema_extra={"file": True},
    )

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_model(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not (name := str(values.get("name", "")).lower()):
            return values
        if name not in APPLICATIONS:
            raise ValueError(f"keras.applications has no model {name!r} here. {did_you_mean(name, APPLICATIONS)}")
        return {"input_size": APPLICATIONS[name].input_size, **values, "name": name}

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        if self.file and self.weights == "random":
            raise ValueError("give weights=random or a file of weights, not both")
        if self.name and self.input_size < (smallest := self.application.smallest):
            raise ValueError(f"{self.application.name} takes {smallest} pixels or more, not {self.input_size}")
        return self

    @property
    def application(self) -> Application:
        """The model.

        Raises:
            FerBenchError: no name is given.
        """
        if not self.name:
            raise FerBenchError(
                f"Backbone 'keras' needs the name of a model, such as keras[name=resnet50]. "
                f"There are {', '.join(APPLICATIONS)}."
            )
        return APPLICATIONS[self.name]


class KerasModelParams(OnnxParams):
    """Parameters of `keras-model`: the card, which names the file of the model."""


IMAGENET = WeightsSpec(
    name="imagenet",
    file="",
    digests="",
    convert="",
    url="",
    sha256="",
    source="trained on ImageNet (ILSVRC 2012), as Keras distributes them; Keras checks what it downloads",
    licence="not stated by Keras; that of the paper's authors",
)


def by_params(params: KerasParams) -> dict[str, object]:
    """Return what of the spec depends on the model."""
    if not params.name:
        return {}
    application = params.application
    return {
        "summary": f"{application.name} ({application.reference}), {application.parameters} million parameters",
        "stages": tuple(application.cuts),
        "feature_size": application.feature_size,
    }


def files(params: KerasParams) -> dict[str, Path]:
    """Return the file of ImageNet weights that Keras keeps on this machine; Keras downloads it if there is none.

    Raises:
        FerBenchError: no name is given.
        MissingError: the file cannot be had.
    """
    if params.application and (params.weights == "random" or params.file):
        return {}
    from fer_bench_keras.keras_model import find_weights

    return {"weights 'imagenet'": find_weights(params.name, params.input_size)}


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return the backbones of this package."""
    return [
        BackboneSpec(
            name="keras",
            summary=f"one of {len(APPLICATIONS)} models of keras.applications, such as keras[name=resnet50]",
            build="fer_bench_keras.network:build",
            half_precision=True,
            image_input=ImageInput(channels=3, value_range=(0.0, 255.0), resize="linear"),
            by_params="fer_bench_keras:by_params",
            named_by="name",
            files="fer_bench_keras:files",
            weights=(IMAGENET,),
            params=KerasParams,
        ),
        BackboneSpec(
            name="keras-model",
            summary="a Keras model of your own that a card describes: a finished classifier (as-is) or features",
            build="fer_bench_keras.own_model:build",
            frozen_only=True,
            by_params="fer_bench_keras:by_card",
            files="fer_bench_keras.own_model:check",
            answers="fer_bench_keras:answers",
            notes="fer_bench_keras:notes",
            params=KerasModelParams,
        ),
    ]
