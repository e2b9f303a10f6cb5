"""A trained model as one ONNX graph: bytes of any size in, the probability of each class out.

Its parts, one after another: the preparation of images; the network (by jax2onnx); where an estimator predicts from
features, that (by skl2onnx); the probabilities with their calibration.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.learning.calibration import SMALLEST
from fer_bench.learning.rules import HEAD
from fer_bench.models.lowering import lowered
from fer_bench.models.model import TrainedModel
from fer_bench.models.nodes import Nodes
from fer_bench.models.preparation import PREPARED, VIEWS, preparation
from fer_bench.networks.forward import ROUNDING
from fer_bench.networks.parameters import divide, stage_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

PROBABILITIES = "probabilities"
"""Name of the output."""
PACKAGES = ("jax2onnx", "skl2onnx", "onnx", "onnxruntime")
"""Of the extra ``export``."""
OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 10
_SAME = 1e-4
"""Distance between unit vectors of features of one image: rounding to half precision moves them by less."""


def build_graph(model: TrainedModel) -> ModelProto:
    """Return the graph of a model whose products are float32.

    Raises:
        FerBenchError: a package of the extra ``export`` is missing, or cannot convert the backbone or the estimator.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise FerBenchError(f"Export to ONNX needs {', '.join(missing)}: pip install 'fer-bench[export]'.")
    from onnx import helper

    backbone, record = model.backbone, model.record
    size, spec = backbone.input_size, backbone.image_input
    parts = [
        _as_model(preparation(record.channels, record.shape, size, spec, model.asked.views)),
        _network(model),
        *_estimator(model),
        _as_model(_answer(model)),
    ]
    graph = functools.reduce(_joined, parts)
    helper.set_model_props(graph, {"classes": json.dumps(model.classes), "description": record.describe()})
    return graph


def _as_model(graph: GraphProto) -> ModelProto:
    from onnx import helper

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET[""])], ir_version=IR_VERSION)


def _joined(first: ModelProto, second: ModelProto) -> ModelProto:
    """Return a model that gives the output of the first to the second, whose names get that of its graph in front."""
    from onnx import compose

    name = second.graph.name
    second = compose.add_prefix(second, f"{name}/", rename_outputs=name != "answer")
    first.ir_version = second.ir_version = IR_VERSION
    ends = [(first.graph.output[0].name, second.graph.input[0].name)]
    return compose.merge_models(first, second, ends, producer_name="fer-bench")


def _network(model: TrainedModel) -> ModelProto:
    """Return the stages, from prepared images to logits, or to the features that an estimator takes."""
    from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]

    backbone = model.backbone
    parameters, others = divide(backbone)
    table = {**parameters, **others, **model.table}

    def respond(x: jax.Array) -> jax.Array:
        for number, stage in enumerate(backbone.stages):
            x = _halved(x) if 0 < number == model.start and not model.exact else x
            x = stage_of(backbone, table, stage)(x)
        x = x.mean(axis=(1, 2)) if x.ndim == 4 else x
        x = _halved(x) if model.start == len(backbone.stages) and not model.exact else x
        if model.estimator is not None:
            return x
        kernel, bias = (table[name] for name in HEAD)
        return x @ kernel + bias

    side, channels = backbone.input_size, backbone.image_input.channels
    with _conversion("jax2onnx", f"backbone {backbone.name!r}"):
        return to_onnx(
            lowered(respond),
            [("seen", side, side, channels)],
            model_name="network",
            opset=OPSET[""],
            input_names=[PREPARED],
            output_names=["answer"],
        )


def _halved(x: jax.Array) -> jax.Array:
    """Return the numbers of each image rounded to half precision where that holds them, as in `Forward`."""
    half = x.astype(jnp.float16).astype(jnp.float32)
    axes = tuple(range(1, x.ndim))
    error, size = (jnp.sum(jnp.square(values), axes, keepdims=True) for values in (x - half, x))
    return jnp.where(error <= size * ROUNDING**2, half, x)


def _estimator(model: TrainedModel) -> list[ModelProto]:
    """Return the parts from features to the probabilities of the classes that an estimator was fitted on."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline

    estimator, size = model.estimator, model.backbone.feature_size
    if estimator is None:
        return []
    if isinstance(estimator, Pipeline) and isinstance(estimator[-1], KNeighborsClassifier):
        # skl2onnx 1.20 gives the probabilities of neighbours that all have one weight.
        return [_converted(estimator[:-1], size, {}, "variable"), _as_model(_neighbours(estimator[-1]))]
    return [_converted(estimator, size, {"zipmap": False}, "probabilities")]


def _converted(estimator: Any, size: int, options: dict[str, Any], output: str) -> ModelProto:
    """Return what skl2onnx makes of an estimator of ``size`` features, with one of its outputs."""
    from onnx.utils import Extractor
    from skl2onnx import to_onnx  # pyright: ignore[reportMissingImports]

    with _conversion("skl2onnx", f"estimator {type(estimator).__name__}"):
        example = np.zeros((1, size), np.float32)
        converted = to_onnx(estimator, example, name="estimator", options=options, target_opset=OPSET)
        return Extractor(converted).extract_model([converted.graph.input[0].name], [output])


def _neighbours(classifier: Any) -> GraphProto:
    """Return the vote of the nearest training samples, by Euclidean distance in float64.

    Raises:
        FerBenchError: the classifier measures distances in another way.
    """
    from onnx import TensorProto, helper

    if classifier.effective_metric_ != "euclidean" or classifier.weights not in ("uniform", "distance"):
        raise FerBenchError(
            f"Neighbours by {classifier.effective_metric_!r} distance with weights {classifier.weights!r} cannot be "
            "exported to ONNX; those by 'euclidean' distance with weights 'uniform' or 'distance' can."
        )
    samples, votes = np.asarray(classifier._fit_X), np.eye(len(classifier.classes_))[classifier._y]
    graph = Nodes()
    stored = graph.add("Cast", graph.constant(samples), to=TensorProto.DOUBLE)
    x = graph.add("Cast", "features", to=TensorProto.DOUBLE)
    products = graph.add("MatMul", x, graph.add("Transpose", stored, perm=[1, 0]))
    near = graph.add("Sub", graph.add("Mul", products, 2.0), np.square(samples.astype(np.float64)).sum(1))
    nearest = graph.add_several("TopK", 2, near, np.array([classifier.n_neighbors]))[1]
    weighed = graph.add("Gather", votes, nearest, axis=0)
    if classifier.weights == "distance":
        apart = graph.add("Sub", graph.add("Gather", stored, nearest, axis=0), graph.add("Unsqueeze", x, np.array([1])))
        distance = graph.add("ReduceL2", apart, np.array([2]), keepdims=1)
        weight = graph.add("Div", 1.0, graph.add("Where", graph.add("Less", distance, _SAME), 1e-12, distance))
        weighed = graph.add("Mul", weighed, weight)
    sums = graph.add("ReduceSum", weighed, np.array([1]), keepdims=0)
    share = graph.add("Div", sums, graph.add("ReduceSum", sums, np.array([1]), keepdims=1))
    graph.add("Cast", share, output="said", to=TensorProto.FLOAT)
    entry = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["seen", samples.shape[1]])
    return graph.finish(
        "neighbours", entry, helper.make_tensor_value_info("said", TensorProto.FLOAT, ["seen", votes.shape[1]])
    )


def _answer(model: TrainedModel) -> GraphProto:
    """Return the probabilities of all classes, calibrated, from what each view of the images gave: logits, or what an
    estimator says.
    """
    from onnx import TensorProto, helper

    graph, classes = Nodes(), len(model.classes)
    x = graph.add("Cast", "given", to=TensorProto.DOUBLE)
    if model.estimator is None:
        width, x = classes, graph.add("Softmax", x, axis=1)
    else:
        places = np.eye(classes)[np.asarray(model.estimator.classes_)]
        width, x = len(places), graph.add("MatMul", x, places)
    if (count := VIEWS[model.asked.views]) > 1:
        x = graph.add("ReduceMean", graph.add("Reshape", x, np.array([count, -1, classes])), np.array([0]), keepdims=0)
    if scaling := model.record.calibration:
        logs = graph.add("Div", graph.add("Log", graph.add("Max", x, SMALLEST)), scaling.temperature)
        x = graph.add("Softmax", graph.add("Add", logs, np.array(scaling.biases or 0.0)), axis=1)
    graph.add("Cast", x, output=PROBABILITIES, to=TensorProto.FLOAT)
    entry = helper.make_tensor_value_info("given", TensorProto.FLOAT, ["seen", width])
    return graph.finish(
        "answer", entry, helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", classes])
    )


@contextlib.contextmanager
def _conversion(converter: str, what: str) -> Iterator[None]:
    """Turn all that a converter raises into one message, and silence what it logs: the graph is tried afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # converters raise errors of every class
        reason = " ".join(str(error).split())[:300]
        raise FerBenchError(
            f"{converter} cannot convert {what}: {type(error).__name__}: {reason}. "
            "'--to safetensors' needs no converter."
        ) from error
    finally:
        logging.disable(before)
