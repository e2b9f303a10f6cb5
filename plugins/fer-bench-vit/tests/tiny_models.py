"""Small models of every family, with numbers that follow from the names of tensors: for goldens, without torch."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from fer_bench_vit.architectures import ARCHITECTURES, Architecture

GOLDEN = Path(__file__).parent / "golden.json"
"""Case -> shapes of the published tensors by name, and by size of input the features of the reference."""
CASES = {
    "timm vit": ("vit-b16", 0),
    "timm dinov2 with registers": ("dinov2-b14", 4),
    "timm clip": ("clip-b16", 0),
    "timm siglip": ("siglip-b16", 0),
    "transformers vit": ("vit-b16", 0),
    "transformers mae": ("mae-b16", 0),
    "transformers dinov2": ("dinov2-b14", 0),
    "transformers registers": ("dinov2-b14", 4),
    "transformers clip": ("clip-b16", 0),
    "transformers siglip": ("siglip-b16", 0),
}
"""Whose names, and the family -> the architecture that is made small, and its registers."""
NATIVE, OTHER = 32, 24


def tiny(name: str) -> Architecture:
    """Return an architecture with two narrow blocks and small patches."""
    return replace(ARCHITECTURES[name], width=24, depth=2, heads=3, hidden=48, patch=8, input_size=NATIVE)


def numbers(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Return tensors that are all different, by name: scales of norms around 1, others around 0."""
    tensors: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
        spread = 0.5 if len(shape) < 2 else 1 / math.sqrt(math.prod(shape[1:]))
        centre = 1.0 if len(shape) == 1 and "norm" in name and name.endswith("weight") else 0.0
        tensors[name] = (centre + spread * drawn).astype(np.float32)
    return tensors


def images(side: int) -> np.ndarray:
    """Return (1, side, side, 3) uint8, noise on waves."""
    rows = np.arange(side)[:, None, None] + np.arange(side)[None, :, None] * np.asarray([1, 2, 3])
    waves = 128 + 60 * np.sin(rows / 17.0) + np.random.default_rng(0).normal(size=(1, side, side, 3)) * 25
    return waves.clip(0, 255).astype(np.uint8)
