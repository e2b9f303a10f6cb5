"""What claims are planted with: folders of pictures in splits, cards that say something else, and changed graphs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image


def write_folder(root: Path, parts) -> Path:
    """Write pictures as ``<split>/<class>/<number>.png``.

    Args:
        root: of the data set ``folder[path=…]``.
        parts: split -> (images, names of classes), images (h, w) or (h, w, 3) uint8.
    """
    for split, (images, names) in parts.items():
        for number, (image, name) in enumerate(zip(images, names, strict=True)):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{split}-{number:05}.png")
    return root


def write_card(card: Path, made: Path, **changes) -> Path:
    """Write a card that differs from another; it names the same file unless ``graph`` is one that is to be saved."""
    values = yaml.safe_load(card.read_text(encoding="utf-8"))
    file = card.parent / values["model"]
    if (graph := changes.pop("graph", None)) is not None:
        file = made.with_suffix(".onnx")
        file.write_bytes(graph.SerializeToString())
    values |= {"model": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), **changes}
    made.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return made


def write_claim(file: Path, card: Path, folder: Path, **values) -> Path:
    """Write a claim about the classifier of a card on a folder."""
    claim = {"model": f"onnx[card={card}]", "dataset": f"folder[path={folder}]", "split": "test", "labels": "basic-7"}
    file.write_text(yaml.safe_dump(claim | values, sort_keys=False), encoding="utf-8")
    return file


def permute_outputs(graph, order):
    """Return an ONNX model whose output ``i`` is output ``order[i]`` of another."""
    return _after(graph, "Gather", np.array(order, np.int64), axis=1)


def take_other_pixels(graph, slope: float, shift: float):
    """Return an ONNX model that takes x where another takes ``slope * x + shift``."""
    return _before(_before(graph, "Add", np.float32(shift)), "Mul", np.float32(slope))


def mix_channels(graph, weights):
    """Return an ONNX model of three channels (NHWC) that another of one sees as their weighted sum."""
    mixed = _before(graph, "MatMul", np.array(weights, np.float32)[:, None])
    mixed.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 3
    return mixed


def take_any_size(graph):
    """Return an ONNX model that does not say how large its images are."""
    model = _copy(graph)
    for place, name in ((1, "height"), (2, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    return model


def _copy(graph):
    model = type(graph)()
    model.CopyFrom(graph)
    return model


def _before(graph, kind, value):
    """Return a model with one node more between its input and what read that."""
    from onnx import helper, numpy_helper

    model = _copy(graph)
    source, name = model.graph.input[0].name, f"{kind}-before-{len(model.graph.node)}"
    for node in model.graph.node:
        node.input[:] = [name if used == source else used for used in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}-value"))
    model.graph.node.insert(0, helper.make_node(kind, [source, f"{name}-value"], [name]))
    return model


def _after(graph, kind, value, **attributes):
    """Return a model with one node more behind its output."""
    from onnx import helper, numpy_helper

    model = _copy(graph)
    sink, name = model.graph.output[0].name, f"{kind}-after"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{name}-value"))
    model.graph.node.append(helper.make_node(kind, [sink, f"{name}-value"], [name], **attributes))
    model.graph.output[0].name = name
    return model
