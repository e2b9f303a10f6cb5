"""Convert the face detector's weights from the files of mtcnn 1.0.0 (MIT) to the safetensors file that fer-bench ships.

    python tests/mtcnn_weights.py

Needs the dependency group ``test``; TensorFlow, which the package `mtcnn` runs on, is neither needed nor imported. The
file is the same, byte for byte, each time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import joblib
import numpy as np
from safetensors.numpy import save

from fer_bench.faces.weights import FILE

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Of the files of mtcnn 1.0.0. They are pickles, which can run code: no others are opened."""


def read() -> dict[str, list[np.ndarray]]:
    """Return the arrays of each net, float32, in the order of its layers, from the installed package `mtcnn`."""
    spec = importlib.util.find_spec("mtcnn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "assets" / "weights"
    arrays = {}
    for net, sha256 in SHA256.items():
        content = (folder / f"{net}.lz4").read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256, f"{net}.lz4 is not that of mtcnn 1.0.0"
        arrays[net] = joblib.load(io.BytesIO(content))
    return arrays


def convert() -> bytes:
    """Return the content of the safetensors file."""
    arrays = {
        f"{net}/{number:02}": np.ascontiguousarray(array)
        for net, layers in read().items()
        for number, array in enumerate(layers)
    }
    return save(arrays, {"source": "mtcnn 1.0.0, MIT licence, see LICENSE-mtcnn"})


if __name__ == "__main__":
    FILE.write_bytes(convert())
    print(f"{FILE.name}: sha256 {hashlib.sha256(FILE.read_bytes()).hexdigest()}")
