"""Predictions of corrupted test images, in a folder of their own beside the cells whose models made them.

``<runs>/corrupted/<cell>/<kind>-<severity>.feather`` has the probabilities of the cell's test samples in the order of
its ``predictions.feather``, whose sha256 stands in it: a cell that was trained again with other predictions has none.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from fer_bench import atomic, corruption, foreign_files
from fer_bench.arrays import Array
from fer_bench.corruption import Corruption
from fer_bench.results.encoding import to_feather
from fer_bench.results.predictions import probability_columns, read_matrix
from fer_bench.results.store import ALONE, StoredCell, cannot_write
from fer_bench.sizes import number_of

FOLDER = "corrupted"
LARGEST = 1 << 30
"""Bytes that a file may have."""
_KEY = b"fer_bench_corrupted"
_NAME = re.compile(
    rf"({'|'.join(corruption.KINDS)})-([{corruption.SEVERITIES[0]}-{corruption.SEVERITIES[-1]}])(?:s(\d{{1,10}}))?\.feather"
)

MEMBER = rf"{FOLDER}/[0-9a-f]{{16}}/{_NAME.pattern}"
"""Pattern of such a file below a runs folder."""


@dataclass(frozen=True, eq=False)
class CorruptedCell(StoredCell):
    """A cell with its predictions of corrupted images in the place of those of clean ones.

    Attributes:
        clean: the table of the cell.
        corruption: of the images.
    """

    clean: pa.Table
    corruption: Corruption

    def table(self) -> pa.Table:
        """Read the predictions, as of `StoredCell`."""
        stored = _read(_file(self, self.corruption), _record(self, self.corruption))
        names = probability_columns(self.clean.column_names)
        if stored.column_names != names or len(stored) != len(self.clean):
            raise ValueError(f"has {number_of(len(stored), 'row')} of {stored.num_columns} classes")
        table = self.clean
        for name in names:
            table = table.set_column(table.column_names.index(name), name, stored[name])
        return table


def corrupted(cell: StoredCell, clean: pa.Table, damage: Corruption) -> CorruptedCell:
    """Return a cell as it predicts corrupted images.

    Args:
        cell: as it is stored.
        clean: its table.
        damage: of `find`.
    """
    return CorruptedCell(
        **{field.name: getattr(cell, field.name) for field in fields(cell)}, clean=clean, corruption=damage
    )


def find(cell: StoredCell) -> list[Corruption]:
    """Return of which corrupted images a cell has predictions that belong to it, in the order of reports."""
    texts: list[str] = []
    for file in _folder(cell).glob("*.feather") if cell.predictions_sha256 else ():
        if match := _NAME.fullmatch(file.name):
            texts.append(f"{match[1]}[severity={match[2]}{f',seed={match[3]}' if match[3] else ''}]")
    return [damage for damage in corruption.parse(texts) if _is_sound(cell, damage)]


def lacking(cell: StoredCell, corruptions: Iterable[Corruption]) -> list[Corruption]:
    """Return of which corrupted images a cell has no predictions; of a jackknife it needs none."""
    if cell.record.protocol.pairs_of:
        return []
    return [damage for damage in corruptions if not _is_sound(cell, damage)]


def write(cell: StoredCell, damage: Corruption, probabilities: Array) -> None:
    """Store what a cell predicts of corrupted images, at once or not at all.

    Args:
        cell: as it is stored.
        damage: to the images.
        probabilities: (n, c) float32 or float64, samples in the order of the cell's.

    Raises:
        FerBenchError: the disk is full or the folder cannot be written.
    """
    columns = [np.ascontiguousarray(column) for column in probabilities.T]
    record = {**_record(cell, damage), "sha256": _digest(columns)}
    arrays = [pa.array(column) for column in columns]
    names = [f"p{number}" for number in range(len(arrays))]
    table = pa.Table.from_arrays(arrays, names, metadata={_KEY: json.dumps(record).encode()})
    file = _file(cell, damage)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace_file(file, to_feather(table))
    except OSError as error:
        raise cannot_write(_runs(cell), error) from None


def copy(cell: StoredCell, to: StoredCell, order: Array | None = None) -> None:
    """Copy what belongs to a cell to the same cell of another runs folder, where that has none of it.

    Args:
        cell: as it is stored.
        to: the same cell with the same predictions, else nothing is copied; or with samples in another order.
        order: (n,) int, the place in ``cell`` of each sample of ``to``; None where the order is the same.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    present = find(cell)
    same = order is not None or cell.predictions_sha256 == to.predictions_sha256
    if not present or _folder(cell) == _folder(to) or not same:
        return
    clean = cell.table()
    for damage in lacking(to, present):
        values = read_matrix(corrupted(cell, clean, damage).table())
        write(to, damage, values if order is None else values[order])


def read_files(cell: StoredCell) -> dict[str, bytes]:
    """Return the files of what a cell predicts of corrupted images: name below the runs folder -> content."""
    files = [_file(cell, damage) for damage in find(cell)]
    return {file.relative_to(_runs(cell)).as_posix(): foreign_files.read(file, LARGEST) for file in files}


def remove(cell: StoredCell) -> None:
    """Remove all that a cell predicts of corrupted images; what cannot be removed belongs to no cell and stays."""
    with suppress(OSError):
        if _folder(cell).is_dir() and not _folder(cell).is_symlink():
            shutil.rmtree(_folder(cell))


def _runs(cell: StoredCell) -> Path:
    return cell.folder.parents[1]


def _folder(cell: StoredCell) -> Path:
    return _runs(cell) / FOLDER / cell.folder.name


def _file(cell: StoredCell, damage: Corruption) -> Path:
    seed = f"s{damage.seed}" if damage.seed else ""
    return _folder(cell) / f"{damage.kind}-{damage.severity}{seed}.feather"


def _record(cell: StoredCell, damage: Corruption) -> dict[str, object]:
    """Return what a file says of itself."""
    return {
        "schema": 1,
        "corruption": str(damage),
        "version": corruption.VERSION,
        "cell": cell.id,
        "predictions": cell.predictions_sha256,
    }


def _is_sound(cell: StoredCell, damage: Corruption) -> bool:
    try:
        _read(_file(cell, damage), _record(cell, damage))
    except (OSError, ValueError, pa.ArrowException):
        return False
    return True


def _read(file: Path, record: dict[str, object]) -> pa.Table:
    """Return the table in a file that says of itself what is expected.

    Raises:
        OSError: it cannot be read.
        ValueError: it says something else, or is damaged.
        pyarrow.ArrowException: it is no table.
    """
    table = pyarrow.ipc.open_file(foreign_files.read(file, LARGEST), options=ALONE).read_all()
    stated = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    columns = [np.ascontiguousarray(column.to_numpy()) for column in table.columns]
    if stated != {**record, "sha256": _digest(columns)}:
        raise ValueError(f"{file.name} is damaged, or of another cell or version")
    return table


def _digest(columns: Iterable[Array]) -> str:
    value = hashlib.sha256()
    for column in columns:
        value.update(f"{column.dtype} {len(column)}\n".encode() + column.tobytes())
    return value.hexdigest()
