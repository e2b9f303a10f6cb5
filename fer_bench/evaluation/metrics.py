"""Scores of one cell from its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score

Array = np.ndarray[Any, Any]


def accuracy(true: Array, predicted: Array) -> float:
    """Return the share of samples that were labelled right, 0 to 1."""
    return float(accuracy_score(true, predicted))


def uar(true: Array, predicted: Array) -> float:
    """Return the unweighted average recall (balanced accuracy), 0 to 1, over the classes that occur in ``true``."""
    present = np.unique(true)
    return float(recall_score(true, predicted, labels=present, average="macro"))


def macro_f1(true: Array, predicted: Array) -> float:
    """Return the mean F1 over the classes that occur in ``true``, 0 to 1; a class that is never predicted counts 0."""
    present = np.unique(true)
    return float(f1_score(true, predicted, labels=present, average="macro", zero_division=0.0))  # pyright: ignore[reportArgumentType]  # its stubs say str


METRICS: Mapping[str, Callable[[Array, Array], float]] = {"accuracy": accuracy, "uar": uar, "macro_f1": macro_f1}
"""Name -> (true (n,) int, predicted (n,) int) -> score; higher is better for each."""


def score(true: Array, predicted: Array) -> dict[str, float]:
    """Return every metric of one cell.

    Args:
        true: (n,) int labels.
        predicted: (n,) int labels.
    """
    return {name: metric(true, predicted) for name, metric in METRICS.items()}
