"""The predictions of a row as arrays: read from Arrow, checked, lined up. What scores a row takes them from here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from fer_bench.arrays import Array
from fer_bench.data.texts import Column, blocks, encode, find_places, listed, numbers, plain
from fer_bench.evaluation.checks import find_distinct, fix
from fer_bench.evaluation.extra import Extra

GROUP = "group:"
"""How the columns begin that hold a category of each sample, such as sex."""
ANNOTATOR = "annotator:"
"""How the names of those begin that hold the vote of an annotator, whose name follows."""


AT_ONCE = 100_000
"""Predictions whose columns are joined from files together and not one by one: half the time, twice the memory."""

UNIT_WORDS = {"subject": "subjects", "sequence": "sequences", "sample": "images"}
"""How the names of units begin, before a colon, and what such units are called."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """n predictions, sorted by seed, seed of the folds, id and cell.

    A leaderboard holds those of each row, perhaps of millions of samples: numbers are small and names are Arrow's.

    Attributes:
        ids: distinct, in order; ``sample``: (n,) int32, place among them.
        unit_names: of subjects, or of what else belongs together; ``unit``: (n,) int32, place among them, -1 where none
            is known.
        seed: (n,) int64, of the training.
        dealt_by: (n,) int64, the seed of the folds.
        split: (n,) int64, likewise, but of seeds that dealt the same folds the least.
        fold: (n,) int32.
        cell: (n,) int32, place among the cells that were read.
        labels: (n,) int32, the true classes.
        probabilities: (n, c) float32 or float64, as they are stored.
        groups: name of a column of groups -> (names, (n,) int32 of each prediction, -1 where it has none).
        soft: (n, c) float32, shares of annotators; None where they are not known.
        annotators: name of an annotator -> (native labels, (n,) int32 vote of each prediction, -1 where there is none).
    """

    ids: pa.LargeStringArray
    sample: Array
    unit_names: pa.LargeStringArray
    unit: Array
    seed: Array
    dealt_by: Array
    split: Array
    fold: Array
    cell: Array
    labels: Array
    probabilities: Array
    groups: dict[str, tuple[list[str], Array]]
    soft: Array | None
    annotators: dict[str, tuple[list[str], Array]]

    @classmethod
    def later(cls, facts: Mapping[str, object], read: Callable[[], Predictions]) -> Predictions:
        """Return predictions that are read when more of them is asked for than some facts.

        Args:
            facts: name of a property -> its value.
            read: returns all of them.
        """
        predictions = object.__new__(cls)
        vars(predictions).update(facts, _read=read)
        return predictions

    if not TYPE_CHECKING:  # a name that is not there stays a fault for type checkers

        def __getattr__(self, name: str) -> object:
            read = vars(self).get("_read")
            if read is None or name not in self.__dataclass_fields__:
                raise AttributeError(name)
            vars(self).update(vars(read()))
            return vars(self)[name]

    def __len__(self) -> int:
        return len(self.sample)

    @cached_property
    def units(self) -> Array | None:
        """(n,) int32, what is resampled: subject or, if unknown, sample. None: each row is a unit, and in order."""
        units = np.where(self.unit < 0, len(self.unit_names) + self.sample, self.unit)
        return None if (np.diff(units) > 0).all() else units

    @property
    def unit_codes(self) -> Array:
        """(n,) int, as `units`; the samples where each row is a unit."""
        return self.sample if self.units is None else self.units

    @property
    def training(self) -> Array:
        """(n,) uint64, what tells trainings of a row apart: their seed and that of the folds."""
        return (self.dealt_by.astype(np.uint64) << np.uint64(32)) + self.seed.astype(np.uint64)

    @cached_property
    def unit_word(self) -> str:
        """What the units are, in the plural: ``subjects``, ``sequences`` or ``images``, as their names say, ``groups``
        where they do not; of several kinds, each.
        """
        kinds = {name.partition(":")[0] for name in listed(self.unit_names)}
        if (self.unit < 0).any():
            kinds.add("sample")
        words = [word for kind, word in UNIT_WORDS.items() if kind in kinds]
        return " and ".join([*words, *(["groups"] if kinds - set(UNIT_WORDS) else [])])

    @cached_property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self) if self.units is None else len(find_distinct(self.units)[0])

    @cached_property
    def n_samples(self) -> int:
        """How many distinct samples there are."""
        return len(find_distinct(self.sample)[0])

    @cached_property
    def key(self) -> str:
        """A hash of what was tested: seeds, sample ids and labels."""
        value = hashlib.sha256()
        for names in blocks(self.ids):
            value.update("".join(f"{name}\0" for name in names).encode())
        for column in (self.sample, self.dealt_by, self.seed, self.labels):
            value.update(column.astype("<i8").tobytes())
        return value.hexdigest()

    @cached_property
    def extra(self) -> Extra:
        """What metrics of plugins may want beside labels and probabilities."""
        groups = {name: np.array([*names, ""], object)[codes] for name, (names, codes) in self.groups.items()}
        return Extra(None if self.soft is None else self.soft.astype(np.float64), groups)

    def take(self, rows: Array) -> Predictions:
        """Return some of the predictions."""
        names = ("sample", "unit", "seed", "dealt_by", "split", "fold", "cell", "labels", "probabilities")
        return replace(
            self,
            **{name: fix(getattr(self, name)[rows]) for name in names},
            groups={name: (names, codes[rows]) for name, (names, codes) in self.groups.items()},
            annotators={name: (names, codes[rows]) for name, (names, codes) in self.annotators.items()},
            soft=None if self.soft is None else self.soft[rows],
        )

    def sample_ids(self, rows: Array) -> list[str]:
        """Return the ids of some of the predictions."""
        return listed(self.ids.take(self.sample[rows]))


def from_table(
    table: pa.Table, seed: Array, dealt_by: Array, splits: Mapping[int, str], fold: Array, cell: Array
) -> Predictions:
    """Return the predictions in a table with the columns of ``predictions.feather``.

    Args:
        table: of n rows.
        seed: (n,); likewise ``dealt_by``, ``fold`` and ``cell``.
        dealt_by: (n,).
        splits: seed of the folds -> hash of the folds.
        fold: (n,).
        cell: (n,).
    """
    if len(table) <= AT_ONCE:
        table = table.unify_dictionaries().combine_chunks()
    seeds, place = np.unique(dealt_by, return_inverse=True)
    least = {splits[number]: number for number in reversed(seeds.tolist())}
    split = np.array([least[splits[number]] for number in seeds.tolist()], np.int64)
    ids, sample = encode(plain(table["id"]))
    unit_names, unit = _codes(table["group"])
    soft = read_matrix(table, "soft")
    groups = {name.removeprefix(GROUP): _groups(table[name]) for name in table.column_names if name.startswith(GROUP)}
    predictions = Predictions(
        ids,
        sample,
        unit_names,
        unit,
        seed.astype(np.int64),
        dealt_by.astype(np.int64),
        split[place],
        fold.astype(np.int32),
        cell.astype(np.int32),
        np.clip(numbers(table["label"]), -1, 2**31 - 1).astype(np.int32),
        read_matrix(table),
        {name: column for name, column in groups.items() if not name.startswith(ANNOTATOR)},
        soft if soft.shape[1] else None,
        {name.removeprefix(ANNOTATOR): column for name, column in groups.items() if name.startswith(ANNOTATOR)},
    )
    return predictions.take(np.lexsort((predictions.cell, predictions.sample, predictions.dealt_by, predictions.seed)))


def probability_columns(names: Sequence[str], prefix: str = "p") -> list[str]:
    """Return the columns ``p0``, ``p1`` … of a table, in this order."""
    present = set(names)
    columns: list[str] = []
    while (name := f"{prefix}{len(columns)}") in present:
        columns.append(name)
    return columns


def pair_trainings(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Return of both the predictions of samples that both tested on the same folds, or on any where they share none.

    Where both then hold the same trainings, they are paired row by row; else each keeps all of its trainings. Both name
    samples and units alike.
    """
    common = np.intersect1d(first.split, second.split)
    if not _same(first.training, second.training) and len(common):
        first, second = (one.take(np.flatnonzero(np.isin(one.split, common))) for one in (first, second))
    if _same(first.training, second.training):
        return pair(first, second, by="training")
    second = _rename_samples(first, second)
    codes = [np.searchsorted(common, one.split) * len(first.ids) + one.sample for one in (first, second)]
    return first.take(np.flatnonzero(np.isin(codes[0], codes[1]))), second.take(
        np.flatnonzero(np.isin(codes[1], codes[0]))
    )


def _same(first: Array, second: Array) -> bool:
    return np.array_equal(np.unique(first), np.unique(second))


def pair(
    first: Predictions, second: Predictions, by: Literal["seed", "training"] = "seed"
) -> tuple[Predictions, Predictions]:
    """Return of both the predictions of samples that both tested under the same seed or in the same training, row by
    row; both name samples and units alike.

    A sample that repeated folds test several times in a training is paired each time, in the order of the folds.

    Args:
        first: predictions; likewise ``second``.
        second: those to be paired with them.
        by: ``training`` asks for the same folds too, of predictions that name splits alike.
    """
    other, n = _rename_samples(first, second), len(first.ids)
    trainings = np.concatenate([getattr(one, by) for one in (first, other)])
    keys = np.unique(trainings, return_inverse=True)[1] * n + np.concatenate([first.sample, other.sample])
    parts = keys[: len(first)], keys[len(first) :]
    again = [_count_before(part) for part in parts]
    width = 1 + max((int(part.max()) for part in again if len(part)), default=0)
    mine, theirs = (part * width + before for part, before in zip(parts, again, strict=True))
    _, left, right = np.intersect1d(mine, theirs, return_indices=True)
    return first.take(left), other.take(right)


def _rename_samples(first: Predictions, second: Predictions) -> Predictions:
    """Return the second's predictions of samples of the first, which names samples and units as the first does."""
    place = find_places(second.ids, first.ids).astype(np.int32)[second.sample]
    rows = np.flatnonzero(place >= 0)
    unit = np.full(len(first.ids), -1, np.int32)
    unit[first.sample] = first.unit
    names = {"ids": first.ids, "unit_names": first.unit_names}
    return replace(second.take(rows), **names, sample=place[rows], unit=unit[place[rows]])


def _count_before(keys: Array) -> Array:
    """Return (n,) int64: how often each key stood before."""
    order = np.argsort(keys, kind="stable")
    begins = np.flatnonzero(np.diff(keys[order], prepend=-1))
    before = np.empty(len(keys), np.int64)
    before[order] = np.arange(len(keys)) - np.repeat(begins, np.diff(begins, append=len(keys)))
    return before


def read_matrix(table: pa.Table, prefix: str = "p") -> Array:
    """Return the columns ``<prefix>0`` … of a table as (n, columns) float32, or float64 where one is stored so."""
    names = probability_columns(table.column_names, prefix)
    wide = any(table[name].type == pa.float64() for name in names)
    matrix = np.empty((len(table), len(names)), np.float64 if wide else np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = numbers(table[name])
    return matrix


def _codes(column: Column) -> tuple[pa.LargeStringArray, Array]:
    """Return the distinct names of a text column in order, and (n,) int32; -1 for an empty or missing name."""
    kind: Any = column.type
    if pa.types.is_dictionary(kind) and kind.value_type in (pa.string(), pa.large_string()):
        return _codes_of_category(column)
    texts = plain(column)
    names, codes = encode(plain(texts.fill_null("")) if texts.null_count else texts)  # fill_null imports pandas
    empty = int(len(names) > 0 and names[0].as_py() == "")  # names are in order
    return names.slice(empty), (codes - empty).astype(np.int32)


def _codes_of_category(column: Any) -> tuple[pa.LargeStringArray, Array]:
    """Return what `_codes` does of a category, from its few names: a text for each row takes ten times as long."""
    whole: Any = column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()
    texts: list[str | None] = whole.dictionary.to_pylist()
    names = sorted({text for text in texts if text})
    place = {name: number for number, name in enumerate(names)}
    indices = whole.indices.fill_null(-1) if whole.null_count else whole.indices  # fill_null imports pandas
    codes = np.array([*(place.get(text or "", -1) for text in texts), -1], np.int32)[numbers(indices)]
    used = np.bincount(codes + 1, minlength=len(names) + 1)[1:] > 0
    if not used.all():
        names = [name for name, one in zip(names, used.tolist(), strict=True) if one]
        codes = np.append(np.cumsum(used) - 1, -1).astype(np.int32)[codes]
    return pa.array(names, pa.large_string()), codes


def _groups(column: Column) -> tuple[list[str], Array]:
    names, codes = _codes(column)
    return listed(names), codes
