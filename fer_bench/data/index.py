"""The table of samples beside the records, and the fingerprint of a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_bench.arrays import Array
from fer_bench.data.checks import CheckedSample
from fer_bench.sizes import number_of

GROUP = "group:"
"""Prefix of the columns with a sample's groups, which are categorical."""

SOFT = "soft:"
"""Prefix of the columns with a sample's soft label, one a native label, float32; missing where none is known."""

BOX = ("box:left", "box:top", "box:right", "box:bottom")
"""Where in its picture an image was cut out, all 0 for a whole one; missing where all are whole."""

TEXT_COLUMNS = ("id", "split", "subject", "sequence", "sha256", "content")
BLOCK = 4096
"""Rows that are Python objects at a time."""

_TEXT = "string[pyarrow]"

NUMBER_COLUMNS = ("label", "width", "height", "channels", *BOX)


class IndexWriter:
    """Collects what is known of each sample except its image, in record order.

    Rows become columns block by block: as Python objects they would take six times the memory.

    Args:
        labels: native label names.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._soft_columns = [SOFT + name for name in labels]
        self._rows: list[tuple[Any, ...]] = []
        self._groups: list[Mapping[str, str]] = []
        self._soft: list[Array] = []
        self._blocks: list[pd.DataFrame] = []

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._rows)

    def add(self, checked: CheckedSample) -> None:
        """Add one sample."""
        sample = checked.sample
        sizes = (checked.label, checked.width, checked.height, checked.channels, *(sample.box or (0, 0, 0, 0)))
        digests = checked.sha256, checked.content
        self._rows.append((sample.id, sample.split, sample.subject, sample.sequence, *digests, *sizes))
        self._groups.append(sample.groups)
        self._soft.append(checked.soft)
        if len(self._rows) == BLOCK:
            self._blocks.append(self._block())
            self._rows, self._groups, self._soft = [], [], []

    def table(self) -> pd.DataFrame:
        """Return one row a sample.

        Columns: id, label (its code), split, subject, sequence, ``group:<name>`` …, sha256 (of the file), content (what
        it shows, see `fer_bench.data.images.digest_content`), width, height, channels, and where they are known
        ``box:left`` … and ``soft:<label>`` ….
        """
        blocks = [*self._blocks, self._block()] if self._rows or not self._blocks else self._blocks
        frame = pd.concat(blocks, ignore_index=True)
        groups = sorted(name for name in frame.columns if name.startswith(GROUP))
        for name in groups:  # A block without a group has no such column.
            frame[name] = frame[name].fillna("").astype("category")
        order = ["id", "label", *TEXT_COLUMNS[1:4], *groups, *TEXT_COLUMNS[4:], "width", "height", "channels"]
        boxes = BOX if frame[list(BOX)].to_numpy().any() else ()
        return frame.loc[:, [*order, *boxes, *(name for name in self._soft_columns if name in frame.columns)]]

    def _block(self) -> pd.DataFrame:
        frame = pd.DataFrame(self._rows, columns=[*TEXT_COLUMNS, *NUMBER_COLUMNS])
        frame = frame.astype({**dict.fromkeys(TEXT_COLUMNS, _TEXT), **dict.fromkeys(NUMBER_COLUMNS, "int32")})
        for name in sorted({name for groups in self._groups for name in groups}):
            frame[GROUP + name] = pd.Series([groups.get(name, "") for groups in self._groups], dtype=_TEXT)
        if self._soft and self._soft[0].size:
            frame[self._soft_columns] = np.stack(self._soft)
        return frame


def write_index(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet."""
    frame.to_parquet(path, index=False)


def read_index(path: Path) -> pd.DataFrame:
    """Read what `write_index` wrote."""
    return pd.read_parquet(path)


def read_column(path: Path, name: str) -> pa.ChunkedArray[Any]:
    """Read one column of what `write_index` wrote; raises KeyError if there is none."""
    with pq.ParquetFile(path) as file:
        return file.read(columns=[name], use_threads=False)[name]


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of what `write_index` wrote."""
    with pq.ParquetFile(path) as file:
        return tuple(file.schema_arrow.names)


def fingerprint(frame: pd.DataFrame, labels: Sequence[str]) -> str:
    """Return the sha256 of the label names and of what is known of each image, in no order.

    That is what the image shows, its label, soft label, split, subject, sequence and groups. A box is where an image
    comes from, an id how a copy names it. So the fingerprint does not depend on the layout or the lossless format in
    which the data lie, on where they lie, nor on who prepared them or when. The order and the ids are part of
    a cell's identity beside it, see `fer_bench.tasks.view.View.identity`.
    """
    groups = sorted(name for name in frame.columns if name.startswith(GROUP))
    soft = [name for name in frame.columns if name.startswith(SOFT)]
    columns = ["label", "split", "subject", "sequence", "content", *groups]
    digests: list[bytes] = []
    for start in range(0, len(frame), BLOCK):
        block = frame.iloc[start : start + BLOCK]
        votes = np.ascontiguousarray(block[soft].to_numpy(), "<f4")
        for row, weights in zip(zip(*(block[name].tolist() for name in columns), strict=True), votes, strict=True):
            values = dict(zip(columns, row, strict=True))
            values["label"] = labels[values["label"]]
            # An empty group says as much as a missing one.
            empty = [name for name in groups if not values[name]]
            encoded = _canonical({name: value for name, value in values.items() if name not in empty})
            digests.append(hashlib.sha256(encoded + weights.tobytes()).digest())
    return hashlib.sha256(_canonical({"labels": list(labels)}) + b"".join(sorted(digests))).hexdigest()


def count_labels(frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return split -> label -> number of samples, in the order of the data and of ``labels``; zeros included."""
    numbers: dict[Any, Any] = frame.groupby(["split", "label"]).size().to_dict()
    return {
        split: {name: int(numbers.get((split, code), 0)) for code, name in enumerate(labels)}
        for split in frame["split"].unique().tolist()
    }


def compare_counts(counts: Mapping[str, Mapping[str, int]], expected: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one sentence for each split whose numbers differ from the published ones."""
    warnings: list[str] = []
    for split, labels in expected.items():
        total = sum(labels.values())
        if split not in counts:
            warnings.append(f"split {split!r} is missing: {number_of(total, 'sample is', 'samples are')} published")
            continue
        number = sum(counts[split].values())
        has = f"split {split!r} has" if split else "there are"
        if "" in labels:  # No number of each label is published.
            if number != total:
                warnings.append(f"{has} {number_of(number, 'sample')}, {total:,} are published")
            continue
        names = [*labels, *(name for name in counts[split] if name not in labels)]
        differ = [name for name in names if counts[split].get(name, 0) != labels.get(name, 0)]
        if differ:
            details = ", ".join(f"{name} {counts[split].get(name, 0):,} for {labels.get(name, 0):,}" for name in differ)
            warnings.append(f"{has} {number_of(number, 'sample')}, {total:,} are published: {details}")
    if expected:
        warnings += [f"split {split!r} is not among the published ones" for split in counts if split not in expected]
    return warnings


def _canonical(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()
