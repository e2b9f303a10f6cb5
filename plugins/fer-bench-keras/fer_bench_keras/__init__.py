"""The models of ``keras.applications`` as backbones ``keras-…``.

Importing this module imports neither jax nor Keras.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from fer_bench import hookimpl
from fer_bench.specs import BackboneParams, BackboneSpec, ImageInput, WeightsSpec
from fer_bench_keras.catalogue import APPLICATIONS, Application

__all__ = ["KerasParams", "fer_bench_backbones"]


class KerasParams(BackboneParams):
    """Parameters of every model of ``keras.applications``; a subclass for each sets the sizes.

    Attributes:
        application: of which function of ``keras.applications`` these are the parameters.
    """

    application: ClassVar[str]

    # Narrower than in the base class, which is sound because parameters are frozen.
    weights: Literal["imagenet", "random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "imagenet", description="'imagenet', which Keras downloads, or 'random' to start afresh"
    )
    file: str = Field(
        "",
        description="weights of the model without its classifier, .h5 or .weights.h5, instead of the download",
        json_schema_extra={"file": True},
    )

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.file and self.weights == "random":
            raise ValueError("give weights=random or a file of weights, not both")
        return self


def _params_of(application: Application) -> type[KerasParams]:
    size = Field(application.input_size, ge=application.smallest, description="side of the square input, pixels")
    made = create_model(
        f"{application.name}Params",
        __base__=KerasParams,
        __module__=__name__,
        __doc__=f"Parameters of {application.name}.",
        input_size=(int, size),
    )
    made.application = application.name
    return made


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

_PARAMS = {name: _params_of(application) for name, application in APPLICATIONS.items()}
globals().update({params.__name__: params for params in _PARAMS.values()})  # where pickle looks for them


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return a backbone for each model."""
    return [
        BackboneSpec(
            name=f"keras-{name.lower()}",
            summary=f"{name} of Keras ({application.reference}), {application.parameters} million parameters",
            build="fer_bench_keras.network:build",
            stages=tuple(application.cuts),
            feature_size=application.feature_size,
            image_input=ImageInput(channels=3, value_range=(0.0, 255.0), resize="linear"),
            weights=(IMAGENET,),
            params=_PARAMS[name],
        )
        for name, application in APPLICATIONS.items()
    ]
