"""The part of a prepared data set that a run uses, and the identity of that part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from fer_bench.arrays import Array
from fer_bench.corruption import Corruption
from fer_bench.damage.images import corrupt
from fer_bench.data.index import GROUP
from fer_bench.data.prepared import Prepared
from fer_bench.data.texts import Column, blocks, compute, numbers, plain
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.labels import NATIVE, class_of, classes_of, describe_spellings, fitting_sets, map_labels
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import DatasetParams, DatasetSpec
from fer_bench.tasks.crops import Faces
from fer_bench.tasks.soft_labels import map_soft_labels
from fer_bench.tasks.windows import cut, shape_of


@dataclass(frozen=True, eq=False)
class View:
    """Rows of a prepared data set, in file order.

    Attributes:
        dataset: as the user asked for it.
        prepared: the data on disk.
        rows: (n,) int64, rows of ``prepared``.
        limit: as asked for, or None.
        label_set: as `fer_bench.labels.parse_label_set` returns it.
        dropped: native label -> samples left out because the label set has no place for it.
        faces: the faces to which images are cut down; None takes whole images.
        corruption: what is done to images after that; None leaves them as they are.
        window: of `WINDOWS`, to which images are cut down last; empty takes all of them.
    """

    dataset: Component[DatasetSpec]
    prepared: Prepared
    rows: Array
    limit: int | None
    label_set: str
    dropped: dict[str, int]
    faces: Faces | None = None
    corruption: Corruption | None = None
    window: str = ""

    def __str__(self) -> str:
        return f"{self.dataset} {self.faces}" if self.faces else str(self.dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label set, or native label names in the data set's order."""
        return self.prepared.labels if self.label_set == NATIVE else classes_of(self.label_set)

    @property
    def mapping(self) -> dict[str, str | None]:
        """What each native label becomes; None where the label set has no place for it."""
        return map_labels(self.prepared.labels, self.label_set, self.dataset.spec.expressions)

    @cached_property
    def labels(self) -> Array:
        """(n,) int64 indices into `classes`."""
        codes = _codes(self.mapping, self.classes)
        return codes[self.column("label").astype(np.int64)]

    @cached_property
    def soft_labels(self) -> Array | None:
        """(n, classes) float32, rows sum to 1, mapped as labels are; None where the data set has none.

        See `fer_bench.tasks.soft_labels.map_soft_labels` for labels that the label set has no place for.
        """
        native = self.prepared.soft_labels(self.rows)
        if native is None:
            return None
        codes = _codes(self.mapping, self.classes)
        return map_soft_labels(native, codes, self.labels, len(self.classes))

    @property
    def attributes(self) -> pd.DataFrame:
        """One row a sample and a categorical column ``group:<name>`` for each attribute."""
        whole = to_frame({GROUP + name: self.prepared.column(GROUP + name) for name in self.prepared.groups})
        columns = {name: column.astype("category").array[self.rows] for name, column in whole.items()}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.rows)))

    def column(self, name: str) -> Array:
        """Return a column of the samples table, (n,); texts as Python's, for which `texts` is the lean way."""
        return self.prepared.column(name).to_numpy()[self.rows]

    def texts(self, name: str) -> pa.LargeStringArray:
        """Return a text column of the samples table, n of them."""
        whole = plain(self.prepared.column(name))
        return whole if len(whole) == len(self.rows) else whole.take(self.rows)

    def images(self, positions: Array) -> list[Array]:
        """Decode the images at ``positions`` of the view: cut down to their faces, corrupted, cut down to a window, as
        far as the view says so.

        Returns:
            Arrays (h, w, 1 or 3) uint8, each in its own size; crops share theirs.
        """
        images = self.prepared.images(self.rows[positions])
        if (faces := self.faces) is not None:
            images = [faces.cut(image, position) for image, position in zip(images, positions.tolist(), strict=True)]
        if self.corruption is not None:
            landmarks = None if faces is None else [faces.landmarks(position) for position in positions.tolist()]
            images = corrupt(images, self.hashes()[positions], self.corruption, landmarks)
        return [cut(image, self.window) for image in images] if self.window else images

    @property
    def found(self) -> Array:
        """(n,) bool: whether an image shows what the model is to see; all True for whole images."""
        return np.ones(len(self.rows), dtype=bool) if self.faces is None else self.faces.found

    @cached_property
    def channels(self) -> int:
        """The most channels that an image of the whole data set has: 1 or 3."""
        # Of the whole, so that what is made of an image does not depend on which others are selected; likewise `shape`.
        return int(numbers(self.prepared.column("channels")).max())

    @cached_property
    def shape(self) -> tuple[int, int] | None:
        """Height and width in pixels where all images of the whole data set share them, else None."""
        whole = self._whole_shape
        return shape_of(whole) if whole and self.window else whole

    @property
    def _whole_shape(self) -> tuple[int, int] | None:
        if self.faces is not None:
            return self.faces.crop.size, self.faces.crop.size
        height, width = (numbers(self.prepared.column(name)) for name in ("height", "width"))
        same = (height == height[:1]).all() and (width == width[:1]).all()
        return (int(height[0]), int(width[0])) if same else None

    def hashes(self) -> Array:
        """Return the sha256 of each encoded image, (n,) of numpy's type ``S32``."""
        return self.prepared.hashes[self.rows]

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of the data: content, not location."""
        return {
            **self.dataset.identity(),
            "fingerprint": self.prepared.fingerprint,
            "classes": list(self.classes),
            "labels": {"set": self.label_set, "map": self.mapping},
            "limit": self.limit,
            "n": len(self.rows),
            "samples_sha256": self._digest_samples(),
            "synthetic": self.dataset.spec.synthetic,
            **({"faces": self.faces.identity()} if self.faces else {}),
        }

    def _digest_samples(self) -> str:
        """Return the sha256 of all that is known of the samples, in order."""
        digest = hashlib.sha256(self.labels.tobytes())
        for name in ("id", "content", "split", "subject", "sequence", *(GROUP + name for name in self.prepared.groups)):
            for names in blocks(self.texts(name)):
                digest.update("\0".join([*names, ""]).encode())
        if self.soft_labels is not None:
            digest.update(self.soft_labels.tobytes())
        return digest.hexdigest()

    def describe_labels(self) -> str:
        """Return the mapping of labels in words, with what it drops; for native labels only which mean the same."""
        if self.label_set == NATIVE:
            return describe_spellings(self.prepared.labels, self.dataset.spec.expressions)
        mapped = [f"{old} -> {new}" for old, new in self.mapping.items() if new and new != old]
        if any(new == old for old, new in self.mapping.items()):
            mapped.append("others as they are" if mapped else "as they are")
        lost = [f"{name} ({number_of(n, 'image')})" for name, n in self.dropped.items()]
        text = f"labels {self.label_set}: {', '.join(mapped)}; drops {', '.join(lost) or 'nothing'}."
        if lost and self.soft_labels is not None:
            text += " Soft labels lose their shares of dropped labels and are scaled to 1."
        return text


def select(dataset: Component[DatasetSpec], prepared: Prepared, limit: int | None, label_set: str = NATIVE) -> View:
    """Return the view of ``prepared`` that the parameters of ``dataset`` and ``limit`` choose.

    Args:
        dataset: its ``split`` parameter, if set, keeps one official split.
        prepared: the data on disk.
        limit: keep the first ``limit // classes`` samples of each class, in file order; None keeps all.
        label_set: as `fer_bench.labels.parse_label_set` returns it; samples that it has no place for are left out.

    Raises:
        FerBenchError: no such split, a class of the label set without a sample, or a limit below the number of classes.
    """
    assert isinstance(dataset.params, DatasetParams)
    native = prepared.column("label").to_numpy().astype(np.int64)
    rows = np.arange(len(native))
    if split := dataset.params.split:
        rows = np.flatnonzero(compute.equal(prepared.column("split"), split).to_numpy())
        if not len(rows):
            raise FerBenchError(
                f"Data set {dataset.spec.name!r} has no split {split!r}. {did_you_mean(split, prepared.splits)}"
            )
    classes = prepared.labels if label_set == NATIVE else classes_of(label_set)
    mapping = map_labels(prepared.labels, label_set, dataset.spec.expressions)
    labels = _codes(mapping, classes)[native[rows]]
    counts = np.bincount(native[rows][labels < 0], minlength=len(prepared.labels)).tolist()
    dropped = {name: n for name, n in zip(prepared.labels, counts, strict=True) if mapping[name] is None}
    in_split, rows, labels = rows, rows[labels >= 0], labels[labels >= 0]
    empty = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if label_set != NATIVE and len(empty):
        present = [prepared.labels[int(label)] for label in np.unique(native[in_split])]
        fits = fitting_sets(filter(None, (class_of(name, dataset.spec.expressions) for name in present)))
        raise FerBenchError(
            f"Data set {str(dataset)!r} has no image of {', '.join(repr(classes[label]) for label in empty)} of the "
            f"label set {label_set!r}. Its labels: {', '.join(map(repr, prepared.labels))}. "
            f"Take --labels {' or '.join([*fits, NATIVE])}."
        )
    if limit is not None:
        if limit < len(classes):
            raise FerBenchError(
                f"--limit {limit} is below the {number_of(len(classes), 'class', 'classes')} of {dataset.spec.name!r}; "
                "at least one image of each is needed."
            )
        per_class = [np.flatnonzero(labels == label)[: limit // len(classes)] for label in range(len(classes))]
        rows = rows[np.sort(np.concatenate(per_class))]
    return View(dataset, prepared, rows, limit, label_set, dropped)


def to_frame(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return columns of Arrow as a data frame."""
    # The stubs leave a parameter of ``to_pandas`` without a type.
    return cast("Any", pa.table(list(columns.values()), names=list(columns))).to_pandas()


def _codes(mapping: Mapping[str, str | None], classes: tuple[str, ...]) -> Array:
    """Return the class of each native label, (labels,) int64; -1 where it has none."""
    return np.array([-1 if name is None else classes.index(name) for name in mapping.values()], np.int64)
