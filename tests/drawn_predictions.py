"""Predictions that are drawn with a known skill."""

from __future__ import annotations

import numpy as np


def draw(seed: int, n: int = 300, classes: int = 4, signal: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + signal * np.eye(classes)[true]
    return true, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
