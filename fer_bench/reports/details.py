"""What a row of the page shows when it is opened, as plain numbers and text."""

from __future__ import annotations

import io
import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import measure_hits, precision_of, recall_of
from fer_bench.reports import charts
from fer_bench.reports.row import Row
from fer_bench.results.canonical import to_json
from fer_bench.results.records import name_training

BINS = 10
MAX_CURVES = 20
"""Cells of a row whose learning curves are drawn."""

MOST_PARTS = 40
"""Entries of a part of the provenance that have a line each: the installed packages, which are more, share one."""


def describe(row: Row) -> dict[str, Any]:
    """Return the failures, figures, command and provenance of a row."""
    details: dict[str, Any] = {
        "errors": [
            (name_training(cell.record.training), str(cell.record.fold), cell.error)
            for cell in row.cells
            if not cell.ok
        ],
        "classes": [],
        "confusion": [],
        "recall": [],
        "precision": [],
        "reliability": [],
        "curves": [],
        "command": "",
        "provenance": [],
        "cells_stored": [] if row.baseline else [cell.id[:16] for cell in row.cells],
    }
    if row.pooled is not None:
        table = charts.confusion_of(row)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        details |= {
            "classes": list(row.class_names),
            "confusion": [
                [(number, share, f"h{round(charts.TINTS * share)}") for number, share in zip(counts, part, strict=True)]
                for counts, part in zip(table.tolist(), shares.tolist(), strict=True)
            ],
            "recall": _numbers(recall_of(table)),
            "precision": _numbers(precision_of(table)),
            "reliability": _reliability(row.pooled.labels, row.pooled.probabilities),
        }
    if not row.baseline:
        details |= {"curves": _curves(row), **_origin(row)}
    return details


def _numbers(values: Array) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _reliability(true: Array, probabilities: Array) -> list[dict[str, float]]:
    """Return mean confidence, share right and share of samples of each bin of confidence that holds any."""
    confidence, right = probabilities.max(axis=1), measure_hits(true, probabilities)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == b].mean()),
            "right": float(right[bins == b].mean()),
            "share": float((bins == b).mean()),
        }
        for b in np.unique(bins)
    ]


def _curves(row: Row) -> list[dict[str, Any]]:
    """Return the numeric columns of the cells' histories that have two points or more, scaled to 0 to 1."""
    measured: dict[str, list[list[float]]] = defaultdict(list)
    for cell in row.cells[:MAX_CURVES]:
        try:
            history = pd.read_csv(io.BytesIO(cell.history()))
        except (OSError, ValueError):
            continue
        if "phase" in history:
            history = history[history["phase"] != "trial"]  # of a search, whose scores are no curve
        for name in history.select_dtypes("number"):
            values = history[name].dropna().to_numpy(np.float64)
            if len(values) > 1 and np.isfinite(values).all() and name not in ("epoch", "step"):
                measured[str(name)].append(values.tolist())
    curves: list[dict[str, Any]] = []
    for name, series in measured.items():
        low, high = min(map(min, series)), max(map(max, series))
        lines = [[(i / (len(s) - 1), (v - low) / (high - low or 1)) for i, v in enumerate(s)] for s in series]
        curves.append({"name": name, "low": low, "high": high, "points": max(map(len, series)), "lines": lines})
    return curves


def _origin(row: Row) -> dict[str, Any]:
    """Return the command and the provenance of a row's first cell."""
    try:
        provenance = to_json(row.cells[0].provenance)
    except FerBenchError:
        return {"command": "", "provenance": []}
    return {"command": shlex.join(provenance.pop("command", ())), "provenance": tabulate_provenance(provenance)}


def tabulate_provenance(provenance: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (part, name, value) of all that a provenance holds, sorted; the name is empty where a part is one value.

    Example:
        >>> tabulate_provenance({"python": "3.12", "cpu": {"count": 2, "model": None}, "seeds": {}})
        [('cpu', 'count', '2'), ('python', '', '3.12')]
    """
    lines: list[tuple[str, str, str]] = []
    for part, value in sorted(provenance.items()):
        if isinstance(value, dict) and len(value := cast("dict[str, Any]", value)) <= MOST_PARTS:
            lines += [(part, name, say(entry)) for name, entry in sorted(value.items())]
        else:
            lines.append((part, "", say(value)))
    return [line for line in lines if line[2]]


def say(value: Any) -> str:
    """Return a value of JSON in words; nothing of an empty one.

    Example:
        >>> say({"version": "0.1", "dirty": False, "why": "", "folds": [[0, 1], [0, 2]]})
        'version 0.1, dirty no, folds (0, 1), (0, 2)'
    """
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            entries = ((name, say(entry)) for name, entry in cast("dict[str, Any]", value).items())
            return ", ".join(f"{name} {text}" for name, text in entries if text)
        case list() | tuple():
            parts = cast("Sequence[Any]", value)
            return ", ".join(f"({say(part)})" if isinstance(part, list | tuple) else say(part) for part in parts)
        case float():
            return f"{value:.6g}"
        case _:
            return str(value)
