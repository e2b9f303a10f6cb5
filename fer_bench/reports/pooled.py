"""The predictions of all cells of a row in one set of arrays: rows of one board line up, and a name is held once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from fer_bench.data.texts import blocks, encode, numbers, plain
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.metrics import Metric
from fer_bench.results.store import StoredCell, read_predictions

Array = np.ndarray[Any, Any]

PROBABILITY = re.compile(r"p\d+")
"""Columns of predictions that hold the probability of a class."""

SOFT = re.compile(r"soft\d+")
"""Columns of predictions that hold the share of annotators who named a class."""

GROUP = "group:"
"""How the columns begin that hold a category of each sample, such as sex."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """n predictions, sorted by seed and id.

    A leaderboard holds one of each row, perhaps of millions of samples: numbers are small and names are Arrow's.

    Attributes:
        ids: distinct, in order.
        sample: (n,) int32, place among ``ids``.
        seed: (n,) int32.
        cell: (n,) int32, place among the cells of the row.
        labels: (n,) int32, the true classes.
        probabilities: (n, c) float32.
        units: (n,) int32, what is resampled: subject or, if unknown, sample. None stands for the rows themselves, where
            each image was tested once.
        groups: name of a column of groups -> (names, (n,) int32 of each prediction, -1 where it has none).
        soft: (n, c) float32, shares of annotators; None where they are not known.
    """

    ids: pa.LargeStringArray
    sample: Array
    seed: Array
    cell: Array
    labels: Array
    probabilities: Array
    units: Array | None
    groups: dict[str, tuple[list[str], Array]] = field(default_factory=dict)
    soft: Array | None = None

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self) if self.units is None else len(np.unique(self.units))

    @property
    def key(self) -> str:
        """A hash of what was tested: seeds, sample ids and labels."""
        digest = hashlib.sha256()
        for names in blocks(self.ids):
            digest.update("".join(f"{name}\0" for name in names).encode())
        for column in (self.sample, self.seed, self.labels):
            digest.update(column.astype("<i4").tobytes())
        return digest.hexdigest()

    def extra(self, metric: Metric) -> Extra:
        """Return what the metric wants beside labels and probabilities."""
        if not metric.wants:
            return NOTHING
        named = {name: np.array([*names, ""], object)[codes] for name, (names, codes) in self.groups.items()}
        return Extra(None if self.soft is None else self.soft.astype(np.float64), named)

    def take(self, rows: Array) -> Pooled:
        """Return some of the predictions."""
        columns = {name: getattr(self, name)[rows] for name in ("sample", "seed", "cell", "labels", "probabilities")}
        return replace(
            self,
            **columns,
            units=None if self.units is None else self.units[rows],
            groups={name: (names, codes[rows]) for name, (names, codes) in self.groups.items()},
            soft=None if self.soft is None else self.soft[rows],
        )


def pool(cells: Sequence[StoredCell]) -> Pooled:
    """Return the predictions of a row's cells."""
    table, cell = read_predictions(cells)
    ids, sample = encode(plain(table["id"]))
    groups, group = encode(plain(table["group"]))
    seed = np.array([cell.record["seed"] for cell in cells], np.int32)[cell]
    order = np.lexsort((sample, seed))
    # An image without a group is a unit of its own. Names are in order: the empty one comes first.
    alone = 0 if len(groups) and groups[0].as_py() == "" else -1
    units = np.where(group == alone, len(groups) + sample, group)
    probabilities = _matrix(table, PROBABILITY)
    soft = _matrix(table, SOFT)
    labels = numbers(table["label"]).astype(np.int32)
    own = len(np.unique(units)) == len(units)
    return Pooled(
        ids,
        sample,
        seed,
        cell,
        labels,
        probabilities,
        None if own else units,
        {name.removeprefix(GROUP): _codes(table[name]) for name in table.column_names if name.startswith(GROUP)},
        soft if soft.shape[1] else None,
    ).take(order)


def _matrix(table: pa.Table, pattern: re.Pattern[str]) -> Array:
    """Return the columns whose names match as (n, columns) float32."""
    names = [name for name in table.column_names if pattern.fullmatch(name)]
    matrix = np.empty((len(table), len(names)), np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = numbers(table[name])
    return matrix


def _codes(column: pa.ChunkedArray) -> tuple[list[str], Array]:
    """Return the names of a column of groups in order, and (n,) int32; -1 for an empty or missing name."""
    names, codes = encode(plain(column.cast(pa.large_string()).fill_null("")))
    found = names.to_pylist()
    empty = found[:1] == [""]  # Names are in order.
    return found[empty:], (codes - empty).astype(np.int32)
