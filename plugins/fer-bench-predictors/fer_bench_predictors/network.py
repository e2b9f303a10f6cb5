"""An ONNX model outside of JAX: stored images in, features or probabilities of fer-bench's expressions out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from fer_bench.errors import FerBenchError, MissingError
from fer_bench.registry import file_sha256
from fer_bench.specs import NetworkInput
from fer_bench_predictors.arithmetic import prepare, resize, to_expressions
from fer_bench_predictors.card import Card
from fer_bench_predictors.graph import INPUT_TYPES, Graph, Tensor

if TYPE_CHECKING:
    from fer_bench_predictors import OnnxParams

Numbers = np.ndarray[Any, Any]


class OnnxModel:
    """A model and its card, as a `fer_bench.specs.Extractor`.

    Args:
        card: what the model takes and answers.
        graph: the ONNX file, which fits the card.
        session: that has read it; None begins one.

    Raises:
        FerBenchError: onnxruntime cannot read the file, or the model does not take what the card says.
    """

    batch = 32

    def __init__(self, card: Card, graph: Graph, session: onnxruntime.InferenceSession | None = None) -> None:
        self.card, self.digest = card, card.sha256
        self.parameter_count = card.parameters or graph.parameter_count
        (self._input,) = graph.inputs
        self._output = graph.answer(card).name
        self._file, self._session = graph.file, session or _session(graph, self._output)
        # The file need not say how long its features are, and what it says need not be so.
        self._graph, self.network_input = graph, _network_input(card, self._input)
        self.feature_size = self([np.zeros((card.input_size, card.input_size, 3), np.uint8)]).shape[1]

    def with_input(self, network_input: NetworkInput) -> OnnxModel:
        """Return the model with another input; see `fer_bench.specs.AdjustableExtractor`."""
        return OnnxModel(self.card.with_input(network_input), self._graph, self._session)

    def __call__(self, images: Sequence[Numbers]) -> Numbers:
        """Return the features of images, or the probabilities of expressions.

        Args:
            images: b of them, each (h, w, 3) uint8, RGB.

        Returns:
            (b, f) float32; of a classifier (b, 8) of `EXPRESSIONS`, whose rows sum to 1 but for what the card drops.

        Raises:
            FerBenchError: the model does not take or answer what its card says.
        """
        ready = prepare(np.stack([resize(image, self.card.input_size) for image in images]), self.card)
        kind = np.dtype(INPUT_TYPES[self._input.type])
        ready = np.clip(np.rint(ready), 0, 255).astype(kind) if kind == np.uint8 else ready.astype(kind, copy=False)
        batch = self._input.shape[0] if self._input.shape else ""
        size = batch if isinstance(batch, int) else len(ready)
        parts: list[Numbers] = []
        for at in range(0, len(ready), size):
            part = ready[at : at + size]
            parts.append(self._run(np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]))[: len(part)])
        answer = np.concatenate(parts)
        return to_expressions(answer, self.card) if self.card.output != "features" else self._pooled(answer)

    def _run(self, images: Numbers) -> Numbers:
        try:
            (answer,) = self._session.run([self._output], {self._input.name: images})
        except Exception as error:  # onnxruntime has no common class of errors
            raise FerBenchError(
                f"{self._file.name} does not take images {images.shape} {images.dtype}, as its card has it: "
                f"{' '.join(str(error).split())}"
            ) from error
        answer = np.asarray(answer)
        if answer.ndim < 2 or len(answer) != len(images):
            raise FerBenchError(
                f"{self._file.name} returns {answer.shape} for {len(images)} images; expected ({len(images)}, …)."
            )
        return answer

    def _pooled(self, answer: Numbers) -> Numbers:
        """Return features (b, f) float32, averaged over space where there are two axes of it."""
        if answer.ndim not in (2, 4):
            raise FerBenchError(
                f"{self._file.name} returns features {answer.shape}; expected (images, length), or four axes that are "
                "averaged over space. Name another tensor in the card, such as 'tensor: …'."
            )
        pooled = answer.mean((2, 3) if self.card.layout == "nchw" else (1, 2)) if answer.ndim == 4 else answer
        return pooled.astype(np.float32)


def _network_input(card: Card, node: Tensor) -> NetworkInput | None:
    """Return what a model takes, colours in the order of the images; None of one that takes bytes."""
    if INPUT_TYPES[node.type] == "uint8":
        return None
    sides = (node.shape or ("",) * 4)[2:4] if card.layout == "nchw" else (node.shape or ("",) * 4)[1:3]
    return card.network_input(any_side=not any(isinstance(side, int) for side in sides))


def _session(graph: Graph, output: str) -> onnxruntime.InferenceSession:
    """Return a session that can return ``output``; files of weights beside the model are read from its folder."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    folder = str(graph.file.parent.resolve())
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return onnxruntime.InferenceSession(graph.with_output(output), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common class of errors
        raise FerBenchError(
            f"onnxruntime {onnxruntime.__version__} cannot read {str(graph.file)!r}: {' '.join(str(error).split())}. "
            "The file is damaged, or of a newer version of ONNX; write or download it again."
        ) from error


def check(file: str) -> dict[str, Path]:
    """Hold a card against its model, and return the files of weights beside this, by name.

    Args:
        file: the card.

    Raises:
        FerBenchError: the card or a file is missing, the file is not the card's, or the card does not fit it.
    """
    _, graph = _open(file)
    return {f"weights {name!r}": path for name, path in graph.outside().items()}


def _open(file: str) -> tuple[Card, Graph]:
    card = Card.of(file)
    model = Path(file).parent / card.model
    if not model.is_file():
        raise MissingError(f"There is no file {str(model)!r}, which the card {file!r} names as 'model'.")
    if (digest := file_sha256(model)) != card.sha256:
        raise FerBenchError(
            f"{str(model)!r} has sha256 {digest}; the card {file!r} is about a file with {card.sha256}. "
            "Take the right file, or write the new hash into the card once you have checked that all else in it holds."
        )
    graph = Graph(model)
    graph.check(card, file)
    return card, graph


def build(params: OnnxParams, *, rngs: object, compute_dtype: object = None) -> OnnxModel:
    """Return the model that the card describes; it computes in its own precision.

    Raises:
        FerBenchError: as `check`, or as `OnnxModel`.
    """
    del rngs, compute_dtype
    card, graph = _open(params.card)
    graph.outside()
    return OnnxModel(card, graph)
