"""IResNets, the networks of face recognition, in Flax NNX. Importing this module imports no jax."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from fer_bench import hookimpl
from fer_bench.specs import LARGEST_SIDE, BackboneParams, BackboneSpec, ImageInput
from fer_bench_iresnet.architectures import ARCHITECTURES, Architecture
from fer_bench_iresnet.published import PUBLISHED

__all__ = ["IResNetParams", "fer_bench_backbones"]


class IResNetParams(BackboneParams):
    """Parameters of every IResNet; a subclass for each sets size and weights.

    Attributes:
        architecture: name of the one that these are the parameters of.
    """

    architecture: ClassVar[str]

    file: str = Field(
        "",
        description="published weights, .pth or safetensors, instead of the fetched ones",
        json_schema_extra={"file": True},
    )
    features: Literal["embedding", "mean"] = Field(
        "embedding", description="what the network is trained to give, or the mean of the last image over space"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        a = ARCHITECTURES[self.architecture]
        if self.features == "embedding" and self.input_size != a.input_size:
            cells = a.side_of(a.input_size)
            raise ValueError(
                f"the matrix of the embedding takes {cells} x {cells} cells, which an input of {a.input_size} pixels "
                f"has and one of {self.input_size} has not; leave input_size at {a.input_size}, or set features=mean"
            )
        if self.file and self.weights == "random":
            raise ValueError("give weights=random or a file of weights, not both")
        return self


def _params_of(a: Architecture) -> type[IResNetParams]:
    names = (*PUBLISHED[a.name], "random")
    weights: Any = Literal[names]
    made = create_model(
        "".join(part.capitalize() for part in a.name.split("-")) + "Params",
        __base__=IResNetParams,
        __module__=__name__,
        __doc__=f"Parameters of {a.name}.",
        input_size=(int, Field(a.input_size, ge=16, le=LARGEST_SIDE, description="side of the square input, pixels")),
        weights=(
            weights,
            Field(names[0], description="what 'fer-bench weights fetch' got, or 'random' to start afresh"),
        ),
    )
    made.architecture = a.name
    return made


def _spec_of(a: Architecture, params: type[IResNetParams]) -> BackboneSpec:
    return BackboneSpec(
        name=a.name,
        summary=f"IResNet of face recognition ({a.reference}), {len(a.blocks)} blocks, {a.input_size} pixels",
        build="fer_bench_iresnet.model:build",
        stages=a.stages,
        half_precision=True,
        feature_size=a.widths[-1],
        image_input=ImageInput(channels=3, value_range=(-1.0, 1.0), resize="linear"),
        weights=tuple(PUBLISHED[a.name].values()),
        files="fer_bench_iresnet.published:files_of",
        params=params,
    )


_PARAMS = {name: _params_of(architecture) for name, architecture in ARCHITECTURES.items()}
globals().update({params.__name__: params for params in _PARAMS.values()})  # where pickle looks for them


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return a backbone for each architecture."""
    return [_spec_of(architecture, _PARAMS[name]) for name, architecture in ARCHITECTURES.items()]
