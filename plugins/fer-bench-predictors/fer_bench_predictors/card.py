"""The card of a model: what it takes and answers, written by a person who knows it, since an ONNX file does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_bench.errors import FerBenchError, bullet_list, reword
from fer_bench.labels import EXPRESSIONS, canonical
from fer_bench.specs import LARGEST_SIDE, NetworkInput

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, ITU-R BT.601."""
EXAMPLE = "onnx[card=model.yaml] or keras-model[card=model.yaml]"


class Card(BaseModel):
    """What a model takes and answers. What would have to be guessed has no default.

    A pixel v of 0 to 255 becomes ``(low + v / 255 * (high - low) - mean) / std``.

    Attributes:
        title: for people.
        model: the ONNX file, relative to the card, with one input of images.
        sha256: of that file, so that the card's own hash stands for both.
        labels: what each output means, in order; of ``features`` there are none.
        drop: those among them that are none of fer-bench's expressions; their share is dropped.
        input_size: side of the square input, pixels.
        channels: 1 for grey (ITU-R BT.601 luma), or 3.
        colours: order of the three channels.
        value_range: low and high.
        mean: of each channel, after that; likewise ``std``.
        layout: order of the axes.
        output: ``probabilities``, or ``logits`` that a softmax is to be applied to, (b, labels); or ``features`` of any
            length, (b, f) or with two axes of space over which they are averaged.
        tensor: name of the tensor that is the output, an inner one too; empty if the model has a single output.
        trained_on: which images the model has seen; printed with every run.
        source: where it comes from.
        licence: of the weights.
        parameters: how many numbers it has; 0 takes those of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    model: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    labels: tuple[str, ...]
    drop: tuple[str, ...] = ()
    input_size: int = Field(ge=1, le=LARGEST_SIDE)
    channels: Literal[1, 3]
    colours: Literal["rgb", "bgr"] = "rgb"
    value_range: tuple[float, float]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Literal["nhwc", "nchw"]
    output: Literal["probabilities", "logits", "features"]
    tensor: str = ""
    trained_on: str = Field(min_length=1)
    source: str = ""
    licence: str = ""
    parameters: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="before")
    @classmethod
    def _features_have_no_labels(cls, values: Any) -> Any:
        features = (
            isinstance(values, dict) and not dict(values).get("labels") and dict(values).get("output") == "features"
        )
        return {**values, "labels": ()} if features else values

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        faults = [
            f"'drop' names {name!r}, which is none of the labels" for name in self.drop if name not in self.labels
        ]
        for label, expression in zip(self.labels, self.expressions, strict=True):
            if expression is None and label not in self.drop:
                faults.append(
                    f"label {label!r} is none of {', '.join(EXPRESSIONS)}; spell it so, or list it under 'drop' if its "
                    "share is to be dropped"
                )
        known = [name for name in self.expressions if name is not None]
        faults += [f"two labels mean {name!r}" for name in sorted({name for name in known if known.count(name) > 1})]
        if self.output == "features" and self.labels:
            faults.append(f"'output: features' has no labels; here are {', '.join(self.labels)}")
        elif self.output != "features" and len(self.labels) < 2:
            faults.append(f"'labels' has {len(self.labels)} entries; 'output: {self.output}' needs one for each output")
        elif self.output != "features" and not known:
            faults.append("no label is an expression that fer-bench knows")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                faults.append(f"{name!r} has {len(getattr(self, name))} values for {self.channels} channels")
        if any(value <= 0 for value in self.std):
            faults.append("'std' has a value that is not above 0")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def expressions(self) -> tuple[str | None, ...]:
        """The expression of each output; None for what is dropped."""
        return tuple(None if label in self.drop else canonical(label) for label in self.labels)

    def network_input(self, *, any_side: bool) -> NetworkInput:
        """Return what the model takes, colours in the order of the images."""
        mean, std = self._by_channel(self.mean), self._by_channel(self.std)
        return NetworkInput(side=self.input_size, any_side=any_side, value_range=self.value_range, mean=mean, std=std)

    def with_input(self, network_input: NetworkInput) -> Self:
        """Return the card of a model that takes something else."""
        changed = {"value_range": network_input.value_range, "input_size": network_input.side}
        changed |= {name: self._by_channel(getattr(network_input, name)) for name in ("mean", "std")}
        return self.model_copy(update=changed)

    def _by_channel(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return numbers of red, green and blue in the order of the channels, or the other way round; one for grey."""
        if self.channels == 1 and len(values) == 3:
            return (sum(share * value for share, value in zip(LUMA, values, strict=True)),)
        return values[:: 1 if self.colours == "rgb" else -1]

    @classmethod
    def of(cls, file: str) -> Self:
        """Return the card of the parameter ``card``.

        Raises:
            FerBenchError: it is empty, or as `read`.
        """
        if not file:
            raise FerBenchError(f"The backbone needs a card that describes the model: {EXAMPLE}")
        try:
            return cls.read(file)
        except ValueError as error:
            raise FerBenchError(str(error)) from None

    @classmethod
    def read(cls, file: str) -> Self:
        """Return the card in a YAML file.

        Raises:
            ValueError: it cannot be read, or lists all that is wrong with it.
        """
        try:
            values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"cannot read the card {file!r}: {error.strerror}") from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(f"the card {file!r} is not valid YAML: {' '.join(str(error).split())}") from None
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {reword(fault['type'], fault['msg'])}".removeprefix(": ")
                for fault in error.errors()
            ]
            raise ValueError(f"the card {file!r} is not valid:\n{bullet_list(faults, len(faults))}") from None
