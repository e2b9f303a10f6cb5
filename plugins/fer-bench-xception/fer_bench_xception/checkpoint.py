"""From Keras's names and shapes to ours, with every mismatch reported at once; and the weights that the package ships.

Our tensor names are the paths of the model's variables: ``block5/sepconv1/pointwise``, ``block5/sepconv1/norm/mean``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
from flax import nnx

from fer_bench import FerBenchError
from fer_bench.errors import bullet_list
from fer_bench_xception.keras_files import Layers, read_layers

Tensors = dict[str, np.ndarray]
_Kind = Literal["Conv2D", "SeparableConv2D", "BatchNormalization"]


class Layer(NamedTuple):
    """One Keras layer: its class, where our model has it, and the shapes of its weights in Keras."""

    kind: _Kind
    path: str
    shapes: dict[str, tuple[int, ...]]


_RENAMED = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise", "kernel": "kernel"} | {
    "gamma": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}
_ALIASES = {
    "W": "kernel",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "running_var": "moving_variance",
}


def _table() -> dict[str, Layer]:
    """Return Keras layer name -> :class:`Layer`, in Keras's order.

    Keras gives the four shortcuts automatic names, so here they have names of their own, ``block2_shortcut`` and so on.
    """
    table: dict[str, Layer] = {}

    def add(name: str, path: str, outputs: int, kind: _Kind, shapes: dict[str, tuple[int, ...]]) -> None:
        table[name] = Layer(kind, path, shapes)
        norm: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("gamma", "beta", "moving_mean", "moving_variance"), (outputs,)
        )
        table[f"{name}_bn"] = Layer("BatchNormalization", f"{path}/norm", norm)

    add("block1_conv1", "block1/conv1", 32, "Conv2D", {"kernel": (3, 3, 3, 32)})
    add("block1_conv2", "block1/conv2", 64, "Conv2D", {"kernel": (3, 3, 32, 64)})
    features = 64
    widths = {2: (128, 128), 3: (256, 256), 4: (728, 728), **dict.fromkeys(range(5, 13), (728,) * 3)}
    for block, outputs in {**widths, 13: (728, 1024), 14: (1536, 2048)}.items():
        first = features
        for number, width in enumerate(outputs, 1):
            shapes = {"depthwise_kernel": (3, 3, features, 1), "pointwise_kernel": (1, 1, features, width)}
            add(f"block{block}_sepconv{number}", f"block{block}/sepconv{number}", width, "SeparableConv2D", shapes)
            features = width
        if block in (2, 3, 4, 13):
            kernel = {"kernel": (1, 1, first, features)}
            add(f"block{block}_shortcut", f"block{block}/shortcut", features, "Conv2D", kernel)
    return table


LAYERS = _table()
_ORDER = [(name, layer.kind) for name, layer in LAYERS.items()]


def convert(path: Path) -> Tensors:
    """Return the tensors of an Xception that Keras saved, in the types that they are stored in.

    BatchNorm tensors stay float32: their variances span eight orders of magnitude. Kernels become float16: the
    largest ImageNet kernel is 2.3 and 10 of 20.8 million values round to zero. Pooled features of faces
    change by 1e-3 to 2e-3.

    Args:
        path: see :func:`read`.

    Raises:
        FerBenchError: as :func:`read`, or kernels that do not fit float16.
    """
    tensors = read(path)
    with np.errstate(over="ignore"):  # reported below, by name
        kernels = {name: array.astype(np.float16) for name, array in tensors.items() if "/norm/" not in name}
    too_large = [name for name, array in kernels.items() if not np.isfinite(array).all()]
    if too_large:
        raise FerBenchError(
            f"Kernels in {str(path)!r} exceed the largest float16, 65504, in which they are "
            f"stored:\n{bullet_list(too_large, len(too_large))}"
        )
    return tensors | kernels


def read(path: Path) -> Tensors:
    """Return the 234 tensors of an Xception that Keras saved, float32, by our names.

    Args:
        path: Keras's published ``.h5`` (with classifier or without), any HDF5 file of Keras 1 to 3, a ``.keras``
            archive, or a safetensors file with ``<layer>/<weight>`` names. The Xception may be a part of a larger
            model; classifiers are left out.

    Raises:
        FerBenchError: the file cannot be read, or it does not hold exactly an Xception; all mismatches are listed.
    """
    path = Path(path)
    layers = _name_shortcuts(read_layers(path, _ORDER, "block1_conv1"))
    faults: list[str] = []
    tensors: Tensors = {}
    for name, layer in LAYERS.items():
        found = _name_weights(layer, layers.pop(name, {}))
        for weight, shape in layer.shapes.items():
            label = f"{name}/{weight}"
            if weight not in found:
                faults.append(f"missing: {label}, expected {shape}")
                continue
            array = found.pop(weight)
            fault = _fault(array, shape)
            if fault:
                faults.append(f"{label}: {fault}")
            else:
                ours = f"{layer.path}/{_RENAMED[weight]}"
                tensors[ours] = _our_shape(ours, array.astype(np.float32))
        faults += [f"unexpected: {name}/{weight} {array.shape}" for weight, array in found.items()]
    for name, weights in layers.items():
        if not _is_classifier(weights):
            faults += [f"unexpected: {name}/{weight} {array.shape}" for weight, array in weights.items()]
    if faults:
        total = sum(len(layer.shapes) for layer in LAYERS.values())
        raise FerBenchError(
            f"{str(path)!r} does not hold the weights of Keras's Xception: {len(tensors)} of {total} tensors fit, "
            f"{len(faults)} mismatches:\n{bullet_list(faults, len(faults))}"
        )
    return tensors


def _name_shortcuts(layers: Layers) -> Layers:
    """Give the automatically named layers the names of the shortcuts whose shapes they have: all eight differ."""
    by_shape = {
        (*next(iter(layer.shapes.values())), len(layer.shapes)): name
        for name, layer in LAYERS.items()
        if "shortcut" in name
    }
    named: Layers = {}
    for name, weights in layers.items():
        shapes = [array.shape for array in weights.values()]
        alias = by_shape.get((*shapes[0], len(shapes))) if shapes else None
        fits = name not in LAYERS and alias is not None and alias not in named and len(set(shapes)) == 1
        named[alias if fits and alias else name] = weights
    return named


def _name_weights(layer: Layer, weights: Mapping[str, np.ndarray]) -> Tensors:
    """Return the weights by Keras's present names; by position where the file numbers them."""
    positions = dict(zip(map(str, range(len(weights))), layer.shapes, strict=False))
    named: Tensors = {}
    for name, array in weights.items():
        plain = name.partition(":")[0]
        plain = positions.get(plain, plain)
        for old, new in _ALIASES.items():
            plain = new if plain == old or plain.endswith(f"_{old}") else plain
        if plain == "kernel" and layer.kind == "SeparableConv2D":
            plain = "depthwise_kernel"
        for expected in layer.shapes:
            plain = expected if plain.endswith(f"_{expected}") else plain
        named[plain] = array
    return named


def _fault(array: np.ndarray, shape: tuple[int, ...]) -> str:
    if array.shape != shape:
        return f"shape {array.shape}, expected {shape}"
    if not np.issubdtype(array.dtype, np.floating):
        return f"type {array.dtype}, expected floating-point numbers"
    broken = int(array.size - np.isfinite(array).sum())
    return f"{broken} of {array.size} values are not finite" if broken else ""


def _our_shape(name: str, array: np.ndarray) -> np.ndarray:
    """Drop the axes of length one that Keras's depthwise and 1x1 kernels have."""
    leaf = name.rpartition("/")[2]
    if leaf == "depthwise":
        array = array[..., 0]
    elif leaf == "pointwise" or name.endswith("shortcut/kernel"):
        array = array[0, 0]
    return np.ascontiguousarray(array)


def _is_classifier(weights: Mapping[str, np.ndarray]) -> bool:
    return sorted(array.ndim for array in weights.values()) in ([2], [1, 2])


def assign(model: nnx.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Set every parameter and statistic of ``model`` from ``tensors``, as float32.

    Raises:
        FerBenchError: a tensor is missing, unexpected or of another shape; all are listed, and the model is unchanged.
    """
    places = {
        "/".join(map(str, path)): (path, variable.shape)
        for path, variable in nnx.iter_graph(model)
        if isinstance(variable, nnx.Param | nnx.BatchStat)
    }
    faults = [f"missing: {name}" for name in places if name not in tensors]
    faults += [f"unexpected: {name}" for name in tensors if name not in places]
    faults += [
        f"{name}: shape {tensors[name].shape}, expected {shape}"
        for name, (_, shape) in places.items()
        if name in tensors and tensors[name].shape != shape
    ]
    if faults:
        raise FerBenchError(f"These tensors do not fit the model:\n{bullet_list(faults, len(faults))}")
    # Converted on the host: on the device each shape would be a program to compile.
    state = {path: jax.device_put(np.asarray(tensors[name], np.float32)) for name, (path, _) in places.items()}
    nnx.update(model, nnx.traversals.unflatten_mapping(state))


def load_shipped(model: nnx.Module, name: str) -> None:
    """Load the weights called ``name`` that this package ships.

    Raises:
        FerBenchError: the file is missing or damaged.
    """
    from safetensors.numpy import load_file

    with resources.as_file(resources.files("fer_bench_xception") / "weights" / f"{name}.safetensors") as path:
        try:
            tensors = load_file(path)
        except Exception as error:
            raise FerBenchError(
                f"Cannot read the weights {str(path)!r}: {error}. Reinstall fer-bench-xception, or make the file again "
                "with 'fer-bench weights fetch xception' and 'fer-bench weights convert'."
            ) from error
    assign(model, tensors)
