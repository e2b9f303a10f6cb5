"""An ONNX classifier outside of JAX: images in, probabilities of fer-bench's expressions out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from PIL import Image

from fer_bench.errors import FerBenchError
from fer_bench.labels import EXPRESSIONS
from fer_bench.registry import file_sha256
from fer_bench_predictors.arithmetic import prepare, to_expressions
from fer_bench_predictors.card import Card

if TYPE_CHECKING:
    from fer_bench_predictors import OnnxParams

Numbers = np.ndarray[Any, Any]


class Classifier:
    """A model and its card, as a `fer_bench.specs.Extractor`.

    Args:
        card: what the model takes and answers.
        file: the ONNX file.
    """

    feature_size, batch = len(EXPRESSIONS), 32

    def __init__(self, card: Card, file: Path) -> None:
        self.card, self.file = card, file
        self.parameter_count, self.digest = card.parameters, card.sha256

    def __call__(self, images: Sequence[Numbers]) -> Numbers:
        """Return the probabilities of images.

        Args:
            images: b of them, each (h, w, 3) uint8, RGB.

        Returns:
            (b, 8) float32 of `EXPRESSIONS`; rows sum to 1 but for what the card drops.

        Raises:
            FerBenchError: the model does not take or answer what its card says.
        """
        card, session = self.card, _session(self.file, self.card.sha256)
        ready = prepare(np.stack([resize(image, card.input_size) for image in images]), card)
        node = session.get_inputs()[0]
        if node.type == "tensor(uint8)":
            ready = np.clip(np.rint(ready), 0, 255).astype(np.uint8)
        size = node.shape[0] if isinstance(node.shape[0], int) else len(ready)
        parts: list[Numbers] = []
        for at in range(0, len(ready), size):
            part = ready[at : at + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            try:
                (answer,) = session.run([session.get_outputs()[0].name], {node.name: filled})
            except Exception as error:  # onnxruntime has no common class of errors
                raise FerBenchError(
                    f"{self.file.name} does not take images {filled.shape} {filled.dtype}, as its card has it: "
                    f"{' '.join(str(error).split())}"
                ) from error
            parts.append(np.asarray(answer)[: len(part)])
        return to_expressions(np.concatenate(parts), card)


def resize(image: Numbers, side: int) -> Numbers:
    """Return an image (h, w, 3) uint8 as (side, side, 3) float32, 0 to 255: bilinear, antialiased, stretched."""
    planes = [Image.fromarray(plane) for plane in np.moveaxis(image.astype(np.float32), 2, 0)]
    return np.stack([np.asarray(plane.resize((side, side), Image.Resampling.BILINEAR)) for plane in planes], axis=-1)


@lru_cache(maxsize=4)
def _session(file: Path, sha256: str) -> onnxruntime.InferenceSession:
    del sha256  # a file that is written anew is another model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common class of errors
        raise FerBenchError(
            f"onnxruntime {onnxruntime.__version__} cannot read {str(file)!r}: {' '.join(str(error).split())}. The "
            "file is damaged, or of a newer version of ONNX; write or download it again."
        ) from error


def build(params: OnnxParams, *, rngs: object, compute_dtype: object = None) -> Classifier:
    """Return the classifier that the card describes; it computes in its own precision.

    Raises:
        FerBenchError: the card or the file is missing, or the file is not the card's.
    """
    del rngs, compute_dtype
    card = Card.of(params.card)
    file = Path(params.card).parent / card.model
    found = file_sha256(file)
    if found != card.sha256:
        raise FerBenchError(
            f"{str(file)!r} has sha256 {found}; the card {params.card!r} is about a file with {card.sha256}. "
            "Take the right file, or write the new hash into the card once you have checked that all else in it holds."
        )
    _session(file, found)
    return Classifier(card, file)
