"""What the predictions of rows said, remembered in the user's cache folder: a board of many cells then takes seconds.

A row is known by the hash of its cells, of their predictions and results, of the metrics, and of the code that scores.
Nothing of it lies in the runs folder, so that cells of others bring no scores with them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fer_bench import memos
from fer_bench.arrays import Array
from fer_bench.evaluation.chance import Chance
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports import comparison, parts
from fer_bench.reports.row import Row, Score, Sources
from fer_bench.results import canonical
from fer_bench.results.canonical import Count, Record
from fer_bench.results.index import FEWEST
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import reread
from fer_bench.results.rows import MethodRow

KIND = "scores"
ROOMS = ("evaluation", "results", "reports")
LIBRARIES = ("numpy", "scipy", "pyarrow")
ARRAYS = ("seeds", "splits", "scores", "influence", "shares", "tables")
"""Fields of an `Estimate`; the last is missing where a metric needs more than counts."""


@dataclass(frozen=True, kw_only=True)
class _Known(Record):
    """What is remembered of a row, beside the arrays of its estimate."""

    scores: dict[str, Score]
    interval: Interval | None
    sources: Sources
    lacking: Count
    chance: Chance
    groups: dict[str, parts.GroupRecord]
    soft: parts.SoftRecord | None
    key: str
    n_units: Count
    n_samples: Count
    unit_word: str


class Memory:
    """What is remembered of rows and of their pairs.

    Args:
        cache_dir: the user's cache folder; None remembers nothing.
        metrics: that are computed of a row.
        by: one of them, which orders the rows.
        cells: how many the board has; of fewer than a store with an index nothing is remembered.
    """

    def __init__(self, cache_dir: Path | None, metrics: Sequence[Metric], by: Metric, cells: int):
        # A plugin's metric may compute anything, so the code of the core does not say what it gave.
        fixed = not any(metric.origin for metric in metrics)
        self._cache_dir, self._by = cache_dir if cells >= FEWEST and fixed else None, by
        names = {"metrics": [metric.name for metric in metrics], "by": by.name}
        self._common = {**names, **_code()} if self._cache_dir else names

    def recall(self, method: MethodRow) -> dict[str, Any] | None:
        """Return the fields of a row that its predictions decide, and let the method read them when more is asked for;
        None if they are not remembered.
        """
        content = self._find(self._key(method))
        if content is None:
            return None
        try:
            arrays = load(content)
            known = canonical.read(_Known, arrays.pop("known").tobytes())
            estimate = Estimate(metric=self._by, units=known.n_units, tables=arrays.pop("tables", None), **arrays)
        except (SafetensorError, ValueError, KeyError, TypeError):
            return None
        done = [cell for cell in method.cells if cell.ok]
        facts = {name: getattr(known, name) for name in ("key", "n_units", "n_samples", "unit_word")}
        pooled = Predictions.later(facts, lambda: reread(done))
        comparison.keep(pooled, estimate)
        parts.keep(pooled, known.groups, known.soft)
        method.assume(pooled)
        fields = {name: getattr(known, name) for name in ("scores", "interval", "sources", "lacking", "chance")}
        return {"metric": self._by, "faults": (), "pooled": pooled, **fields}

    def remember(self, method: MethodRow, row: Row) -> None:
        """Remember what the predictions of a method said, if all of its cells that are ok have sound ones."""
        pooled = row.pooled
        if self._cache_dir is None or pooled is None or method.damaged or row.sources is None or row.chance is None:
            return
        known = _Known(
            scores=row.scores,
            interval=row.interval,
            sources=row.sources,
            lacking=row.lacking,
            chance=row.chance,
            groups=parts.compare_groups(row),
            soft=parts.score_soft(row),
            key=pooled.key,
            n_units=pooled.n_units,
            n_samples=pooled.n_samples,
            unit_word=pooled.unit_word,
        )
        estimate = comparison.estimate(self._by, pooled)
        arrays = {
            name: np.ascontiguousarray(value) for name in ARRAYS if (value := getattr(estimate, name)) is not None
        }
        text = json.dumps(canonical.to_json(known)).encode()
        self._keep(self._key(method), save({**arrays, "known": np.frombuffer(text, np.uint8)}))

    def adjust(self, estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> Array:
        """Return what `adjust_steps` does, remembered or computed."""
        if self._cache_dir is None:
            return adjust_steps(estimates, pairs)
        value = hashlib.sha256(json.dumps(pairs).encode())
        for array in (getattr(estimate, name) for estimate in estimates for name in ARRAYS):
            value.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
        key = {**self._common, "pairs": value.hexdigest()}
        content = self._find(key)
        if content is not None and len(content) == 8 * len(pairs):
            return np.frombuffer(content, np.float64)
        adjusted = adjust_steps(estimates, pairs)
        self._keep(key, adjusted.tobytes())
        return adjusted

    def _find(self, key: dict[str, Any]) -> bytes | None:
        return memos.recall(self._cache_dir, KIND, key) if self._cache_dir else None

    def _keep(self, key: dict[str, Any], content: bytes) -> None:
        if self._cache_dir:
            with contextlib.suppress(OSError):
                memos.remember(self._cache_dir, KIND, key, content)

    def _key(self, method: MethodRow) -> dict[str, Any]:
        cells = [(cell.id, cell.predictions_sha256, cell.result_sha256) for cell in method.cells if cell.ok]
        return {**self._common, "cells": cells}


@functools.cache
def _code() -> dict[str, Any]:
    """Return what tells versions of the code apart that scores."""
    value, root = hashlib.sha256(), Path(__file__).parents[1]
    for file in (file for room in ROOMS for file in sorted((root / room).rglob("*.py"))):
        value.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return {"code": value.hexdigest(), **{name: version(name) for name in LIBRARIES}}
