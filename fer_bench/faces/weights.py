"""MTCNN's weights from the distribution ``mtcnn``, checked before anything reads them."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.errors import FerBenchError

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Of the files of mtcnn 1.0.0. They are pickles: no others are opened."""

INSTALL = "Run: pip install 'fer-bench[faces]'"

Weights = dict[str, list[np.ndarray[Any, Any]]]


def load() -> Weights:
    """Return the arrays of each net, float32, in the order of its layers.

    TensorFlow, which the package ``mtcnn`` itself runs on, is neither needed nor imported: only its files are read.

    Raises:
        FerBenchError: the package is not installed, or a file is missing or is not the one whose hash is pinned here.
    """
    files = {name: _read(_folder() / f"{name}.lz4") for name in SHA256}
    changed = [name for name, content in files.items() if hashlib.sha256(content).hexdigest() != SHA256[name]]
    if changed:
        names = ", ".join(f"{name}.lz4" for name in changed)
        raise FerBenchError(
            f"The face detector's weights {names} in {str(_folder())!r} are not those of mtcnn 1.0.0 (their sha256 "
            "differs), so they were not opened. Run: pip install --force-reinstall --no-deps 'mtcnn==1.0.0'"
        )
    try:
        import joblib
        import lz4.frame  # noqa: F401  (joblib reads these files through it)
    except ImportError as error:
        raise FerBenchError(f"Reading the face detector's weights needs {error.name!r}. {INSTALL}") from None
    # The very bytes that were hashed are unpickled, not the file, which could change in between.
    return {name: joblib.load(io.BytesIO(content)) for name, content in files.items()}


def _folder() -> Path:
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise FerBenchError(
            "Finding faces needs the weights in the package 'mtcnn' (MIT), which is not installed. "
            f"{INSTALL}, or leave out --faces."
        )
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"The face detector's weights {str(file)!r} cannot be read: {error.strerror}. "
            "Run: pip install --force-reinstall --no-deps 'mtcnn==1.0.0'"
        ) from None
