"""The card of a module of the user's own: that of an ONNX model, without what the parameters say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from fer_bench_predictors.card import Card
from pydantic import Field, model_validator

from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    from fer_bench_torch.parameters import TorchParams

EXAMPLE = "torch[build=my_package.models:make,weights=best.pth,card=card.yaml]"


class TorchCard(Card):
    """What a module takes and returns, see `fer_bench_predictors.card.Card`.

    Attributes:
        model: not needed, since a parameter names the code.
        sha256: of the file of weights, if the card is about one; another file is refused then.
        layout: order of the axes.
    """

    model: str = ""
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    layout: Literal["nhwc", "nchw"] = "nchw"

    @model_validator(mode="after")
    def _one_output(self) -> Self:
        if self.tensor:
            raise ValueError(f"'tensor' names {self.tensor!r} within an ONNX graph; let the module return its features")
        return self


def card_of(params: TorchParams) -> TorchCard:
    """Return the card that the parameters name.

    Raises:
        FerBenchError: they name none, or it lists all that is wrong with it.
    """
    if not params.card or not params.build:
        raise FerBenchError(f"Backbone 'torch' needs a function that returns the module, and its card: {EXAMPLE}")
    try:
        return TorchCard.read(params.card)
    except ValueError as error:
        raise FerBenchError(str(error)) from None


def by_card(params: TorchParams) -> Mapping[str, object]:
    """Return what the spec says for a card: whether the module is a finished classifier."""
    features = bool(params.card and params.build) and card_of(params).output == "features"
    return {"answers": "" if features else "fer_bench_torch.card:answers"}


def answers(params: TorchParams) -> tuple[str, ...]:
    """Return the expressions that a finished classifier knows."""
    return tuple(name for name in card_of(params).expressions if name is not None)


def notes(params: TorchParams) -> list[str]:
    """Return what the module was trained on, which of its answers do not count, and whose weights it has."""
    card = card_of(params)
    text = f"{card.title}, trained on: {card.trained_on}. A score on images that it was trained on is no test."
    if card.drop:
        text += f" Its answers {', '.join(card.drop)} do not count."
    if not params.weights:
        text += f" No file of weights is given: its numbers are those that {params.build} returns."
    return [text]
