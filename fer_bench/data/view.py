"""The part of a prepared data set that a run uses, and the identity of that part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.data.prepared import Prepared
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.registry import Component
from fer_bench.specs import DatasetParams, DatasetSpec


@dataclass(frozen=True, eq=False)
class View:
    """Rows of a prepared data set, in file order.

    Attributes:
        dataset: as the user asked for it.
        prepared: the data on disk.
        rows: (n,) int64, rows of ``prepared``.
        limit: as asked for, or None.
    """

    dataset: Component[DatasetSpec]
    prepared: Prepared
    rows: np.ndarray[Any, Any]
    limit: int | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Native label names, in the data set's order."""
        return self.prepared.labels

    @property
    def labels(self) -> np.ndarray[Any, Any]:
        """(n,) int64 indices into `classes`."""
        return self.column("label").astype(np.int64)

    @property
    def unit(self) -> str:
        """What is known of images that belong together: ``subject``, else ``sequence``, else empty."""
        known = [name for name in ("subject", "sequence") if (self.column(name).astype(str) != "").any()]
        return known[0] if known else ""

    @property
    def groups(self) -> np.ndarray[Any, Any] | None:
        """(n,) str: what must not be torn apart: the subject, or the sequence; None where no sample has either.

        A sample without them, in a data set that has them, is a group of its own.
        """
        if not self.unit:
            return None
        subjects, sequences, ids = (self.column(name).astype(str) for name in ("subject", "sequence", "id"))
        alone = np.where(sequences != "", np.char.add("sequence:", sequences), np.char.add("sample:", ids))
        return np.where(subjects != "", np.char.add("subject:", subjects), alone)

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """Return a column of the samples table, (n,)."""
        return self.prepared.samples[name].to_numpy()[self.rows]

    def images(self, positions: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Decode the images at ``positions`` of the view: arrays (h, w, 1 or 3) uint8, each in its own size."""
        return self.prepared.images(self.rows[positions])

    @property
    def channels(self) -> int:
        """The most channels that an image has: 1 or 3."""
        return int(self.column("channels").max())

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width in pixels where all images share them, else None."""
        shapes = set(zip(self.column("height").tolist(), self.column("width").tolist(), strict=True))
        return shapes.pop() if len(shapes) == 1 else None

    def content_sha256(self) -> str:
        """Return a hash of everything that `images` returns, in order."""
        return hashlib.sha256("".join(self.column("sha256")).encode()).hexdigest()

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of the data: content, not location."""
        ids = "\0".join(self.column("id").astype(str))
        return {
            **self.dataset.identity(),
            "fingerprint": self.prepared.fingerprint,
            "classes": list(self.classes),
            "limit": self.limit,
            "n": len(self.rows),
            "samples_sha256": hashlib.sha256(ids.encode()).hexdigest(),
            "synthetic": self.dataset.spec.synthetic,
        }


def select(dataset: Component[DatasetSpec], prepared: Prepared, limit: int | None) -> View:
    """Return the view of ``prepared`` that the parameters of ``dataset`` and ``limit`` choose.

    Args:
        dataset: its ``split`` parameter, if set, keeps one official split.
        prepared: the data on disk.
        limit: keep the first ``limit // classes`` samples of each class, in file order; None keeps all.

    Raises:
        FerBenchError: no such split, or a limit below the number of classes.
    """
    assert isinstance(dataset.params, DatasetParams)
    rows = np.arange(len(prepared.samples))
    if split := dataset.params.split:
        splits = prepared.samples["split"].to_numpy().astype(str)
        rows = rows[splits == split]
        if not len(rows):
            raise FerBenchError(
                f"Data set {dataset.spec.name!r} has no split {split!r}. "
                f"{did_you_mean(split, set(splits.tolist()) - {''})}"
            )
    if limit is not None:
        labels = prepared.samples["label"].to_numpy()[rows]
        classes = len(prepared.labels)
        if limit < classes:
            raise FerBenchError(
                f"--limit {limit} is below the {classes} classes of {dataset.spec.name!r}; "
                "at least one image of each is needed."
            )
        per_class = [np.flatnonzero(labels == label)[: limit // classes] for label in range(classes)]
        rows = rows[np.sort(np.concatenate(per_class))]
    return View(dataset, prepared, rows, limit)
