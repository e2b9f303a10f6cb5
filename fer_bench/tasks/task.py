"""What a board is about: samples of one or more views, under one list of classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fer_bench.arrays import Array
from fer_bench.data.texts import compute, encode
from fer_bench.errors import FerBenchError
from fer_bench.labels import class_of, fitting_sets
from fer_bench.tasks.groups import merge
from fer_bench.tasks.soft_labels import one_hot
from fer_bench.tasks.view import View, to_frame


@dataclass(frozen=True, eq=False)
class Task:
    """Samples in the order of their views.

    Attributes:
        parts: the views; the first is tested and gives the task its name, the others only train.
        clusters: a part's clusters of copies, (n,) int64, -1 for a sample without a copy; None where no audit is
            stored. Empty if copies are not to be looked at.
    """

    parts: tuple[View, ...]
    clusters: tuple[Array | None, ...] = ()

    @property
    def name(self) -> str:
        """Name of the data set that is tested, as the user asked for it."""
        return str(self.parts[0])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, c of them."""
        return self.parts[0].classes

    @cached_property
    def labels(self) -> Array:
        """(n,) int64 indices into `classes`."""
        return np.concatenate([view.labels for view in self.parts])

    @cached_property
    def soft_labels(self) -> Array | None:
        """(n, classes) float32, rows sum to 1; None where no view has soft labels.

        Of a view without them, each sample's class has all.
        """
        if all(view.soft_labels is None for view in self.parts):
            return None
        parts = [
            one_hot(view.labels, len(self.classes)) if view.soft_labels is None else view.soft_labels
            for view in self.parts
        ]
        return np.concatenate(parts)

    @cached_property
    def part(self) -> Array:
        """(n,) int64: the view that each sample comes from."""
        return np.repeat(np.arange(len(self.parts)), [len(view.rows) for view in self.parts])

    @cached_property
    def known(self) -> tuple[str, ...]:
        """What is known of images of the first part that belong together: of subject, sequence and copy."""
        view = self.parts[0]
        named = [name for name in ("subject", "sequence") if view.texts(name).unique().to_pylist() not in ([], [""])]
        return (*named, *(("copy",) if self.clusters and self.clusters[0] is not None else ()))

    @property
    def unit(self) -> str:
        """The first of `known`, which names the groups; empty where nothing is known."""
        return self.known[0] if self.known else ""

    @property
    def groups(self) -> Array | None:
        """(n,) int32 from 0: what must not be torn apart; None where nothing is known of the first part.

        Images that share a subject, a sequence or a cluster of copies are one group, named after its first member and
        numbered by name. Subjects and sequences of equal name are one only within the folder of a data set, for all
        parts that parameters choose; copies of one encoded image are one across parts.
        """
        return None if self._grouping is None else self._grouping[1]

    def group_names(self, rows: Array) -> pa.LargeStringArray:
        """Return the name of each sample's group; empty where nothing is known of the first part."""
        if self._grouping is None:
            return pa.repeat(pa.scalar("", pa.large_string()), len(rows))
        names, codes = self._grouping
        return names.take(codes[rows])

    @cached_property
    def _grouping(self) -> tuple[pa.LargeStringArray, Array] | None:
        """Names of groups in order, and (n,) int32 of each sample."""
        if not self.known and len(self.parts) == 1:
            return None
        keys = [self._keys("subject"), self._keys("sequence")]
        if self.clusters:
            keys.append(self._cluster_keys())
        if len(self.parts) > 1:
            keys += [self._keys("id"), self._keys("sha256")]
        codes = merge(keys)
        _, first = np.unique(codes, return_index=True)
        names, place = encode(self._names(first))
        return names, place[codes]

    @cached_property
    def ids(self) -> pa.LargeStringArray:
        """The id of each sample, unique; those of the first part are the data set's own."""
        own = [view.texts("id") for view in self.parts]
        return pa.concat_arrays([own[0], *(_prefixed(f"part {i}: ", ids) for i, ids in enumerate(own[1:], 1))])

    @cached_property
    def found(self) -> Array:
        """(n,) bool: whether an image shows what the model is to see; False where a face was looked for in vain."""
        return np.concatenate([view.found for view in self.parts])

    @cached_property
    def sequences(self) -> Array:
        """(n,) int64, equal for the images of a sequence; -1 where none is known, and where no face was found."""
        return np.where(self.found, self._keys("sequence"), -1)

    def __len__(self) -> int:
        return len(self.labels)

    def describe(self, rows: Array) -> pd.DataFrame:
        """Return what is known of samples of the first part, one row each, for the table of their predictions.

        Columns: ``id``; ``group``, empty where nothing is known; ``label``; a categorical ``group:<name>`` for each
        attribute; ``soft0`` …, float32, where the data set has soft labels.

        Args:
            rows: (m,) int, positions in the task.
        """
        view = self.parts[0]
        names = {"id": self.ids.take(rows), "group": self.group_names(rows)}
        table = to_frame({**names, "label": pa.array(self.labels[rows])})
        for name, column in view.attributes.iloc[rows].items():
            table[name] = column.cat.remove_unused_categories().array
        if view.soft_labels is not None:
            for index, column in enumerate(view.soft_labels[rows].T):
                table[f"soft{index}"] = column
        return table

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of the data: content, not location."""
        first, *others = ({"text": str(view), **view.identity()} for view in self.parts)
        return {**first, "trained_with": others} if others else first

    def _keys(self, column: str) -> Array:
        """Return (n,) int64, equal where a column is; -1 where it is empty.

        Names mean something only within a data set, while one image is one everywhere.
        """
        scopes: dict[str, list[int]] = defaultdict(list)
        for number, view in enumerate(self.parts):
            own = f"{view.dataset.plugin.distribution}/{view.prepared.place}"
            scopes["" if column == "sha256" else own].append(number)
        keys, start = np.empty(len(self), np.int64), 0
        for members in scopes.values():
            names, codes = encode(pa.concat_arrays([self.parts[number].texts(column) for number in members]))
            empty = len(names) > 0 and names[0].as_py() == ""  # Names are in order.
            keys[np.isin(self.part, members)] = np.where((codes == 0) & empty, -1, codes + start)
            start += len(names)
        return keys

    def _cluster_keys(self) -> Array:
        keys_of_parts = [
            np.full(len(view.rows), -1) if keys is None else keys
            for view, keys in zip(self.parts, self.clusters, strict=True)
        ]
        return np.concatenate(keys_of_parts)

    def _names(self, rows: Array) -> pa.LargeStringArray:
        """Return how some samples, in rising order, would name their group: by subject, else sequence, else itself."""
        names: list[pa.LargeStringArray] = []
        start = 0
        for i, view in enumerate(self.parts):
            own = rows[(rows >= start) & (rows < start + len(view.rows))] - start
            subjects, sequences, ids = (view.texts(name).take(own) for name in ("subject", "sequence", "id"))
            alone = _choose(sequences, _prefixed("sequence:", sequences), _prefixed("sample:", ids))
            chosen = _choose(subjects, _prefixed("subject:", subjects), alone)
            names.append(_prefixed(f"part {i}: ", chosen) if i else chosen)
            start += len(view.rows)
        return pa.concat_arrays(names)


def _prefixed(prefix: str, texts: pa.LargeStringArray) -> pa.LargeStringArray:
    return compute.binary_join_element_wise(
        pa.scalar(prefix, pa.large_string()), texts, pa.scalar("", pa.large_string())
    )


def _choose(
    column: pa.LargeStringArray, first: pa.LargeStringArray, second: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return the first where a text is known, else the second."""
    return compute.if_else(compute.not_equal(column, ""), first, second)


def check_classes(views: Sequence[View]) -> None:
    """Check that data sets which meet in training or comparison have one list of classes.

    Raises:
        FerBenchError: they differ; it says which label set fits all.
    """
    if len({view.classes for view in views}) == 1:
        return
    classes = [{class_of(name, view.dataset.spec.expressions) for name in view.prepared.labels} for view in views]
    fits = fitting_sets(filter(None, classes[0].intersection(*classes[1:])))
    lists = "\n".join(f"  - {view.dataset}: {', '.join(view.classes)}" for view in views)
    advice = f"Take --labels {' or '.join(fits)}." if fits else "They have fewer than two classes in common."
    raise FerBenchError(f"Data sets with different labels cannot be compared as they are:\n{lists}\n{advice}")
