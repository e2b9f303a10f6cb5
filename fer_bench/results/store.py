"""Cells on disk: a folder each, written beside its place and renamed into it, checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc

from fer_bench.errors import FerBenchError
from fer_bench.privacy import anonymise
from fer_bench.results.cell import SCHEMA, Cell, record_id

if TYPE_CHECKING:
    import pandas as pd

CELL, RESULT, PREDICTIONS, HISTORY, PROVENANCE, CHECKSUMS = (
    "cell.json",
    "result.json",
    "predictions.feather",
    "history.csv",
    "provenance.json",
    "checksums.json",
)
PARQUET = "predictions.parquet"
"""Where cells of the first format held their predictions."""

PIECE = 1 << 16
"""Bytes that are read at once: more than most files hold, and no new memory page for each of them."""
ALONE = pyarrow.ipc.IpcReadOptions(use_threads=False)
READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, eq=False)
class Result:
    """How a cell ended.

    Attributes:
        status: ``ok`` or ``failed``.
        error: why it failed; empty otherwise.
        measures: numbers about the work: ``parameters``, ``trained_parameters``, ``seconds``, ``train_counts`` (samples
            per class in the training part), and what the strategy adds.
        predictions: one row a test sample: ``id``, ``group``, ``label``, a categorical ``group:<name>`` for each
            attribute of the samples, ``soft0`` … where they have soft labels, then ``p0`` … for the probability of each
            class; ``found`` where faces were looked for (False: the true class has probability 0, so that every metric
            counts an error); None unless ``ok``.
        history: one row a training step or phase; may be empty.
    """

    status: Literal["ok", "failed"]
    error: str
    measures: dict[str, Any]
    predictions: pd.DataFrame | None
    history: pd.DataFrame


@dataclass(frozen=True, eq=False)
class StoredCell:
    """A cell as read back; its files matched their checksums.

    Attributes:
        id: its sha256.
        record: ``cell.json``.
        status: as in `Result`; likewise ``error`` and ``measures``.
        finished: when it was stored, in UTC as ISO 8601 with milliseconds.
        folder: where it lies.
    """

    id: str
    record: dict[str, Any]
    status: str
    error: str
    measures: dict[str, Any]
    finished: str
    folder: Path

    def predictions(self) -> pd.DataFrame:
        """Read the predictions, one row a test sample."""
        return _read_table(str(self.folder / PREDICTIONS)).to_pandas()

    def provenance(self) -> dict[str, Any]:
        """Read where it comes from: see `fer_bench.results.provenance.collect`."""
        return json.loads((self.folder / PROVENANCE).read_text(encoding="utf-8"))


def read_predictions(cells: Sequence[StoredCell]) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """Read the predictions of several cells into one table, in the order given.

    Returns:
        The columns that all of them have; and (n,) int32, the place of each row's cell among ``cells``.
    """
    tables = [_read_table(f"{cell.folder}{os.sep}{PREDICTIONS}") for cell in cells]
    schemas = [table.schema for table in tables]
    if any(not schema.equals(schemas[0]) for schema in schemas):
        names = [name for name in schemas[0].names if all(name in schema.names for schema in schemas)]
        tables = [_with_plain_categories(table.select(names)) for table in tables]
    place = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
    return pa.concat_tables(tables), place


def _with_plain_categories(table: pa.Table) -> pa.Table:
    """Return the table with categories as text: their type in a file hangs on how many there are, if any."""
    schema = table.schema
    for place, column in enumerate(schema):
        if column.name.startswith("group:"):
            schema = schema.set(place, column.with_type(pa.large_string()))
    return table.cast(schema)


def _read_table(file: str) -> pa.Table:
    # Parquet takes five times as long to open a small file, and more room for a large one.
    return pyarrow.ipc.open_file(_content(file), options=ALONE).read_all()


class Store:
    """The folder of a set of runs.

    Raises:
        FerBenchError: it cannot be created or written.
    """

    def __init__(self, runs_dir: Path):
        self.runs_dir = runs_dir

    def ensure_writable(self) -> None:
        """Create the folder and try a file in it.

        Raises:
            FerBenchError: it cannot be created or written.
        """
        cells = self.runs_dir / "cells"
        try:
            cells.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cells):  # has no name that a killed process could leave behind
                pass
        except OSError as error:
            raise _cannot_write(self.runs_dir, error) from None

    def folder(self, cell_id: str) -> Path:
        """Return where a cell lies or would lie."""
        return self.runs_dir / "cells" / cell_id[:16]

    def status(self, cell: Cell) -> str | None:
        """Return the status of ``cell`` if it is stored intact, else None."""
        folder = self.folder(cell.id)
        if not folder.is_dir():
            return None
        try:
            return _read(folder).status
        except ValueError:
            return None

    def read(self, cell_id: str) -> StoredCell:
        """Return a stored cell.

        Raises:
            ValueError: it is not there or damaged.
        """
        return _read(self.folder(cell_id))

    def write(self, cell: Cell, result: Result, provenance: dict[str, Any]) -> StoredCell:
        """Store a cell at once or not at all; one of the same id is replaced.

        Raises:
            FerBenchError: the disk is full or the folder cannot be written; cells stored before are untouched.
        """
        target = self.folder(cell.id)
        temporary = target.with_name(f".{target.name}-{os.getpid()}")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            _write_json(temporary / CELL, cell.record())
            ended = {"status": result.status, "error": anonymise(result.error), "finished": _format(datetime.now(UTC))}
            _write_json(temporary / RESULT, {**ended, "measures": result.measures})
            _write_json(temporary / PROVENANCE, provenance)
            if result.predictions is not None:
                table = pa.Table.from_pandas(result.predictions, preserve_index=False)
                pyarrow.feather.write_feather(table, str(temporary / PREDICTIONS), compression="lz4")
            result.history.to_csv(temporary / HISTORY, index=False)
            names = sorted(file.name for file in temporary.iterdir())
            _write_json(temporary / CHECKSUMS, {name: _sha256(temporary / name) for name in names})
            _sync(temporary)
            if target.exists():
                replaced = target.with_name(f".{target.name}-{os.getpid()}-old")
                target.rename(replaced)
                temporary.rename(target)
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                temporary.rename(target)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise _cannot_write(self.runs_dir, error) from None
        return _read(target)

    def cells(self) -> tuple[list[StoredCell], list[str]]:
        """Return all intact cells, sorted by id, and one message for each folder that is not.

        Raises:
            FerBenchError: the folder does not exist.
        """
        if not self.runs_dir.is_dir():
            raise FerBenchError(
                f"There is no runs folder {str(self.runs_dir)!r}. Run 'fer-bench run' first, "
                "or name another with --runs-dir."
            )
        found = [_read_or_say(folder) for folder in self._folders()]
        cells = [cell for cell in found if isinstance(cell, StoredCell)]
        damaged = [message for message in found if isinstance(message, str)]
        return sorted(cells, key=lambda cell: cell.id), damaged

    def _folders(self) -> list[Path]:
        cells = self.runs_dir / "cells"
        if not cells.is_dir():
            return []
        with os.scandir(cells) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        return [cells / name for name in names]


def _read_or_say(folder: Path) -> StoredCell | str:
    """Read a cell, or say what is wrong with it."""
    try:
        return _read(folder)
    except ValueError as error:
        return f"{folder.name}: {error}"


def _read(folder: Path) -> StoredCell:
    """Read a cell.

    Raises:
        ValueError: a file is missing or changed, or the cell is of a newer schema or of a format that is not read; says
            which.
    """
    place = f"{folder}{os.sep}"
    try:
        checksums = json.loads(_content(place + CHECKSUMS).decode())
        held: dict[str, bytes] = {}  # each file is read once: thousands of cells are tens of thousands of files
        for name, expected in checksums.items():
            content = _content(place + name)
            if hashlib.sha256(content).hexdigest() != expected:
                raise ValueError(f"{name} does not match its checksum")
            if name in (CELL, RESULT):
                held[name] = content
        record, result = (json.loads((held.get(name) or _content(place + name)).decode()) for name in (CELL, RESULT))
        schema = record["schema"]
        if schema > SCHEMA:
            raise ValueError(f"written by a newer fer-bench (schema {schema}, this one reads up to {SCHEMA})")
        key = record_id(record)
        if key[:16] != folder.name:
            raise ValueError("the folder's name is not the hash of its cell.json")
        if PARQUET in checksums:
            raise ValueError(f"of an older format, with {PARQUET}; repeat the run to make it again")
        if missing := [name for name in _needed(result["status"]) if name not in checksums]:
            raise ValueError(f"{' and '.join(missing)} is missing")
        # Cells of schema 1 do not say when they were stored.
        finished = result.get("finished") or _format(datetime.fromtimestamp((folder / RESULT).stat().st_mtime, UTC))
        return StoredCell(key, record, result["status"], result["error"], result["measures"], finished, folder)
    except OSError as error:
        raise ValueError(f"{Path(error.filename or CHECKSUMS).name} is missing or cannot be read") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a cell of fer-bench: {type(error).__name__} {error}") from None


def _format(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _needed(status: str) -> tuple[str, ...]:
    return (PROVENANCE, HISTORY, PREDICTIONS) if status == "ok" else (PROVENANCE, HISTORY)


def _write_json(file: Path, value: object) -> None:
    file.write_text(
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _content(file: str) -> bytes:
    """Return what a file holds; `open` and `Path` take longer than the reading of a small one."""
    descriptor = os.open(file, READ)
    try:
        pieces = [os.read(descriptor, PIECE)]
        while len(pieces[-1]) == PIECE:
            pieces.append(os.read(descriptor, PIECE))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(descriptor)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Flush the files to disk, so that a rename never shows a folder that a power cut then empties."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def _cannot_write(runs_dir: Path, error: OSError) -> FerBenchError:
    return FerBenchError(
        f"Cannot write to the runs folder {str(runs_dir)!r}: {error.strerror or error}. "
        "Cells stored before are untouched; "
        "free some space or choose another folder with --runs-dir, then repeat the command to go on."
    )
