"""What a board is about: samples of one or more views, under one list of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fer_bench.data.groups import merge
from fer_bench.data.view import View
from fer_bench.errors import FerBenchError
from fer_bench.labels import LABEL_SETS, map_labels

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """Samples in the order of their views.

    Attributes:
        parts: the views; the first is tested and gives the task its name, the others only train.
        clusters: a part's clusters of copies, (n,) str, empty for a sample without a copy; None where no audit is
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
    def part(self) -> Array:
        """(n,) int64: the view that each sample comes from."""
        return np.repeat(np.arange(len(self.parts)), [len(view.rows) for view in self.parts])

    @property
    def known(self) -> tuple[str, ...]:
        """What is known of images of the first part that belong together: of subject, sequence and copy."""
        view = self.parts[0]
        found = [name for name in ("subject", "sequence") if (view.column(name).astype(str) != "").any()]
        return (*found, *(("copy",) if self.clusters and self.clusters[0] is not None else ()))

    @property
    def unit(self) -> str:
        """The first of `known`, which names the groups; empty where nothing is known."""
        return self.known[0] if self.known else ""

    @cached_property
    def groups(self) -> Array | None:
        """(n,) str: what must not be torn apart; None where nothing is known of the first part.

        Images that share a subject, a sequence or a cluster of copies are one group, named after its first member.
        Subjects and sequences of equal name are one only within a data set, whatever its parameters are; copies of
        one encoded image are one across parts.
        """
        if not self.known and len(self.parts) == 1:
            return None
        keys = [self._scoped("subject"), self._scoped("sequence")]
        if self.clusters:
            keys.append(self._cluster_keys())
        if len(self.parts) > 1:
            keys += [self._scoped("id"), np.concatenate([view.column("sha256").astype(str) for view in self.parts])]
        codes = merge(keys)
        _, first = np.unique(codes, return_index=True)
        return self._names()[first][codes]

    @cached_property
    def ids(self) -> Array:
        """(n,) str, unique; those of the first part are the data set's own."""
        own = [view.column("id").astype(str) for view in self.parts]
        return np.concatenate([own[0], *(np.char.add(f"part {i}: ", ids) for i, ids in enumerate(own[1:], 1))])

    @cached_property
    def found(self) -> Array:
        """(n,) bool: whether an image shows what the model is to see; False where a face was looked for in vain."""
        return np.concatenate([view.found for view in self.parts])

    def __len__(self) -> int:
        return len(self.labels)

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of the data: content, not location."""
        first, *others = ({"text": str(view), **view.identity()} for view in self.parts)
        return {**first, "trained_with": others} if others else first

    def _scoped(self, column: str) -> Array:
        """Return a column of all parts with the data set's name before each value, so that names do not clash."""
        values = []
        for view in self.parts:
            texts = view.column(column).astype(str)
            scope = f"{view.dataset.plugin.distribution}/{view.dataset.spec.name}\0"
            values.append(np.where(texts == "", "", np.char.add(scope, texts)))
        return np.concatenate(values)

    def _cluster_keys(self) -> Array:
        found = [
            np.full(len(view.rows), "") if keys is None else keys
            for view, keys in zip(self.parts, self.clusters, strict=True)
        ]
        return np.concatenate(found)

    def _names(self) -> Array:
        """Return how each sample would name its group: by subject, else sequence, else itself."""
        names = []
        for i, view in enumerate(self.parts):
            subjects, sequences, ids = (view.column(name).astype(str) for name in ("subject", "sequence", "id"))
            alone = np.where(sequences != "", np.char.add("sequence:", sequences), np.char.add("sample:", ids))
            own = np.where(subjects != "", np.char.add("subject:", subjects), alone)
            names.append(np.char.add(f"part {i}: ", own) if i else own)
        return np.concatenate(names)


def check_classes(views: Sequence[View]) -> None:
    """Check that data sets which meet in training or comparison have one list of classes.

    Raises:
        FerBenchError: they differ; it says which label set fits all.
    """
    if len({view.classes for view in views}) == 1:
        return
    expressions = [set(map_labels(view.prepared.labels, "basic-8").values()) for view in views]
    fits = [name for name, members in LABEL_SETS.items() if all(set(members) <= found for found in expressions)]
    lists = "\n".join(f"  - {view.dataset}: {', '.join(view.classes)}" for view in views)
    advice = f"Take --labels {' or '.join(reversed(fits))}." if fits else "No declared label set fits all of them."
    raise FerBenchError(f"Data sets with different labels cannot be compared as they are:\n{lists}\n{advice}")
