"""Soft labels in a label set: how much of each class annotators, or a model, saw in an image."""

from __future__ import annotations

import numpy as np

from fer_bench.arrays import Array


def map_soft_labels(soft: Array, codes: Array, labels: Array, classes: int) -> Array:
    """Return soft labels over the classes of a label set.

    Native labels that become one class are added up. What lies on labels without a class is dropped and the rest scaled
    to 1; where nothing is left, the sample's own class gets all.

    Args:
        soft: (n, native labels) float32, rows sum to 1.
        codes: (native labels,) int, the class of each; -1 for none.
        labels: (n,) int, each sample's own class.
        classes: c.

    Returns:
        (n, c) float32, rows sum to 1.

    Example:
        >>> soft = np.array([[0.5, 0.25, 0.25], [0, 0, 1]], np.float32)
        >>> map_soft_labels(soft, np.array([1, 0, -1]), np.array([1, 0]), 2).round(3).tolist()
        [[0.3330000042915344, 0.6669999957084656], [1.0, 0.0]]
    """
    places = np.zeros((len(codes), classes), np.float32)
    rows = np.flatnonzero(codes >= 0)
    places[rows, codes[rows]] = 1
    mapped = soft @ places
    empty = np.flatnonzero(mapped.sum(axis=1) <= 0)
    mapped[empty, labels[empty]] = 1
    return mapped / mapped.sum(axis=1, keepdims=True)


def one_hot(labels: Array, classes: int) -> Array:
    """Return (n, c) float32 in which each sample's class has all."""
    return np.eye(classes, dtype=np.float32)[labels]
