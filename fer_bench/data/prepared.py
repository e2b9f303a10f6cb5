"""Read a prepared data set: its table of samples, and its images by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from fer_bench.arrays import Array
from fer_bench.data.checks import THREADS
from fer_bench.data.images import ImageError, decode
from fer_bench.data.index import BOX, GROUP, SOFT, column_names, fingerprint, read_column, read_index
from fer_bench.data.records import Records
from fer_bench.data.texts import blocks, plain
from fer_bench.digests import sha256_of
from fer_bench.errors import DataError
from fer_bench.sizes import number_of
from fer_bench.specs import DatasetSpec

T = TypeVar("T")

SCHEMA = 5
"""Version of the files in the folder of a prepared data set: another one for each change of their fields or columns."""

SUMMARY_FILE = "prepared.json"
INDEX_FILE = "samples.parquet"
BATCH = 256
"""Records that are read at once."""


class Prepared:
    """A prepared data set on disk; opened lazily, so that it costs nothing to hold or to send to another process.

    Attributes:
        spec: the data set's description.
        folder: where it lies.
        summary: ``prepared.json``: schema, package, params, place, labels, fingerprint, counts, warnings, versions,
            what tells a change of each file, and a digest of all that.
    """

    def __init__(self, spec: DatasetSpec, folder: Path):
        """Open the data set in ``folder``.

        Raises:
            DataError: its summary cannot be read.
        """
        self.spec = spec
        self.folder = folder
        try:
            self.summary: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(f"{SUMMARY_FILE} cannot be read: {error}") from None
        if not isinstance(self.summary, dict):
            raise self._damaged(f"{SUMMARY_FILE} holds no object")

    def __reduce__(self) -> tuple[Any, ...]:
        return Prepared, (self.spec, self.folder)

    def __len__(self) -> int:
        return int(self.summary["samples"])

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.spec.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Native label names; the column ``label`` of `samples` indexes them."""
        return tuple(self.summary["labels"])

    @property
    def place(self) -> str:
        """The folder that the data are from: all parts of what lies in one are one data set."""
        return self.summary["place"]

    @property
    def fingerprint(self) -> str:
        """Sha256 of what is known of the images, in no order: two layouts of one data set have one fingerprint."""
        return self.summary["fingerprint"]

    @property
    def table_sha256(self) -> str:
        """Sha256 of the file with the table of samples: what is kept by row belongs to one table."""
        return self.summary["files"][INDEX_FILE]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know: how the data differ from the published ones, and the adapter's notices."""
        return tuple(self.summary["warnings"])

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> number of samples; the split is empty where the data have none."""
        return self.summary["counts"]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the official splits that there are, sorted."""
        return tuple(sorted(filter(None, self.counts)))

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample, in record order.

        Columns: id, label, split, subject, sequence, ``group:<name>`` …, sha256, content, width, height, channels;
        where known ``box:left`` … and ``soft:<label>`` …. See `fer_bench.data.index`.
        """
        return self._of_table(read_index)

    def column(self, name: str) -> pa.ChunkedArray[Any]:
        """Read one column of `samples`, which as a whole takes much memory where there are many samples."""
        return self._of_table(partial(read_column, name=name))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `samples`."""
        return self._of_table(column_names)

    def _of_table(self, read: Callable[[Path], T]) -> T:
        try:
            return read(self.folder / INDEX_FILE)
        except (OSError, ValueError) as error:  # pyarrow's errors are both.
            raise self._damaged(f"{INDEX_FILE} cannot be read: {error}") from None

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the attributes that samples have."""
        return tuple(name.removeprefix(GROUP) for name in self.columns if name.startswith(GROUP))

    def check(self) -> None:
        """Check that the files are those that were prepared: cheap enough for every run.

        The table is hashed whole and the sizes of the record files are compared; `images` checks what it reads.

        Raises:
            DataError: a file is missing or was changed.
        """
        self._check_summary()
        for name, expected in self.summary["files"].items():
            try:
                actual = describe_file(self.folder / name)
            except OSError as error:
                raise self._damaged(f"{name} cannot be read: {error.strerror}") from None
            if actual != expected:
                raise self._damaged(f"{name} was changed since")

    def soft_labels(self, rows: Array) -> Array | None:
        """Return the soft labels of ``rows``, (n, labels) float32 that sum to 1; None where the data set has none."""
        names = [SOFT + name for name in self.labels]
        if names[0] not in self.columns:
            return None
        return np.stack([self.column(name).to_numpy().astype(np.float32)[rows] for name in names], axis=1)

    def images(self, rows: Array) -> list[Array]:
        """Decode images.

        Args:
            rows: (n,) row numbers, in any order, repeated or not.

        Returns:
            n arrays (h, w, 1 or 3) uint8, each in its own size; see `fer_bench.data.images`.

        Raises:
            DataError: the records are damaged.
        """
        numbers = [int(row) for row in rows]
        images: list[Array] = []
        with ThreadPoolExecutor(THREADS, thread_name_prefix="fer-bench-decode") as pool:
            for start in range(0, len(numbers), BATCH):
                batch = numbers[start : start + BATCH]
                encoded = self._encoded(batch)
                for row, file in zip(batch, encoded, strict=True):
                    if hashlib.sha256(file).digest() != self.hashes[row : row + 1].tobytes():
                        raise self._damaged(f"the image of row {row} is not the one that was prepared")
                try:
                    images += pool.map(decode, encoded)
                except ImageError as error:
                    raise self._damaged(f"an image {error}") from None
        return images

    def verify(self) -> list[str]:
        """Read everything again and return what is wrong: files, counts, every row and image, the fingerprint."""
        try:
            self._check_summary()
            faults = self._compare()
            if not faults and fingerprint(self.samples, self.labels) != self.fingerprint:
                faults.append(f"{INDEX_FILE}: its content does not give the fingerprint {self.fingerprint[:12]}…")
            if not faults:
                self.check()
        except DataError as error:
            faults = [str(error)]
        return faults

    def _check_summary(self) -> None:
        if self.summary.get("digest") != digest(self.summary):
            raise self._damaged(f"{SUMMARY_FILE} was changed since")

    @cached_property
    def hashes(self) -> Array:
        """The sha256 of each image's file, (n,) of numpy's type ``S32``."""
        texts = blocks(plain(self.column("sha256")))
        return np.frombuffer(b"".join(bytes.fromhex("".join(block)) for block in texts), "S32")

    @cached_property
    def _records(self) -> Records:
        try:
            return Records(self.folder)
        except Exception as error:  # array_record, TFDS and pyarrow each raise their own.
            raise self._damaged(f"the record files cannot be opened: {error}") from None

    def _encoded(self, rows: list[int]) -> list[bytes]:
        records = self._records
        try:
            return records.images(rows)
        except Exception as error:
            raise self._damaged(f"records cannot be read: {error}") from None

    def _compare(self) -> list[str]:
        """Return how the records differ from the table."""
        records = self._records
        if not len(records) == len(self.samples) == len(self):
            return [
                f"{number_of(len(records), 'record')}, {number_of(len(self.samples), 'row')} in "
                f"{INDEX_FILE} and {len(self):,} in "
                f"{SUMMARY_FILE}: expected the same number"
            ]
        faults: list[str] = []
        for start in range(0, len(self), BATCH):
            batch = cast("list[dict[str, Any]]", self.samples.iloc[start : start + BATCH].to_dict("records"))
            try:
                stored = records.rows(range(start, start + len(batch)))
            except Exception as error:
                faults.append(f"records {start} to {start + len(batch) - 1} cannot be read: {error}")
                continue
            for row, record in zip(batch, stored, strict=True):
                faults += [f"{row['id']!r}: {what} differs from {INDEX_FILE}" for what in _differences(row, record)]
        return faults

    def _damaged(self, what: str) -> DataError:
        return DataError(
            f"The prepared data set {self.spec.name!r} in {str(self.folder)!r} is damaged: {what}. "
            f"Delete that folder and run 'fer-bench data prepare {self.spec.name}' again."
        )


def digest(summary: Mapping[str, Any]) -> str:
    """Return the sha256 of all that a summary says but its own digest."""
    content = {name: value for name, value in summary.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_file(file: Path) -> str | int:
    """Return what tells a change of a file: the sha256 of the table, the bytes of a record file.

    Raises:
        OSError: it cannot be read.
    """
    return sha256_of(file) if file.name == INDEX_FILE else file.stat().st_size


def _differences(row: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    """Yield the names of what a record and its row in the table disagree on."""
    if hashlib.sha256(record["image"]).hexdigest() != row["sha256"]:
        yield "the image"
    if record["label"] != row["label"]:
        yield "the label"
    for name in ("id", "split", "subject", "sequence"):
        if record[name].decode() != row[name]:
            yield f"the {name}"
    groups = {GROUP + name: value for name, value in json.loads(record["groups"]).items()}
    if any(groups.get(name, "") != value for name, value in row.items() if name.startswith(GROUP)):
        yield "a group"
    if record["soft_label"] != [value for name, value in row.items() if name.startswith(SOFT)]:
        yield "the soft label"
    if (record["box"] or [0] * len(BOX)) != [row.get(name, 0) for name in BOX]:
        yield "the box"
