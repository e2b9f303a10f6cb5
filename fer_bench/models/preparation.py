"""The preparation of images as an ONNX graph: bytes of any size to what a backbone's first stage expects.

It is the arithmetic of `fer_bench.networks.transforms`: images of the size of the training images are resized as
`jax.image.resize` does, others to bytes as Pillow does, columns first. Pillow 13 begins with the rows of images that
are much higher than wide, whose bytes may then differ by 1. Operator ``Resize`` of ONNX is not used, since with
antialias that of onnxruntime 1.32 is wrong by up to 18 of 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fer_bench.models.nodes import Nodes
from fer_bench.networks.transforms import LUMA, host_side
from fer_bench.specs import ImageInput
from fer_bench.specs.strategies import Views
from fer_bench.tasks import windows

if TYPE_CHECKING:
    from onnx import GraphProto

IMAGES, PREPARED = "images", "prepared"
"""Names of the input and of the output."""
VIEWS: Mapping[Views, int] = {"image": 1, "mirror": 2, "crops": len(windows.WINDOWS)}
"""How often each image is seen."""
_FIXED_POINT = 2.0**22
"""Pillow's weights are whole multiples of the inverse."""


def preparation(
    channels: int, shape: tuple[int, int] | None, size: int, spec: ImageInput, views: Views = "image"
) -> GraphProto:
    """Return a graph from `IMAGES` (n, height, width, ``channels``) uint8 to `PREPARED` (views * n, size, size, c)
    float32: first all n images as the first view shows them, then as the next does.

    Args:
        channels: of the images, 1 or 3.
        shape: height and width of the training images; None where they differ.
        size: side of what the first stage takes, pixels.
        spec: what it expects.
        views: of each image, as in `fer_bench.specs.StrategyParams`.
    """
    from onnx import TensorProto, helper

    graph = Nodes()
    pixels = graph.add("Cast", graph.add("Transpose", IMAGES, perm=[0, 3, 1, 2]), to=TensorProto.DOUBLE)
    sides = graph.add("Slice", graph.add("Shape", IMAGES), np.array([1]), np.array([3]))
    if views == "crops":
        cuts = [_window(graph, pixels, sides, *halves) for halves in windows.WINDOWS.values()]
        pictures = [
            _prepared(graph, cut, within, shape and windows.shape_of(shape), size, spec) for cut, within in cuts
        ]
    else:
        pictures = [_prepared(graph, pixels, sides, shape, size, spec)]
    if views == "mirror":
        pictures.append(graph.add("Gather", pictures[0], np.arange(size)[::-1].copy(), axis=3))
    x = graph.add("Concat", *pictures, axis=0) if len(pictures) > 1 else pictures[0]
    low, high = spec.value_range
    if channels > spec.channels:
        x = graph.add("ReduceSum", graph.add("Mul", x, np.reshape(LUMA, (3, 1, 1))), np.array([1]), keepdims=1)
    x = graph.add("Add", graph.add("Mul", x, (high - low) / 255.0), float(low))
    if channels < spec.channels:
        x = graph.add("Concat", *[x] * spec.channels, axis=1)
    graph.add("Cast", graph.add("Transpose", x, perm=[0, 2, 3, 1]), output=PREPARED, to=TensorProto.FLOAT)
    entry = helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["n", "height", "width", channels])
    prepared = helper.make_tensor_value_info(PREPARED, TensorProto.FLOAT, ["seen", size, size, spec.channels])
    return graph.finish("preparation", entry, prepared)


def _window(graph: Nodes, pixels: str, sides: str, down: int, right: int) -> tuple[str, str]:
    """Add a window of (n, c, height, width), as `fer_bench.tasks.windows.cut` cuts it; return it and its sides."""
    part, whole = windows.SHARE
    within = graph.add("Max", graph.add("Div", graph.add("Mul", sides, part), whole), 1)
    free = graph.add("Sub", sides, within)
    start = graph.add("Div", graph.add("Mul", free, np.array([down, right])), 2)
    return graph.add("Slice", pixels, start, graph.add("Add", start, within), np.array([2, 3])), within


def _prepared(graph: Nodes, pixels: str, sides: str, shape: tuple[int, int] | None, size: int, spec: ImageInput) -> str:
    """Add the resizing of (n, c, height, width) to ``size``, to bytes unless images have the shape of training."""
    height, width = (graph.add("Gather", sides, place, axis=0) for place in (0, 1))
    x = _resized(graph, pixels, height, width, size, "linear", whole=True)
    if shape is None or host_side(shape, size):
        return x
    exact = _resized(graph, pixels, height, width, size, spec.resize, whole=False)
    same = [graph.add("Equal", side, usual) for side, usual in zip((height, width), shape, strict=True)]
    return graph.add("Where", graph.add("And", *same), exact, x)


def _resized(graph: Nodes, pixels: str, height: str, width: str, size: int, kernel: str, *, whole: bool) -> str:
    """Add the resizing of (n, c, height, width) float64 to (n, c, size, size), columns first; ``whole`` gives bytes."""
    x = graph.add("MatMul", pixels, _weights(graph, width, size, kernel, whole=whole, after=True))
    x = _to_whole(graph, x) if whole else x
    x = graph.add("MatMul", _weights(graph, height, size, kernel, whole=whole, after=False), x)
    return _to_whole(graph, x) if whole else x


def _to_whole(graph: Nodes, x: str) -> str:
    """Add the rounding of sums of bytes times fixed-point weights to bytes."""
    nearest = graph.add("Floor", graph.add("Add", graph.add("Div", x, _FIXED_POINT), 0.5))
    return graph.add("Min", graph.add("Max", nearest, 0.0), 255.0)


def _weights(graph: Nodes, count: str, size: int, kernel: str, *, whole: bool, after: bool) -> str:
    """Add the weights (size, count) float64 of each of ``count`` pixels for each of ``size``; rows sum to 1.

    Where an axis shrinks, the kernel grows with it. ``whole`` gives fixed-point weights, in units of `_FIXED_POINT`.
    ``after`` gives (count, size), for a product in which the images stand first.
    """
    from onnx import TensorProto

    scale = graph.add("Div", graph.add("Cast", count, to=TensorProto.DOUBLE), float(size))
    centres = graph.add("Mul", np.arange(size)[:, None] + 0.5, scale)
    places = graph.add("Cast", graph.add("Range", 0, count, 1), to=TensorProto.DOUBLE)
    distance = graph.add("Sub", graph.add("Add", places, 0.5), centres)
    if after:  # early: onnxruntime 1.20 to 1.25.0 has no float64 product that includes a transposition
        distance = graph.add("Transpose", distance, perm=[1, 0])
    away = graph.add("Abs", graph.add("Div", distance, graph.add("Max", scale, 1.0)))
    weights = _linear(graph, away) if kernel == "linear" else _cubic(graph, away)
    weights = graph.add("Div", weights, graph.add("ReduceSum", weights, np.array([0 if after else 1]), keepdims=1))
    if not whole:
        return weights
    return graph.add("Floor", graph.add("Add", graph.add("Mul", weights, _FIXED_POINT), 0.5))


def _linear(graph: Nodes, away: str) -> str:
    return graph.add("Max", graph.add("Sub", 1.0, away), 0.0)


def _cubic(graph: Nodes, away: str) -> str:
    """Add Keys's kernel with a = -1/2 (IEEE Trans. ASSP 29 (1981), equation 4)."""

    def polynomial(*factors: float) -> str:
        value = graph.add("Add", graph.add("Mul", away, factors[0]), factors[1])
        for factor in factors[2:]:
            value = graph.add("Add", graph.add("Mul", value, away), factor)
        return value

    near, far = polynomial(1.5, -2.5, 0.0, 1.0), polynomial(-0.5, 2.5, -4.0, 2.0)
    beyond = graph.add("Where", graph.add("Less", away, 2.0), far, 0.0)
    return graph.add("Where", graph.add("Less", away, 1.0), near, beyond)
