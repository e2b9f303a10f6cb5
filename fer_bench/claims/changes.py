"""The settings in which a claim and its card may differ, each as a named change of images, pixels or answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from fer_bench.arrays import Array
from fer_bench.claims.classifier import Classifier
from fer_bench.faces.parameters import Crop
from fer_bench.networks.transforms import to_grey
from fer_bench.specs import NetworkInput
from fer_bench.tasks.view import View

Kind = Literal["alignment", "crop", "colours", "grey", "size", "kernel", "values", "softmax"]
"""In the order in which the changes of a trial happen to an image; a trial has one of a kind at most."""
KINDS: tuple[Kind, ...] = get_args(Kind)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SCALES: dict[str, dict[str, tuple[float, ...]]] = {
    "0 to 255": {"value_range": (0, 255)},
    "0 to 1": {"value_range": (0, 1)},
    "-1 to 1": {"value_range": (-1, 1)},
    "-0.5 to 0.5": {"value_range": (-0.5, 0.5)},
    "0 to 1 less ImageNet's mean over its standard deviation": {"value_range": (0, 1), **IMAGENET},
    "0 to 255 less ImageNet's mean": {"value_range": (0, 255), "mean": (123.68, 116.779, 103.939)},
    "0 to 255 less VGGFace2's mean": {"value_range": (0, 255), "mean": (131.0912, 103.8827, 91.4953)},
}
"""What networks are commonly trained on, as fields of `NetworkInput`. The means: PyTorch's models; K. Simonyan and A.
Zisserman's VGG, whose Caffe files have them; Q. Cao et al., "VGGFace2" (FG 2018), the published Caffe files."""
KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}
PLAIN = "bilinear without antialiasing"
"""What OpenCV and PyTorch do unless they are told otherwise."""
SIDES = (24, 32, 48, 64, 96, 112, 128, 160, 224)
SHARES = (0.95, 0.9, 0.875, 0.8, 0.75, 2 / 3, 0.6, 0.5)
"""Of a side that a central crop keeps; 0.875 is 224 of 256."""


@dataclass(frozen=True, eq=False)
class SettingChange:
    """A setting that differs from the claim's.

    Attributes:
        kind: what it changes.
        what: it is, so that "with …" can be said.
        so: what follows from it, if it is the reason.
        picture: from an image (h, w, 1 or 3) uint8 to another.
        network_input: from what the model's network takes to what it takes otherwise.
        crop: how faces are cut out; ``whole`` that they are not.
        answers: from (n, k) probabilities to others.
    """

    kind: Kind
    what: str
    so: str
    picture: Callable[[Array], Array] | None = None
    network_input: Callable[[NetworkInput], NetworkInput] | None = None
    crop: Crop | None = None
    whole: bool = False
    answers: Callable[[Array], Array] | None = None


def list_changes(model: Classifier, view: View, *, likelihood: bool) -> list[SettingChange]:
    """Return the changes that can make a difference to this model on these images.

    Args:
        model: takes the images.
        view: the images.
        likelihood: whether the metric depends on probabilities beyond the largest.
    """
    changes = [*_alignment(view), *_crops(view), *_sizes(model, view), *_kernels(model, view), *_values(model)]
    if view.channels == 3:
        changes.append(SettingChange("colours", "red and blue exchanged", "the model takes BGR", picture=exchange))
        changes.append(SettingChange("grey", "grey pictures", "the model takes grey pictures", picture=to_grey))
    if likelihood:
        changes.append(SettingChange("softmax", "one softmax less", "a softmax is applied twice", answers=undo_softmax))
    return changes


def exchange(image: Array) -> Array:
    """Return an image with red and blue exchanged."""
    return image[..., ::-1]


def crop_centre(share: float, image: Array) -> Array:
    """Return the middle of an image, ``share`` of each side."""
    height, width = (max(1, round(side * share)) for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def crop_square(image: Array) -> Array:
    """Return the largest square in the middle of an image."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def resize(side: int, kernel: str, image: Array) -> Array:
    """Return an image of ``side`` pixels, stretched if it is not square.

    Args:
        side: of the result.
        kernel: of `KERNELS`, or `PLAIN`.
        image: (h, w, 1 or 3) uint8.
    """
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if kernel == PLAIN:
        whole = (0, 0, *picture.size)
        resized = picture.transform((side, side), Image.Transform.EXTENT, whole, Image.Resampling.BILINEAR)
    else:
        resized = picture.resize((side, side), KERNELS[kernel])
    return np.asarray(resized).reshape(side, side, -1)


def undo_softmax(probabilities: Array) -> Array:
    """Return q of p = softmax(q), where q are probabilities too: ln p shifted so that a row sums to 1, and clipped.

    Args:
        probabilities: (n, k), rows sum to 1.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    shifted = np.clip(logs + (1 - logs.sum(1, keepdims=True)) / logs.shape[1], 0, 1)
    return (shifted / shifted.sum(1, keepdims=True)).astype(np.float32)


def _values(model: Classifier) -> Iterator[SettingChange]:
    if (own := model.own) is None:
        return
    for name, fields in SCALES.items():
        adjust = partial(_adjust, {"mean": (0.0,), "std": (1.0,), **fields})
        if not all(map(np.allclose, _line(own), _line(adjust(own)))):
            yield SettingChange(
                "values", f"pixels of {name}", "the card's value range or mean is wrong", network_input=adjust
            )


def _adjust(fields: Mapping[str, Any], network_input: NetworkInput) -> NetworkInput:
    return replace(network_input, **fields)


def _line(network_input: NetworkInput) -> tuple[Array, Array]:
    """Return slope and intercept, (1 or 3,) each, of the number that a network gets of a pixel."""
    (low, high), std = network_input.value_range, np.array(network_input.std)
    return (high - low) / std, (low - np.array(network_input.mean)) / std


def _kernels(model: Classifier, view: View) -> Iterator[SettingChange]:
    if view.shape == (model.side, model.side):
        return
    for kernel in (*(name for name in KERNELS if name != "bilinear"), PLAIN):
        picture = partial(resize, model.side, kernel)
        yield SettingChange(
            "kernel", f"a {kernel} resize", "pictures were resized with another kernel", picture=picture
        )


def _sizes(model: Classifier, view: View) -> Iterator[SettingChange]:
    for side in SIDES:
        if side != model.side and model.own is not None and model.own.any_side:
            words, so = f"an input of {side} pixels", "the model takes another size"
            yield SettingChange("size", words, so, network_input=partial(_adjust, {"side": side}))
    least = min(model.side, *view.shape) if view.shape else model.side
    for side in SIDES:
        if side < least:
            so, picture = "pictures were made smaller first", partial(resize, side, "box")
            yield SettingChange("size", f"pictures reduced to {side} pixels first", so, picture=picture)


def _crops(view: View) -> Iterator[SettingChange]:
    so = "pictures were cropped"
    for share in SHARES:
        words = f"the central {100 * share:.3g} % of each side"
        yield SettingChange("crop", words, so, picture=partial(crop_centre, share))
    if view.shape is None or view.shape[0] != view.shape[1]:
        yield SettingChange("crop", "the central square", so, picture=crop_square)


def _alignment(view: View) -> Iterator[SettingChange]:
    own = view.faces.crop.method if view.faces else None
    if own != "align":
        yield SettingChange("alignment", "aligned faces", "faces were aligned", crop=Crop(method="align"))
    if own != "box":
        yield SettingChange("alignment", "faces cut out by their boxes", "faces were cut out", crop=Crop(method="box"))
    if own is not None:
        yield SettingChange("alignment", "whole pictures", "faces were not cut out", whole=True)
