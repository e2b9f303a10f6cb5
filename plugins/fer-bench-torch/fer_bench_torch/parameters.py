"""The parameters of this package's backbones."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fer_bench.errors import FerBenchError, MissingError
from fer_bench.specs import BackboneParams
from fer_bench_torch.card import TorchCard


class TimmParams(BackboneParams):
    """Parameters of `timm`."""

    name: str = Field("", description="model of timm and tag of its weights, as vit_base_patch16_clip_224.openai")
    input_size: int = Field(224, ge=1, description="side of the square input, pixels; by default the model's own")
    # Narrower than in the base class, which is sound because parameters are frozen.
    weights: Literal["pretrained", "random"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        "pretrained", description="'pretrained', as timm keeps them on this machine, or 'random'"
    )
    file: str = Field(
        "",
        description="weights of the model, .safetensors or a file of torch.save, instead of those that timm keeps",
        json_schema_extra={"file": True},
    )

    @model_validator(mode="before")
    @classmethod
    def _from_timm(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Write the tag of the weights and the size of the input where a user leaves them to timm."""
        if not values.get("name"):
            return values
        from fer_bench_torch import timm_catalogue

        try:
            config = timm_catalogue.config_of(str(values["name"]))
        except MissingError:
            return values  # which is told with all else that is missing for a run
        except FerBenchError as error:
            raise ValueError(str(error)) from None
        return {"input_size": config.input_size[-1], **values, "name": timm_catalogue.full_name(config)}

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.file and self.weights == "random":
            raise ValueError("give weights=random or a file of weights, not both")
        return self


class TorchParams(BackboneParams):
    """Parameters of `torch`."""

    build: str = Field(
        "",
        description="function without arguments that returns the module, as my_package.models:make",
        json_schema_extra={"code": True},
    )
    card: str = Field(
        "", description="YAML file that says what the module takes and returns", json_schema_extra={"file": True}
    )
    weights: str = Field(
        "",
        description="its weights, .safetensors or a file of torch.save; without, as the function returns it",
        json_schema_extra={"file": True},
    )
    input_size: int = Field(224, ge=1, description="side of the square input, pixels; the card says it")

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_card(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("card"):
            return values
        return {"input_size": TorchCard.read(str(values["card"])).input_size, **values}

    @model_validator(mode="after")
    def _no_other_size(self) -> Self:
        if self.card and self.input_size != (size := TorchCard.read(self.card).input_size):
            raise ValueError(f"the card says that the module takes {size} pixels, not {self.input_size}")
        return self
