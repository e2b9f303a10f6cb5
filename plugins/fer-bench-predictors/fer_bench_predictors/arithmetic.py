"""From images to what a model takes, and from what it returns to expressions, as its card says; without onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from fer_bench.errors import FerBenchError
from fer_bench.labels import EXPRESSIONS
from fer_bench_predictors.card import LUMA, Card

Numbers = np.ndarray[Any, Any]


def resize(image: Numbers, side: int) -> Numbers:
    """Return an image (h, w, 3) uint8 as (side, side, 3) float32, 0 to 255: bilinear, antialiased, stretched."""
    if image.shape[:2] == (side, side):
        return image.astype(np.float32)
    planes = [Image.fromarray(plane) for plane in np.moveaxis(image.astype(np.float32), 2, 0)]
    return np.stack([np.asarray(plane.resize((side, side), Image.Resampling.BILINEAR)) for plane in planes], axis=-1)


def prepare(images: Numbers, card: Card) -> Numbers:
    """Return (b, s, s, 3) images of 0 to 255 as the card says that the model takes them, float32."""
    low, high = card.value_range
    x = (
        (images @ np.array(LUMA, np.float32))[..., None]
        if card.channels == 1
        else images[..., :: 1 if card.colours == "rgb" else -1]
    )
    x = low + x / np.float32(255) * (high - low)
    x = (x - np.array(card.mean)) / np.array(card.std)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if card.layout == "nchw" else x, np.float32)


def to_expressions(answer: Numbers, card: Card) -> Numbers:
    """Return the probabilities (b, 8) of `EXPRESSIONS` that the outputs of a classifier (b, labels) mean, float32.

    Raises:
        FerBenchError: the outputs are not what the card says.
    """
    if answer.ndim != 2 or answer.shape[1] != len(card.labels):
        raise FerBenchError(
            f"The model answers {answer.shape}; its card names {len(card.labels)} labels: {', '.join(card.labels)}."
        )
    answer = answer.astype(np.float64)
    if card.output == "logits":
        answer = np.exp(answer - answer.max(1, keepdims=True))
        answer /= answer.sum(1, keepdims=True)
    elif answer.min() < -1e-6 or np.abs(answer.sum(1) - 1).max() > 1e-2:
        raise FerBenchError(
            f"The model's answers are in {answer.min():.3g} to {answer.max():.3g} and sum to {answer.sum(1).min():.3g} "
            f"to {answer.sum(1).max():.3g}: no probabilities, as its card has it. Should the card say 'output: logits'?"
        )
    shares = np.zeros((len(answer), len(EXPRESSIONS)), np.float32)
    for place, name in enumerate(card.expressions):
        if name is not None:
            shares[:, EXPRESSIONS.index(name)] = np.clip(answer[:, place], 0, None)
    return shares
