"""Read the weights of a Keras model out of the files that Keras writes, without Keras.

Every reader returns ``{layer name: {weight name: array}}`` in the order of the model. Where a file numbers the weights
of a layer instead of naming them, the weight names are ``"0"``, ``"1"``, …
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fer_bench import FerBenchError

Layers = dict[str, dict[str, np.ndarray]]

MOST_NUMBERS = 1 << 28
"""A file that declares more numbers than this (1 GiB of float32) is refused before it is read."""


def read_layers(path: Path, order: Sequence[tuple[str, str]], landmark: str) -> Layers:
    """Return all layers that have weights.

    Args:
        path: a ``.safetensors`` file with ``<layer>/<weight>`` names, a ``.keras`` archive, or an HDF5 file of any
            Keras version, with the whole model or only its weights.
        order: (layer name, Keras class) of the expected model, in Keras's order: Keras 3 names the groups of a bare
            weights file after classes and counts them.
        landmark: a layer by which the expected model is found inside others.

    Raises:
        FerBenchError: the file cannot be read, or a ``.keras`` archive has no model with the layer ``landmark``.
    """
    readers = {".safetensors": _read_safetensors, ".keras": _read_archive}
    reader = readers.get(path.suffix.lower(), _read_hdf5)
    if not path.is_file():
        raise FerBenchError(f"There is no file {str(path)!r}.")
    try:
        return reader(path, order, landmark)
    except FerBenchError:
        raise
    except Exception as error:  # h5py, zipfile and safetensors raise a dozen types on damaged files
        raise FerBenchError(
            f"Cannot read {str(path)!r} as {path.suffix.lower() or 'HDF5'!r}: {type(error).__name__}: {error}. "
            "Expected weights that Keras wrote (.h5, .keras) or a .safetensors file with Keras's names; "
            "is the file complete?"
        ) from error


def _read_safetensors(path: Path, order: Sequence[tuple[str, str]], landmark: str) -> Layers:
    from safetensors.numpy import load_file

    layers: Layers = {}
    for name, array in load_file(path).items():
        layer, _, weight = name.rpartition("/")
        layers.setdefault(layer.rpartition("/")[2] or name, {})[weight] = array
    return layers


def _read_hdf5(path: Path, order: Sequence[tuple[str, str]], landmark: str) -> Layers:
    h5py = _import_h5py()
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            return _read_named_groups(root)
        counted = _find_counted_groups(file, order) if f"layers/{landmark}" not in file else None
        if counted is not None:
            return _read_counted_groups(counted, order)
        return _read_any_groups(root, h5py)


def _read_named_groups(root: Any) -> Layers:
    """Read the layout of Keras 1 and 2: attributes list the layers, and the weights of each, in order."""
    layers: Layers = {}
    for layer in _texts(root.attrs["layer_names"]):
        names = _texts(root[layer].attrs["weight_names"])
        arrays = _load(root[layer][name] for name in names)
        # No layer has more than four weights; what has more is an inner model, whose weights name their layer.
        nested = len(names) > 4
        for name, array in zip(names, arrays, strict=True):
            *parents, weight = name.split("/")
            layers.setdefault(parents[-1] if nested and parents else layer, {})[weight] = array
    return layers


def _read_any_groups(root: Any, h5py: ModuleType) -> Layers:
    """Read datasets only by their paths: the group that holds a dataset is its layer."""
    datasets: dict[str, Any] = {}
    root.visititems(lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    layers: Layers = {}
    wanted = {name: dataset for name, dataset in datasets.items() if not name.startswith("optimizer")}
    for name, array in zip(wanted, _load(wanted.values()), strict=True):
        parents = [part for part in name.split("/")[:-1] if part != "vars"]
        layers.setdefault(parents[-1] if parents else name, {})[name.rpartition("/")[2]] = array
    return layers


def _find_counted_groups(file: Any, order: Sequence[tuple[str, str]]) -> Any:
    """Return the group that holds Keras 3's counted groups, at the top or in an inner model; None without one."""
    last = list(_count([kind for _, kind in order]))[-1]
    found = [file["layers"]] if "layers" in file else []
    file.visit(lambda name: found.append(file[name]) if name.endswith("/layers") and last in file[name] else None)
    return found[-1] if found else None


def _read_counted_groups(root: Any, order: Sequence[tuple[str, str]]) -> Layers:
    """Read the layout of Keras 3: ``<class>_<count>/vars/<number>``, counted in the order of the model's layers."""
    layers: Layers = {}
    for (layer, _), group in zip(order, _count([kind for _, kind in order]), strict=True):
        if f"{group}/vars" in root:
            variables = root[f"{group}/vars"]
            names = sorted(variables, key=lambda name: (len(name), name))
            if names:
                layers[layer] = dict(zip(names, _load(variables[name] for name in names), strict=True))
    return layers


def _read_archive(path: Path, order: Sequence[tuple[str, str]], landmark: str) -> Layers:
    h5py = _import_h5py()
    with zipfile.ZipFile(path) as archive:
        for name in ("config.json", "model.weights.h5"):
            if archive.getinfo(name).file_size > 4 * MOST_NUMBERS:
                raise FerBenchError(f"{str(path)!r} holds a {name!r} of more than 1 GiB; it is not a Keras Xception.")
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    found = _find_model(config, landmark, "")
    if found is None:
        raise FerBenchError(
            f"The Keras model in {str(path)!r} has no layer {landmark!r}, neither directly nor in a model inside it. "
            "Expected an Xception."
        )
    prefix, layers = found
    with h5py.File(io.BytesIO(weights), "r") as file:
        return _read_counted_groups(file[f"{prefix}layers"], layers)


def _find_model(config: Any, landmark: str, prefix: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the HDF5 prefix and the (name, class) list of the model, maybe an inner one, that holds ``landmark``."""
    inner = config.get("config", {}) if isinstance(config, dict) else {}
    entries = [entry for entry in inner.get("layers", []) if isinstance(entry, dict)] if isinstance(inner, dict) else []
    layers = [(str(entry.get("config", {}).get("name", "")), str(entry.get("class_name", ""))) for entry in entries]
    if any(name == landmark for name, _ in layers):
        return prefix, layers
    for entry, group in zip(entries, _count([kind for _, kind in layers]), strict=True):
        found = _find_model(entry, landmark, f"{prefix}layers/{group}/")
        if found is not None:
            return found
    return None


def _count(classes: Sequence[str]) -> Iterator[str]:
    """Yield Keras 3's group names: the class in snake case, and how many of it came before."""
    seen: Counter[str] = Counter()
    for name in classes:
        group = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()
        yield f"{group}_{seen[group]}" if seen[group] else group
        seen[group] += 1


def _load(datasets: Iterator[Any] | Any) -> list[np.ndarray]:
    """Read datasets into memory, refusing a file that declares absurd sizes."""
    listed = list(datasets)
    if sum(int(dataset.size or 0) for dataset in listed) > MOST_NUMBERS:
        raise FerBenchError(f"The file declares more than {MOST_NUMBERS:,} numbers; it is not a Keras Xception.")
    return [np.asarray(dataset) for dataset in listed]


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _import_h5py() -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise FerBenchError(
            "Reading a Keras file needs h5py, which is not installed. Run: pip install 'fer-bench-xception[convert]'"
        ) from None
    return h5py
