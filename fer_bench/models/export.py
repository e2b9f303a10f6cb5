"""A trained model as a folder that others use without its training data: an ONNX graph, or plain arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.labels import canonical as expression_of
from fer_bench.learning.rules import HEAD
from fer_bench.learning.training import is_random_state
from fer_bench.models import files
from fer_bench.models.model import TrainedModel
from fer_bench.networks.parameters import divide
from fer_bench.networks.transforms import LUMA, host_side
from fer_bench.registry import Registry

GRAPH, CARD = "model.onnx", "card.yaml"
ARRAYS, CONFIG = "model.safetensors", "config.json"
CLOSE = 1e-4
"""How far probabilities of an exported graph may lie from those of the model."""
_TRIED = 8
"""Images of noise on which they are compared."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        model: that was exported, with products in float32.
        files: their names and sizes in bytes.
        apart: largest difference of a probability between the graph and the model on images of noise; None for arrays.
    """

    model: TrainedModel
    files: dict[str, int]
    apart: float | None


def export(file: Path, form: Literal["onnx", "safetensors"], output: Path, files_in: Sequence[Path] = ()) -> Exported:
    """Write a model as a folder, whole or not at all.

    Args:
        file: the model.
        form: ``onnx`` gives `GRAPH` with its `CARD`, ``safetensors`` `ARRAYS` with their `CONFIG`.
        output: the folder; an export that is there is replaced.
        files_in: as of `fer_bench.models.model.load_model`.

    Raises:
        FerBenchError: the model cannot be read or converted, the graph answers differently, or the folder cannot be
            written.
    """
    atomic.replaceable(output, (GRAPH, CARD, ARRAYS, CONFIG).__contains__, "an exported model")
    record, table = files.read(file)
    model = TrainedModel(record, table, Registry.load(), "float32", (*files_in, file.parent))
    if model.backbone.extractor is not None:
        raise FerBenchError(
            f"Backbone {model.backbone.name!r} computes outside of JAX, and its arrays are not fer-bench's: only its "
            f"own library can export it. What was trained, the head or estimator, stands in {str(file)!r}."
        )
    if not model.table and model.estimator is None:
        raise FerBenchError(
            f"{model.backbone.name!r} is a finished classifier, of which the model holds the calibration only "
            f"({model.record.calibration}): apply it to what the classifier answers."
        )
    if form == "onnx" and (aggregate := model.asked.aggregate) != "none":
        raise FerBenchError(
            f"The model gives one answer for all images of a sequence (aggregate={aggregate}), and a graph answers for "
            "each image by itself. Train it with aggregate=none, or export its arrays with '--to safetensors'."
        )
    content: dict[str, bytes]
    apart = None
    if form == "onnx":
        from fer_bench.models.onnx_graph import build_graph

        graph = build_graph(model).SerializeToString()
        apart = _compare(graph, model)
        content = {GRAPH: graph, CARD: _card(model, graph)}
    else:
        arrays = _all_numbers(model, table)
        content = {ARRAYS: files.pack(record, arrays), CONFIG: _config(model)}
    atomic.write_folder(output, content, "the exported model")
    return Exported(model, {name: len(data) for name, data in content.items()}, apart)


def input_side(model: TrainedModel) -> tuple[int, int]:
    """Return height and width of the images that an exported graph resizes least: those of training where all had one
    size, otherwise those of the backbone's input.
    """
    side = model.backbone.input_size
    shape = model.record.shape
    return (side, side) if shape is None or host_side(shape, side) else shape


def _compare(graph: bytes, model: TrainedModel) -> float:
    """Return the largest difference between what a graph and its model say of some images.

    Raises:
        FerBenchError: it is above `CLOSE`.
    """
    import onnxruntime

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_TRIED, *input_side(model), model.record.channels), dtype=np.uint8)
    try:
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        (answers,) = session.run(None, {session.get_inputs()[0].name: images})
    except Exception as error:  # onnxruntime has no common class of errors
        raise FerBenchError(
            f"onnxruntime {onnxruntime.__version__} cannot run the graph of {model.backbone.name!r}: "
            f"{' '.join(str(error).split())[:300]}. Nothing was written; '--to safetensors' needs no graph."
        ) from error
    apart = float(np.abs(np.asarray(answers) - model.predict(list(images))).max())
    if not apart <= CLOSE:
        raise FerBenchError(
            f"The graph of {model.backbone.name!r} gives other probabilities than the model, by up to {apart:.2g} on "
            f"{_TRIED} images of noise; at most {CLOSE:g} is accepted. Nothing was written; '--to safetensors' needs "
            "no graph."
        )
    return apart


def _card(model: TrainedModel, graph: bytes) -> bytes:
    """Return the card with which the backbone ``onnx`` reads the graph."""
    (height, width), record = input_side(model), model.record
    card = {
        "title": record.title,
        "model": GRAPH,
        "sha256": hashlib.sha256(graph).hexdigest(),
        "labels": list(model.classes),
        "drop": [name for name in model.classes if expression_of(name) is None],
        "input_size": height if height == width else model.backbone.input_size,
        "channels": record.channels,
        "value_range": [0, 255],
        "layout": "nhwc",
        "output": "probabilities",
        "trained_on": record.trained_on,
        "source": f"fer-bench {record.version}",
        "parameters": model.backbone.parameters + sum(model.table[name].size for name in HEAD if name in model.table),
    }
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True).encode()


def _all_numbers(model: TrainedModel, table: dict[str, Array]) -> dict[str, Array]:
    """Return every array of backbone and head, or of what an estimator is fitted on, by name."""
    parameters, others = divide(model.backbone)
    everything = {**parameters, **others, **(model.table or table)}
    return {name: np.asarray(values) for name, values in everything.items() if not is_random_state(values)}


def _config(model: TrainedModel) -> bytes:
    """Return in plain values what images become before the first stage, and features after the last."""
    record, backbone, spec = model.record, model.backbone, model.backbone.image_input
    calibration = record.calibration
    config = {
        "title": record.title,
        "description": record.describe(),
        "classes": list(model.classes),
        "images": {
            "size": backbone.input_size,
            "channels": spec.channels,
            "value_range": list(spec.value_range),
            "resize": spec.resize,
            "luma": list(LUMA),
            "faces": record.experiment.dataset.faces,
        },
        "stages": list(backbone.stages),
        "rounded_to_half_before_stage": None if model.exact or model.start == 0 else model.start,
        "features": backbone.feature_size,
        "answer": "softmax of head" if model.table else "estimator of readout",
        "estimator": None if model.estimator is None else record.experiment.strategy.text,
        "views": model.asked.views,
        "aggregate": model.asked.aggregate,
        "calibration": None
        if calibration is None
        else {"temperature": calibration.temperature, "biases": list(calibration.biases)},
        "fer_bench": record.version,
    }
    return (json.dumps(config, indent=2) + "\n").encode()
