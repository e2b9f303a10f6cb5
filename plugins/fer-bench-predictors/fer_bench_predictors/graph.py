"""What an ONNX file says of itself, read without running it, and what of it does not fit a card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_bench.errors import FerBenchError, MissingError, bullet_list, did_you_mean
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench_predictors.card import Card

Axis = int | str
"""Length of an axis, or the name under which the graph leaves it open; empty where it has none."""
INPUT_TYPES = {"FLOAT": "float32", "UINT8": "uint8", "FLOAT16": "float16", "DOUBLE": "float64"}
"""Types of an input of images that are fed, by their names in ONNX and in NumPy."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph: its name, its type as ONNX names it, and its shape or None if it says none."""

    name: str
    type: str
    shape: tuple[Axis, ...] | None

    def __str__(self) -> str:
        """Return it as a person reads it: ``'x' FLOAT (n, 3, 224, 224)``."""
        shape = "of any shape" if self.shape is None else f"({', '.join(str(axis or '?') for axis in self.shape)})"
        return f"{self.name!r} {self.type} {shape}"


class Graph:
    """An ONNX file without the numbers that lie outside of it.

    Args:
        file: the ONNX file.

    Raises:
        FerBenchError: it is no ONNX file.
    """

    def __init__(self, file: Path) -> None:
        import onnx  # takes as long as NumPy; only what looks into a file needs it

        self.file = file
        try:
            self.model: Any = onnx.load(file, load_external_data=False)
        except Exception as error:  # protobuf's errors have no common class
            raise FerBenchError(
                f"{str(file)!r} is no ONNX file: {' '.join(str(error).split())} Write or download it again."
            ) from None
        if not self.model.graph.node:
            raise FerBenchError(f"{str(file)!r} is no ONNX file with a network: its graph has no nodes.")

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The inputs that are no weights."""
        weights = {tensor.name for tensor in self.model.graph.initializer}
        return [_tensor(value) for value in self.model.graph.input if value.name not in weights]

    @cached_property
    def outputs(self) -> list[Tensor]:
        """The outputs."""
        return [_tensor(value) for value in self.model.graph.output]

    @cached_property
    def inner(self) -> dict[str, Tensor]:
        """Every tensor that a node makes, by name; of most, only the name is known."""
        known = {value.name: _tensor(value) for value in self.model.graph.value_info}
        known |= {tensor.name: tensor for tensor in self.outputs}
        names = [name for node in self.model.graph.node for name in node.output if name]
        return {name: known.get(name, Tensor(name, "", None)) for name in names}

    @property
    def parameter_count(self) -> int:
        """How many floating-point numbers its weights have, wherever they lie."""
        import math

        import onnx

        kinds = {onnx.TensorProto.DataType.Value(name) for name in (*INPUT_TYPES, "BFLOAT16") if name != "UINT8"}
        return sum(math.prod(tensor.dims) for tensor in self.model.graph.initializer if tensor.data_type in kinds)

    def outside(self) -> dict[str, Path]:
        """Return the files beside it that hold weights, by the place that the graph names.

        Raises:
            FerBenchError: places leave the folder of the file, or nothing is there; all in one message.
        """
        places = {
            entry.value
            for tensor in self.model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        folder, faults = self.file.parent.resolve(), list[str]()
        files: dict[str, Path] = {}
        for place in sorted(places):
            file = (folder / place).resolve()
            if not file.is_relative_to(folder):
                faults.append(f"{place!r} leaves the folder")
            elif not file.is_file():
                faults.append(f"{place!r} is not there")
            files[place] = file
        if faults:
            raise MissingError(
                f"{str(self.file)!r} keeps weights in {number_of(len(places), 'other file')} that must lie in its "
                f"folder {str(folder)!r}:\n{bullet_list(faults)}\nCopy them there, or write the model again as one "
                "file."
            )
        return files

    def with_output(self, name: str) -> bytes:
        """Return the file with one more output, a tensor that a node makes."""
        import onnx

        if name not in {tensor.name for tensor in self.outputs}:
            self.model.graph.output.append(onnx.ValueInfoProto(name=name))
        return self.model.SerializeToString()

    def answer(self, card: Card) -> Tensor:
        """Return the tensor that the card is about; the first output where it names one that is not there."""
        return self.inner.get(card.tensor) or self.outputs[0]

    def check(self, card: Card, title: str) -> None:
        """Hold a card against the graph.

        Raises:
            FerBenchError: inputs and outputs are not as the card has them; all in one message.
        """
        if faults := [*self._input_faults(card), *self._output_faults(card)]:
            raise FerBenchError(
                f"The card {title!r} does not fit the model {str(self.file)!r}:\n{bullet_list(faults)}\nCorrect the "
                "card; 'fer-bench card make' writes one from the file."
            )

    def _input_faults(self, card: Card) -> Iterator[str]:
        if len(self.inputs) != 1:
            yield f"the model takes {_listed(self.inputs)}; expected one input of images"
            return
        (tensor,) = self.inputs
        if tensor.type not in INPUT_TYPES:
            yield f"the input is {tensor}; expected one of the types {', '.join(INPUT_TYPES)}"
        side, channels = card.input_size, card.channels
        wanted = (side, side, channels) if card.layout == "nhwc" else (channels, side, side)
        shape = tensor.shape
        if shape is None:
            return
        fits = len(shape) == 4 and all(
            axis == want or isinstance(axis, str) for axis, want in zip(shape[1:], wanted, strict=True)
        )
        if not fits:
            axes = ", ".join(map(str, wanted))
            yield (
                f"the input is {tensor}; by layout {card.layout!r}, input_size {side} and channels {channels} of the "
                f"card it is (images, {axes})"
            )

    def _output_faults(self, card: Card) -> Iterator[str]:
        if card.tensor and card.tensor not in self.inner:
            yield f"no node makes the tensor {card.tensor!r}. {did_you_mean(card.tensor, self._last_names())}"
            return
        if not card.tensor and len(self.outputs) != 1:
            yield f"the model returns {_listed(self.outputs)}; name one of them in the card, such as 'tensor: …'"
            return
        tensor = self.answer(card)
        shape = tensor.shape
        if shape is None:
            return
        if card.output == "features":
            if len(shape) not in (2, 4):
                yield f"the features are {tensor}; expected (images, length), or four axes to be averaged over space"
            return
        expected = f"(images, {len(card.labels)}) for the labels {', '.join(card.labels)}"
        if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != len(card.labels)):
            yield f"the output is {tensor}; expected {expected}"

    def _last_names(self) -> list[str]:
        return list(self.inner)[-50:]


def _tensor(value: Any) -> Tensor:
    import onnx

    kind = value.type.tensor_type
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else axis.dim_param for axis in kind.shape.dim)
    return Tensor(value.name, onnx.TensorProto.DataType.Name(kind.elem_type), shape if kind.HasField("shape") else None)


def _listed(tensors: list[Tensor]) -> str:
    return "; ".join(map(str, tensors)) or "nothing"
