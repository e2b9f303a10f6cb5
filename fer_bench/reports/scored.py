"""What the predictions of rows said, remembered in the user's cache folder: a board of many cells then takes seconds.

A row is known by the hash of its cells, of their predictions and results, of the metrics, and of the code that scores.
Nothing of it lies in the runs folder, so that cells of others bring no scores with them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
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
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.reports import comparison, notes
from fer_bench.reports.row import Score, Sources
from fer_bench.results import canonical
from fer_bench.results.canonical import Count, Record
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import reread
from fer_bench.results.rows import MethodRow
from fer_bench.several import spread

KIND = "scores"
ROOMS = ("evaluation", "results", "reports")
LIBRARIES = ("numpy", "scipy", "pyarrow")
MANY = 5_000
"""Pairs of rows that several processes compare: they take a second."""
Question = tuple[Sequence[Estimate], Sequence[tuple[int, int]]]
"""What `adjust_steps` is asked."""
ARRAYS = ("seeds", "splits", "scores", "influences", "shares", "tables")
"""Fields of an `Estimate`; the last is missing where a metric needs more than counts."""
FIELDS = ("scores", "interval", "no_jackknife", "sources", "lacking", "chance")
"""Fields of a row that are remembered."""


@dataclass(frozen=True, kw_only=True)
class _Known(Record):
    """What is remembered of a row, beside the arrays of its estimate."""

    scores: dict[str, Score]
    interval: Interval | None
    no_jackknife: str
    sources: Sources
    lacking: Count
    chance: Chance
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

    Attributes:
        cache_dir: that is used; None where a plugin brings a metric, whose code may compute anything.
    """

    def __init__(self, cache_dir: Path | None, metrics: Sequence[Metric], by: Metric):
        self.cache_dir, self._by = None if any(metric.origin for metric in metrics) else cache_dir, by
        self._keys: dict[str, dict[str, Any]] = {}
        names = {"metrics": [metric.name for metric in metrics], "by": by.name}
        self._common = {**names, **_code()} if self.cache_dir else names

    def knows(self, method: MethodRow, *note: str) -> bool:
        """Return whether a row is remembered, and a note of it if one is named; what is damaged counts."""
        key = self._key(method)
        return self.cache_dir is not None and all(
            memos.known(self.cache_dir, KIND, one) for one in (key, *({**key, "note": name} for name in note))
        )

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
        self._note(method, pooled)
        method.assume(pooled)
        fields = {name: getattr(known, name) for name in FIELDS}
        return {"metric": self._by, "faults": (), "pooled": pooled, **fields}

    def remember(self, method: MethodRow, fields: Mapping[str, Any]) -> None:
        """Remember what the predictions of a method said, if all of its cells that are ok have sound ones.

        Args:
            method: of which.
            fields: of its row, those that `recall` returns.
        """
        pooled: Predictions | None = fields["pooled"]
        if self.cache_dir is None or pooled is None or method.damaged:
            return
        facts = {name: getattr(pooled, name) for name in ("key", "n_units", "n_samples", "unit_word")}
        known = _Known(**{name: fields[name] for name in FIELDS}, **facts)
        estimate = comparison.estimate(self._by, pooled)
        arrays = {
            name: np.ascontiguousarray(value) for name in ARRAYS if (value := getattr(estimate, name)) is not None
        }
        text = json.dumps(canonical.to_json(known)).encode()
        self._keep(self._key(method), save({**arrays, "known": np.frombuffer(text, np.uint8)}))
        self._note(method, pooled)

    def adjust(self, questions: Sequence[Question]) -> list[Array]:
        """Return what `adjust_steps` says of each question, remembered or computed; several large ones are computed by
        several processes.
        """
        if self.cache_dir is None:
            return [adjust_steps(*question) for question in questions]
        keys = [{**self._common, "pairs": _digest(*question)} for question in questions]
        known = [self._find(key) for key in keys]
        asked = [
            place
            for place, (content, (_, pairs)) in enumerate(zip(known, questions, strict=True))
            if content is None or len(content) != 8 * len(pairs)
        ]
        many = sum(len(questions[place][1]) for place in asked) >= MANY
        parts = [(self._by.name, _nameless(questions[place][0]), questions[place][1]) for place in asked]
        for place, adjusted in zip(asked, spread(_adjust, parts) if many else map(_adjust, parts), strict=True):
            known[place] = adjusted.tobytes()
            self._keep(keys[place], adjusted.tobytes())
        return [np.frombuffer(content or b"", np.float64) for content in known]

    def _note(self, method: MethodRow, pooled: Predictions) -> None:
        """Let tables remember what they compute of a row."""
        key = self._key(method)
        notes.attach(
            pooled,
            lambda name: self._find({**key, "note": name}),
            lambda name, content: self._keep({**key, "note": name}, content),
        )

    def _find(self, key: dict[str, Any]) -> bytes | None:
        return memos.recall(self.cache_dir, KIND, key) if self.cache_dir else None

    def _keep(self, key: dict[str, Any], content: bytes) -> None:
        if self.cache_dir:
            with contextlib.suppress(OSError):
                memos.remember(self.cache_dir, KIND, key, content)

    def _key(self, method: MethodRow) -> dict[str, Any]:
        """Return what a row is known by: few bytes, since it is asked for several times."""
        if method.id not in self._keys:
            value = hashlib.sha256()
            for cell in (*method.cells, *method.pairs):
                if cell.ok:
                    value.update(f"{cell.id} {cell.predictions_sha256} {cell.result_sha256}\n".encode())
            self._keys[method.id] = {**self._common, "cells": value.hexdigest()}
        return self._keys[method.id]


def _digest(estimates: Sequence[Estimate], pairs: Sequence[tuple[int, int]]) -> str:
    """Return what tells questions of `adjust_steps` apart."""
    value = hashlib.sha256(json.dumps(pairs).encode())
    for array in (getattr(estimate, name) for estimate in estimates for name in ARRAYS):
        value.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return value.hexdigest()


def _nameless(estimates: Sequence[Estimate]) -> list[dict[str, Any]]:
    """Return estimates as other processes can be given them: functions of a metric cannot."""
    return [{name: getattr(one, name) for name in ("units", *ARRAYS)} for one in estimates]


def _adjust(part: tuple[str, Sequence[dict[str, Any]], Sequence[tuple[int, int]]]) -> Array:
    """Return what `adjust_steps` does, of the name of a metric, what `_nameless` returns, and pairs."""
    name, estimates, pairs = part
    return adjust_steps([Estimate(metric=STANDARD[name], **one) for one in estimates], pairs)


@functools.cache
def _code() -> dict[str, Any]:
    """Return what tells versions of the code apart that scores."""
    value, root = hashlib.sha256(), Path(__file__).parents[1]
    for file in (file for room in ROOMS for file in sorted((root / room).rglob("*.py"))):
        value.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return {"code": value.hexdigest(), **{name: version(name) for name in LIBRARIES}}
