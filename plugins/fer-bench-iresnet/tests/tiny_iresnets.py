"""Small networks of each layout, with numbers that follow from the names of tensors: for goldens, without torch."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fer_bench_iresnet.architectures import ARCHITECTURES, Architecture

GOLDEN = Path(__file__).parent / "golden.json"
"""Layout -> shapes of the published tensors by name, and by size of input the features of the reference."""
LAYOUTS = {"InsightFace": "arcface-r50", "AdaFace": "adaface-ir50", "CVLface": "adaface-ir50"}
"""Whose names and colours -> the architecture that is made small."""
PREFIXES = {"InsightFace": "module.", "AdaFace": "state_dict.model.", "CVLface": "model.net."}
"""What stands before the names in files that these publish."""
NATIVE, OTHER = 32, 21


def tiny(name: str) -> Architecture:
    """Return an architecture with six narrow blocks."""
    return replace(ARCHITECTURES[name], depths=(1, 2, 2, 1), widths=(4, 6, 8, 10), input_size=NATIVE)


def numbers(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Return tensors that are all different, by name; variances are positive, and no tensor makes images explode."""
    tensors: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
        leaf = name.rpartition(".")[2]
        if leaf == "num_batches_tracked":
            tensors[name] = np.asarray(1000, np.int64)
            continue
        if leaf == "running_var":
            array = 0.5 + np.abs(drawn)
        elif len(shape) > 1:
            array = drawn / math.sqrt(math.prod(shape[1:]))
        else:
            array = 0.4 * drawn + 0.6 * (leaf == "weight")
        tensors[name] = array.astype(np.float32)
    return tensors


def images(side: int) -> np.ndarray:
    """Return (2, side, side, 3) uint8, noise on waves of other colours."""
    rows = np.arange(side)[:, None, None] + np.arange(side)[None, :, None] * np.asarray([1, 2, 3])
    waves = np.asarray([90, 128, 160]) + 60 * np.sin(rows / 17.0)
    return (waves + np.random.default_rng(0).normal(size=(2, side, side, 3)) * 25).clip(0, 255).astype(np.uint8)
