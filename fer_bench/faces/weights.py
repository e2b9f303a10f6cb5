"""The weights of MTCNN, which ship with fer-bench: those of the package `mtcnn` 1.0.0, as safetensors.

``tests/mtcnn_weights.py`` converts them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.numpy

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError

FILE = Path(__file__).with_name("mtcnn.safetensors")
SHA256 = "f230955a756a9b6a6d499ffad1849aac2b8e4a512dbf619d4bb74748d60ac891"
NETS = ("pnet", "rnet", "onet")

Weights = dict[str, list[Array]]


def load() -> Weights:
    """Return the arrays of each net, float32, in the order of its layers.

    Raises:
        FerBenchError: the file is missing, or is not the one that fer-bench ships.
    """
    again = "Install fer-bench again: pip install --force-reinstall --no-deps fer-bench"
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"The face detector's weights {str(FILE)!r} cannot be read: {error.strerror}. {again}"
        ) from None
    if (sha256 := hashlib.sha256(content).hexdigest()) != SHA256:
        raise FerBenchError(
            f"The face detector's weights {str(FILE)!r} have the sha256 {sha256}; expected {SHA256}. {again}"
        )
    arrays = safetensors.numpy.load(content)
    return {net: [arrays[name] for name in sorted(arrays) if name.startswith(f"{net}/")] for net in NETS}
