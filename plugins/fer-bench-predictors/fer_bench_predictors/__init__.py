"""Finished classifiers on fer-bench's folds: the backbone `onnx` and the strategy `as-is`, which fits nothing.

Importing this module imports neither jax nor onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from fer_bench import hookimpl
from fer_bench.specs import AnswerPhase, BackboneParams, BackboneSpec, Params, Plan, StrategySpec
from fer_bench_predictors.card import Card

__all__ = [
    "OnnxParams",
    "answers",
    "by_params",
    "fer_bench_backbones",
    "fer_bench_card_draft",
    "fer_bench_strategies",
    "files",
    "notes",
    "plan",
]


class OnnxParams(BackboneParams):
    """Parameters of `onnx`."""

    card: str = Field(
        "", description="YAML file that says what the model takes and answers", json_schema_extra={"file": True}
    )
    input_size: int = Field(64, ge=1, description="side of the square input, pixels; the card says it")

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_card(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("card"):
            return values
        return {"input_size": Card.read(str(values["card"])).input_size, **values}

    @model_validator(mode="after")
    def _no_other_size(self) -> Self:
        if self.card and self.input_size != (size := Card.read(self.card).input_size):
            raise ValueError(f"the card says that the model takes {size} pixels, not {self.input_size}")
        return self


def by_params(params: OnnxParams) -> dict[str, object]:
    """Return what of the spec depends on the card: a model that gives features answers nothing."""
    return {"answers": ""} if params.card and Card.of(params.card).output == "features" else {}


def files(params: OnnxParams) -> dict[str, Path]:
    """Return the files of weights that lie beside the model, once it is checked against the card.

    Raises:
        FerBenchError: a file is missing or another, or the card does not fit; see `graph.Graph`.
    """
    from fer_bench_predictors.network import check

    return check(params.card)


def answers(params: OnnxParams) -> tuple[str, ...]:
    """Return the expressions that the model knows."""
    return tuple(name for name in Card.of(params.card).expressions if name is not None)


def notes(params: OnnxParams) -> list[str]:
    """Return what the model was trained on, and which of its answers do not count."""
    card = Card.of(params.card)
    ignored = f" Its answers {', '.join(card.drop)} do not count." if card.drop else ""
    return [
        f"{card.title}, trained on: {card.trained_on}. A score on images that it was trained on is no test.{ignored}"
    ]


def plan(params: Params) -> Plan:
    """Return the plan that fits nothing."""
    del params
    return Plan(phases=(AnswerPhase(),))


@hookimpl
def fer_bench_card_draft(file: Path) -> str | None:
    """Return a first card of an ONNX file."""
    if file.suffix != ".onnx":
        return None
    from fer_bench_predictors.drafts import draft

    return draft(file)


@hookimpl
def fer_bench_backbones() -> list[BackboneSpec]:
    """Return the backbone of this package."""
    return [
        BackboneSpec(
            name="onnx",
            summary="a network in an ONNX file that a card describes: a finished classifier (as-is) or features",
            build="fer_bench_predictors.network:build",
            frozen_only=True,
            by_params="fer_bench_predictors:by_params",
            files="fer_bench_predictors:files",
            answers="fer_bench_predictors:answers",
            notes="fer_bench_predictors:notes",
            params=OnnxParams,
        )
    ]


@hookimpl
def fer_bench_strategies() -> list[StrategySpec]:
    """Return the strategy of this package."""
    return [
        StrategySpec(
            name="as-is",
            summary="nothing is fitted: the answers of a finished classifier",
            plan="fer_bench_predictors:plan",
        )
    ]
