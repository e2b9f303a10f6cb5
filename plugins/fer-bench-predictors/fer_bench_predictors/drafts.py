"""A first card of an ONNX file: what the graph says, and what only people know as fields that are left empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.registry import file_sha256
from fer_bench_predictors.graph import INPUT_TYPES, Graph, Tensor

LAST = ("Gemm", "MatMul")
"""Operators of a last layer, whose input are features."""


def draft(file: Path) -> str:
    """Return the YAML text of a card; an empty field has a comment that says what is wanted.

    Raises:
        FerBenchError: it is no ONNX file, or does not take images.
    """
    graph = Graph(file)
    images = [tensor for tensor in graph.inputs if tensor.shape is None or len(tensor.shape) == 4]
    if len(graph.inputs) != 1 or not images or images[0].type not in INPUT_TYPES:
        takes = "; ".join(map(str, graph.inputs)) or "nothing"
        raise FerBenchError(
            f"{str(file)!r} takes {takes}; expected one input of images with four axes, of the types "
            f"{', '.join(INPUT_TYPES)}."
        )
    lines = [f"title: {json.dumps(file.stem)}", f"model: {json.dumps(file.name)}", f"sha256: {file_sha256(file)}"]
    lines += [*_input_lines(images[0]), *_output_lines(graph)]
    lines += ["trained_on: # which images the model has seen; printed with every run"]
    lines += [f"parameters: {graph.parameter_count}", "source: ''", "licence: ''"]
    return "\n".join(lines) + "\n"


def _input_lines(tensor: Tensor) -> Iterator[str]:
    """Yield size, channels, layout and range of the input."""
    shape = tensor.shape or ("", "", "", "")
    layout = next((name for name, at in (("nchw", 1), ("nhwc", 3)) if shape[at] in (1, 3)), "")
    sides = shape[2:] if layout == "nchw" else shape[1:3]
    channels = shape[1 if layout == "nchw" else 3] if layout else ""
    side = sides[0] if isinstance(sides[0], int) and sides[0] == sides[1] else ""
    yield f"input_size: {side or '# side of the square image in pixels, such as 224; the graph leaves it open'}"
    yield f"channels: {channels or '# 1 for grey or 3'}"
    yield f"layout: {layout or '# nchw or nhwc'}"
    if tensor.type == "UINT8":
        yield "value_range: [0, 255]"
    else:
        yield "value_range: # what 0 and 255 become, such as [0, 1], [-1, 1] or [0, 255]"
        yield "mean: [0.0]  # subtracted after that, one or one a channel; ImageNet's are [0.485, 0.456, 0.406]"
        yield "std: [1.0]  # then divided by; ImageNet's are [0.229, 0.224, 0.225]"


def _output_lines(graph: Graph) -> Iterator[str]:
    """Yield the tensor, what it means, and its labels."""
    outputs = graph.outputs
    if len(outputs) > 1:
        yield f"tensor: # the output, one of {', '.join(tensor.name for tensor in outputs)}"
    makers = {name: node for node in graph.model.graph.node for name in node.output}
    last = makers.get(outputs[0].name)
    softmax = len(outputs) == 1 and last is not None and last.op_type == "Softmax"
    yield f"output: {'probabilities' if softmax else '# probabilities, logits, or features (then without labels)'}"
    shape = outputs[0].shape
    count = shape[1] if shape is not None and len(shape) == 2 and isinstance(shape[1], int) else "the"
    yield f"labels: # what {count} outputs mean, in their order, such as [angry, happy, neutral]"
    while last is not None and last.op_type in ("Softmax", "Add", "Identity", "LogSoftmax"):
        last = next((makers[name] for name in last.input if name in makers), None)
    if last is not None and last.op_type in LAST and last.input[0] in makers:
        yield f"# The features before the last layer: output: features, tensor: {json.dumps(last.input[0])}, no labels."
