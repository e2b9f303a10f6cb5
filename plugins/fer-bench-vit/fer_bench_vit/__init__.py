"""Vision Transformers in Flax NNX. Importing this module imports no jax."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from fer_bench import hookimpl
from fer_bench.specs import LARGEST_SIDE, BackboneParams, BackboneSpec, ImageInput
from fer_bench_vit.architectures import ARCHITECTURES, Architecture
from fer_bench_vit.published import PUBLISHED

__all__ = ["VitParams", "fer_bench_backbones"]


class VitParams(BackboneParams):
    """Parameters of every Vision Transformer; a subclass for each sets sizes and choices.

    Attributes:
        architecture: name of the one that these are the parameters of.
    """

    architecture: ClassVar[str]

    file: str = Field(
        "",
        description="published weights, safetensors or .pth, instead of the fetched ones",
        json_schema_extra={"file": True},
    )
    features: str = Field("class", description="what the features are: the family's own, or the mean of the patches")
    registers: int = Field(0, description="tokens that are neither class nor patch")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        a = ARCHITECTURES[self.architecture]
        if self.input_size % a.patch and self.input_size != a.input_size:
            near = self.input_size - self.input_size % a.patch
            raise ValueError(f"input_size {self.input_size} is not divided by patches of {a.patch} pixels; try {near}")
        if self.file and self.weights == "random":
            raise ValueError("give weights=random or a file of weights, not both")
        return self


def _params_of(a: Architecture) -> type[VitParams]:
    def choice(values: tuple[Any, ...], description: str) -> Any:
        return Literal[values], Field(values[0], description=description)

    largest = LARGEST_SIDE // a.patch * a.patch
    made = create_model(
        "".join(part.capitalize() for part in a.name.split("-")) + "Params",
        __base__=VitParams,
        __module__=__name__,
        __doc__=f"Parameters of {a.name}.",
        input_size=(int, Field(a.input_size, ge=a.patch, le=largest, description="side of the square input, pixels")),
        weights=choice(
            (*PUBLISHED[a.name], "random"), "what 'fer-bench weights fetch' got, or 'random' to start afresh"
        ),
        features=choice(a.features, "the family's own, or the mean of the patches"),
        registers=choice(a.registers, "tokens that are neither class nor patch"),
    )
    made.architecture = a.name
    return made


def _spec_of(a: Architecture, params: type[VitParams]) -> BackboneSpec:
    return BackboneSpec(
        name=a.name,
        summary=f"Vision Transformer ({a.reference}), {a.depth} blocks of width {a.width}, patches of {a.patch}",
        build="fer_bench_vit.model:build",
        stages=a.stages,
        half_precision=True,
        feature_size=a.width,
        image_input=ImageInput(channels=3, value_range=(0.0, 1.0), resize="cubic"),
        weights=tuple(PUBLISHED[a.name].values()),
        files="fer_bench_vit.published:files_of",
        params=params,
    )


_PARAMS = {name: _params_of(architecture) for name, architecture in ARCHITECTURES.items()}
globals().update({params.__name__: params for params in _PARAMS.values()})  # where pickle looks for them


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return a backbone for each architecture."""
    return [_spec_of(architecture, _PARAMS[name]) for name, architecture in ARCHITECTURES.items()]
