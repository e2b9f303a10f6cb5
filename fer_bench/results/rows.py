"""Cells gathered into rows by what they are called: a row can be compared with itself at another commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.extra import Extra
from fer_bench.results.cell import record_id, shared_part
from fer_bench.results.store import Store, StoredCell

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class MethodRow:
    """All folds and seeds of a data set x protocol x backbone x strategy.

    Attributes:
        id: hash of what its cells have in common; two states of the code make two rows of one name.
        name: how it is called; rows of two runs with one name are the same question.
        shared: what its cells have in common: ``dataset``, ``protocol`` without its splits, ``backbone``, ``strategy``.
        splits: seed -> hash of its splits.
        cells: by seed and fold.
    """

    id: str
    name: str
    shared: dict[str, Any]
    splits: dict[int, str]
    cells: tuple[StoredCell, ...]

    @property
    def failed(self) -> tuple[StoredCell, ...]:
        """Cells that have no predictions."""
        return tuple(cell for cell in self.cells if cell.status != "ok")

    @property
    def missing(self) -> list[tuple[int, int]]:
        """(seed, fold) of the cells that are not there."""
        there = {(cell.record["seed"], cell.record["fold"]) for cell in self.cells}
        wanted = [(seed, fold) for seed in self.splits for fold in range(self.shared["protocol"]["folds"])]
        return [pair for pair in wanted if pair not in there]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Predictions of all cells that are done: seed, fold, id, group, label, p0 …, sorted by seed, fold and id."""
        answers = [name for name in self.samples.columns if name.startswith("p") and name[1:].isdigit()]
        return pd.DataFrame(self.samples[["seed", "fold", "id", "group", "label", *answers]])

    @cached_property
    def samples(self) -> pd.DataFrame:
        """The same with what else is known of the samples: ``soft0`` …, ``group:<name>``, where all cells have them."""
        tables = [
            cell.predictions().assign(seed=cell.record["seed"], fold=cell.record["fold"])
            for cell in self.cells
            if cell.status == "ok"
        ]
        if not tables:
            return pd.DataFrame({"seed": [], "fold": [], "id": [], "group": [], "label": []})
        table = pd.concat(tables, ignore_index=True, join="inner")
        return table.sort_values(["seed", "fold", "id"], ignore_index=True)


def arrays(table: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """Return labels (n,), probabilities (n, c) and units (n,) of a row's predictions.

    The unit is the subject or, where none is known, the sample; None stands for the rows, where each is one sample.
    """
    probabilities = table.filter(regex=r"^p\d+$").to_numpy(np.float64)
    groups = table["group"].astype(str)
    units = groups.where(groups != "", table["id"].astype(str))
    return table["label"].to_numpy(np.int64), probabilities, None if units.is_unique else units.to_numpy(str)


def know(table: pd.DataFrame) -> Extra:
    """Return the soft labels and groups of a row's predictions."""
    soft = table.filter(regex=r"^soft\d+$").to_numpy(np.float64)
    columns = [name for name in table.columns if name.startswith("group:")]
    groups = {name.removeprefix("group:"): table[name].astype(object).fillna("").to_numpy() for name in columns}
    return Extra(soft if soft.shape[1] else None, groups)


def group(cells: Iterable[StoredCell]) -> list[MethodRow]:
    """Return the rows of ``cells``, by name and id."""
    groups: dict[str, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        groups[record_id(shared_part(cell.record))].append(cell)
    rows = []
    for key, members in groups.items():
        members.sort(key=lambda cell: (cell.record["seed"], cell.record["fold"]))
        shared = shared_part(members[0].record)
        splits = {cell.record["seed"]: cell.record["protocol"].get("splits_sha256", "") for cell in members}
        rows.append(MethodRow(key, _name(shared), shared, splits, tuple(members)))
    return sorted(rows, key=lambda row: (row.name, row.id))


def gather(cells: Sequence[StoredCell]) -> dict[str, MethodRow]:
    """Return name -> row.

    Raises:
        FerBenchError: two rows have one name, as when a runs folder holds the results of two states of the code.
    """
    groups: dict[str, list[MethodRow]] = defaultdict(list)
    for row in group(cells):
        groups[row.name].append(row)
    clashes = [f"{name}: {_first_difference(found)}" for name, found in groups.items() if len(found) > 1]
    if clashes:
        raise FerBenchError(
            f"The runs hold several results under one name, so it is unclear which is meant:\n{bullet_list(clashes)}\n"
            "Delete the old cells, or run into a fresh folder with --runs-dir. 'fer-bench compare' holds them together."
        )
    return {name: found[0] for name, found in groups.items()}


def read_rows(runs_dir: Any) -> tuple[dict[str, MethodRow], list[str]]:
    """Return name -> row of a runs folder, and a message for each damaged cell.

    Raises:
        FerBenchError: there is no such folder, it is empty, or two rows have one name.
    """
    cells, damaged = Store(runs_dir).cells()
    if not cells:
        raise FerBenchError(
            f"The runs folder {str(runs_dir)!r} holds no {'intact ' if damaged else ''}cells. "
            f"Run 'fer-bench run --runs-dir {runs_dir}' first."
            + (f" Left out:\n{bullet_list(damaged)}" if damaged else "")
        )
    return gather(cells), damaged


def flatten(value: object, prefix: str = "") -> dict[str, object]:
    """Return a nested record as dotted name -> value.

    Example:
        >>> flatten({"a": {"b": 1}, "c": 2})
        {'a.b': 1, 'c': 2}
    """
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    parts: dict[str, object] = {}
    for key, part in value.items():
        parts |= flatten(part, f"{prefix}.{key}" if prefix else str(key))
    return parts


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, object, object]]:
    """Return (dotted name, first, second) of every field that differs, in the order of the first record."""
    a, b = flatten(first), flatten(second)
    return [
        (name, a.get(name), b.get(name)) for name in [*a, *(n for n in b if n not in a)] if a.get(name) != b.get(name)
    ]


def _name(shared: dict[str, Any]) -> str:
    dataset, protocol = shared["dataset"], shared["protocol"]
    limit = f" (limit {dataset['limit']})" if dataset.get("limit") else ""
    label_set = dataset.get("labels", {}).get("set", "native")
    labels = f" as {label_set}" if label_set != "native" else ""
    others = "".join(f" + {other['text']}" for other in dataset.get("trained_with", ()))
    # Whatever else a protocol says of itself is part of the question.
    known = ("name", "text", "folds")
    extra = [f"{key}={_plain(value)}" for key, value in sorted(protocol.items()) if key not in known and value]
    folds = ", ".join([f"{protocol['name']} x {protocol['folds']}", *extra])
    method = f"{shared['backbone']['text']} / {shared['strategy']['text']}"
    return f"{dataset['text']}{labels}{limit}{others} / {folds} / {method}"


def _plain(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _first_difference(rows: list[MethodRow]) -> str:
    name, first, second = differences(rows[0].shared, rows[1].shared)[0]
    return f"{len(rows)} variants ({', '.join(row.id[:8] for row in rows)}), {name} {first!r} and {second!r}"
