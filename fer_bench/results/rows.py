"""Cells gathered into rows by what they are called: a row can be compared with itself at another commit."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import read_predictions
from fer_bench.results.records import Experiment, to_json
from fer_bench.results.store import Store, StoredCell

MOST_MISSING = 1000


@dataclass(frozen=True, eq=False)
class MethodRow:
    """All folds and seeds of a data set x protocol x backbone x strategy.

    Attributes:
        id: hash of what its cells have in common; two states of the code make two rows of one name.
        name: how it is called; rows of two runs with one name are the same question.
        experiment: what its cells have in common.
        cells: by seed and fold.
    """

    id: str
    name: str
    experiment: Experiment
    cells: tuple[StoredCell, ...]

    @property
    def splits(self) -> dict[int, str]:
        """Seed -> hash of its splits."""
        return {cell.record.seed: cell.record.protocol.splits_sha256 for cell in self.cells}

    @property
    def failed(self) -> tuple[StoredCell, ...]:
        """Cells that have no predictions."""
        return tuple(cell for cell in self.cells if not cell.ok)

    @property
    def missing(self) -> list[tuple[int, int]]:
        """(seed, fold) of the cells that are not there, the first of them."""
        there = {(cell.record.seed, cell.record.fold) for cell in self.cells}
        wanted = itertools.product(self.splits, range(self.experiment.protocol.folds))
        return list(itertools.islice((pair for pair in wanted if pair not in there), MOST_MISSING))

    @cached_property
    def _read(self) -> tuple[Predictions | None, list[StoredCell], list[str]]:
        return read_predictions([cell for cell in self.cells if cell.ok])

    @property
    def predictions(self) -> Predictions | None:
        """Predictions of all cells that are done; None if there is none."""
        return self._read[0]

    @property
    def done(self) -> list[StoredCell]:
        """Cells that are ok and whose predictions are sound; `Predictions.cell` is the place among them."""
        return self._read[1]

    @property
    def damaged(self) -> list[str]:
        """A message for each cell that is ok by its record and whose predictions are not sound."""
        return self._read[2]


def group(cells: Iterable[StoredCell]) -> list[MethodRow]:
    """Return the rows of ``cells``, by name and id."""
    groups: dict[Experiment, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        groups[cell.record.experiment].append(cell)
    rows: list[MethodRow] = []
    for experiment, members in groups.items():
        members.sort(key=lambda cell: (cell.record.seed, cell.record.fold))
        rows.append(MethodRow(experiment.id, experiment.question, experiment, tuple(members)))
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


def read_rows(runs_dir: Path) -> tuple[dict[str, MethodRow], list[str]]:
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


def _first_difference(rows: list[MethodRow]) -> str:
    name, first, second = differences(*(to_json(row.experiment) for row in rows[:2]))[0]
    return f"{len(rows)} variants ({', '.join(row.id[:8] for row in rows)}), {name} {first!r} and {second!r}"
