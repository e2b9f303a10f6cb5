"""Cells on disk: a folder each, written beside its place and renamed into it, checked when read."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.ipc

from fer_bench import atomic
from fer_bench.errors import FerBenchError
from fer_bench.privacy import anonymise
from fer_bench.results import canonical
from fer_bench.results.encoding import encode_json, encode_records, hash_each, to_feather
from fer_bench.results.folders import (
    CELL,
    CHECKSUMS,
    HISTORY,
    PREDICTIONS,
    PROVENANCE,
    REST,
    RESULT,
    Content,
    iso_time,
    read_folder,
    read_pieces,
)
from fer_bench.results.index import Index
from fer_bench.results.outcomes import Measures, Provenance, ResultRecord
from fer_bench.results.records import Cell
from fer_bench.several import collector

if TYPE_CHECKING:
    import pandas as pd

ALONE = pyarrow.ipc.IpcReadOptions(use_threads=False)
ATTEMPTS = 100


@dataclass(frozen=True, eq=False)
class Result:
    """How a cell ended.

    Attributes:
        status: ``ok`` or ``failed``.
        error: why it failed; empty otherwise.
        measures: numbers about the work; None unless ``ok``.
        predictions: one row a test sample: ``id``, ``group``, ``label``, a categorical ``group:<name>`` for each
            attribute of the samples, ``soft0`` … where they have soft labels, then ``p0`` … for the probability of each
            class; ``found`` where faces were looked for (False: the true class has probability 0, so that every metric
            counts an error); None unless ``ok``.
        history: one row a training step or phase; may be empty.
    """

    status: Literal["ok", "failed"]
    error: str
    measures: Measures | None
    predictions: pd.DataFrame | None
    history: pd.DataFrame


@dataclass(frozen=True, eq=False)
class StoredCell:
    """A cell as read back; its files matched their checksums.

    Attributes:
        id: its sha256.
        record: ``cell.json``.
        result: ``result.json``.
        finished: when it was stored, in UTC as ISO 8601 with milliseconds.
        folder: where it lies.
        predictions_sha256: of its predictions; empty without any.
        result_sha256: of ``result.json``.
    """

    id: str
    record: Cell
    result: ResultRecord
    finished: str
    folder: Path
    predictions_sha256: str
    result_sha256: str

    @property
    def status(self) -> Literal["ok", "failed"]:
        """How it ended."""
        return self.result.status

    @property
    def ok(self) -> bool:
        """Whether it did not fail."""
        return self.result.status == "ok"

    @property
    def error(self) -> str:
        """Why it failed; empty otherwise."""
        return self.result.error

    @property
    def measures(self) -> Measures:
        """Numbers about the work of a cell that is ok."""
        assert self.result.measures is not None, "a cell that is ok has measures"
        return self.result.measures

    def table(self) -> pa.Table:
        """Read the predictions, one row a test sample; see `Result`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it changed since the cell was read.
            pyarrow.ArrowException: it is no table.
        """
        # Parquet takes five times as long to open a small file, and more room for a large one.
        content = b"".join(read_pieces(self.folder, PREDICTIONS))
        if hashlib.sha256(content).hexdigest() != self.predictions_sha256:
            raise ValueError("does not match its checksum")
        return pyarrow.ipc.open_file(content, options=ALONE).read_all()

    def holds(self, predictions: pd.DataFrame | None) -> bool:
        """Return whether the cell is ok and has these predictions, to the bit."""
        if predictions is None:
            return False
        try:
            return self.ok and bool(self.table().equals(pa.Table.from_pandas(predictions, preserve_index=False)))
        except (OSError, ValueError, pa.ArrowException):
            return False

    @functools.cached_property
    def provenance(self) -> Provenance:
        """Where it comes from.

        Raises:
            FerBenchError: the file is not what fer-bench writes.
        """
        try:
            provenance = canonical.read(Provenance, b"".join(read_pieces(self.folder, PROVENANCE)))
            if any(fold >= self.record.protocol.folds for _, fold, *_ in provenance.together):
                raise ValueError(f"together names a fold of {self.record.protocol.folds} or more")
        except (OSError, ValueError) as error:
            raise FerBenchError(
                f"The {PROVENANCE} of cell {self.id[:16]} cannot be used: {error}. Delete its folder "
                f"{str(self.folder)!r} and repeat the run to make it again."
            ) from None
        return provenance

    def files(self) -> dict[str, bytes]:
        """Read all files, as they are, by name.

        Raises:
            FerBenchError: one changed since the cell was read.
        """
        try:
            content = {name: b"".join(read_pieces(self.folder, name)) for name in (CHECKSUMS, CELL, RESULT)}
            checksums = canonical.read(dict[str, str], content[CHECKSUMS])
            content |= {name: b"".join(read_pieces(self.folder, name)) for name in sorted(checksums.keys() & REST)}
            same = all(hashlib.sha256(content[name]).hexdigest() == checksums[name] for name in checksums)
        except (OSError, ValueError, KeyError):
            same, content = False, {}
        if not same:
            raise FerBenchError(f"Cell {self.id[:16]} in {str(self.folder.parent)!r} changed while it was read.")
        return content

    def history(self) -> bytes:
        """Read ``history.csv``.

        Raises:
            OSError: it cannot be read.
        """
        return b"".join(read_pieces(self.folder, HISTORY))

    @property
    def trained_in_epochs(self) -> bool:
        """Whether it was trained by gradients, in a random order from random numbers."""
        return b"epoch" in self.history().partition(b"\n")[0].strip().split(b",")


class Store:
    """The folder of a set of runs."""

    def __init__(self, runs_dir: Path):
        self.runs_dir = runs_dir

    def ensure_writable(self) -> None:
        """Create the folder, try a file in it, and remove what killed runs left behind.

        Raises:
            FerBenchError: it cannot be created or written.
        """
        cells = self.runs_dir / "cells"
        try:
            cells.mkdir(parents=True, exist_ok=True)
            atomic.remove_stale(cells)
            with tempfile.TemporaryFile(dir=cells):  # has no name that a killed process could leave behind
                pass
        except OSError as error:
            raise cannot_write(self.runs_dir, error) from None

    def folder(self, cell_id: str) -> Path:
        """Return where a cell lies or would lie."""
        return self.runs_dir / "cells" / cell_id[:16]

    def find(self, cell: Cell) -> StoredCell | None:
        """Return ``cell`` as it is stored, None if it is not or is damaged."""
        folder = self.folder(cell.id)
        if not folder.is_dir():
            return None
        try:
            return _stored(folder, read_folder(folder))
        except ValueError:
            return None

    def read(self, cell_id: str) -> StoredCell:
        """Return a stored cell.

        Raises:
            ValueError: it is not there or damaged.
        """
        return _stored(self.folder(cell_id), read_folder(self.folder(cell_id)))

    def update(self, cell: Cell, result: Result, provenance: Provenance) -> StoredCell:
        """Store a cell as `write` does, unless it is stored with the same predictions already."""
        stored = self.find(cell)
        return stored if stored and stored.holds(result.predictions) else self.write(cell, result, provenance)

    def write(self, cell: Cell, result: Result, provenance: Provenance) -> StoredCell:
        """Store a cell at once or not at all; one of the same id is replaced.

        Raises:
            FerBenchError: the disk is full or the folder cannot be written; cells stored before are untouched.
        """
        finished = iso_time(datetime.now(UTC))
        record = ResultRecord(
            status=result.status, error=anonymise(result.error), measures=result.measures, finished=finished
        )
        files = {**encode_records(cell, provenance), RESULT: encode_json(canonical.to_json(record))}
        files[HISTORY] = result.history.to_csv(index=False).encode()
        if result.predictions is not None:
            files[PREDICTIONS] = to_feather(pa.Table.from_pandas(result.predictions, preserve_index=False))
        checksums = hash_each(files)
        files[CHECKSUMS] = encode_json(checksums)
        target = self.folder(cell.id)
        self.put(target, files)
        hashes = checksums.get(PREDICTIONS, ""), checksums[RESULT]
        return StoredCell(cell.id, cell, record, finished, target, *hashes)

    def put(self, target: Path, files: Mapping[str, bytes]) -> None:
        """Make files the whole content of a folder of a cell, at once or not at all.

        Args:
            target: within the runs folder.
            files: name -> content.

        Raises:
            FerBenchError: the disk is full or the folder cannot be written; cells stored before are untouched.
        """
        temporary = atomic.scratch(target)
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            for name, content in files.items():
                atomic.write_synced(temporary / name, content)
            _move(temporary, target)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise cannot_write(self.runs_dir, error) from None

    def take(self, cell_id: str, files: Mapping[str, bytes], beside: Mapping[str, bytes]) -> None:
        """Store a cell that another machine made, unless it is stored with the same predictions already.

        Args:
            cell_id: of the cell.
            files: of its folder, name -> content.
            beside: of what belongs to it, name below the runs folder -> content.

        Raises:
            FerBenchError: the disk is full or the folder cannot be written; cells stored before are untouched.
        """
        digest = canonical.read(dict[str, str], files[CHECKSUMS]).get(PREDICTIONS, "")
        try:
            stored = self.read(cell_id).predictions_sha256
        except ValueError:
            stored = ""
        try:
            for name, content in beside.items():
                file = self.runs_dir / name
                file.parent.mkdir(parents=True, exist_ok=True)
                atomic.replace_file(file, content)
        except OSError as error:
            raise cannot_write(self.runs_dir, error) from None
        if not digest or digest != stored:
            self.put(self.folder(cell_id), files)

    def cells(self) -> tuple[list[StoredCell], list[str]]:
        """Return all intact cells, sorted by id, and one message for each folder that is not.

        Raises:
            FerBenchError: the folder does not exist.
        """
        if self.runs_dir.is_file():
            raise FerBenchError(
                f"{str(self.runs_dir)!r} is a file; expected a runs folder. If it is a pack, "
                f"'fer-bench unpack {self.runs_dir} --into RUNS' takes its cells."
            )
        if not self.runs_dir.is_dir():
            raise FerBenchError(
                f"There is no runs folder {str(self.runs_dir)!r}. Run 'fer-bench run' first, "
                "or name another with --runs-dir."
            )
        return self.read_all()

    def read_all(self) -> tuple[list[StoredCell], list[str]]:
        """Return what `cells` does, and nothing where there is no folder."""
        folders, cells, damaged = self._folders(), list[StoredCell](), list[str]()
        with collector(False):
            index = Index(self.runs_dir, len(folders))
            for folder, content in index.read(folders):
                if isinstance(content, str):
                    damaged.append(f"{folder.name}: {content}")
                else:
                    cells.append(_stored(folder, content))
            index.save()
        return sorted(cells, key=lambda cell: cell.id), damaged

    def _folders(self) -> list[Path]:
        cells = self.runs_dir / "cells"
        if not cells.is_dir():
            return []
        with os.scandir(cells) as entries:
            folders = (entry for entry in entries if entry.is_symlink() or entry.is_dir(follow_symlinks=False))
            names = sorted(entry.name for entry in folders if not entry.name.startswith("."))
        return [cells / name for name in names]


def _stored(folder: Path, content: Content) -> StoredCell:
    checksums = content.files.checksums
    hashes = checksums.get(PREDICTIONS, ""), checksums[RESULT]
    return StoredCell(content.id, content.cell, content.result, content.finished, folder, *hashes)


def _move(source: Path, target: Path) -> None:
    """Rename a folder into its place; where another process puts the same cell there at this instant, the last stays.

    Raises:
        OSError: the place cannot be written.
    """
    for _ in range(ATTEMPTS):
        try:
            source.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        replaced = source.with_name(f".old{source.name}")
        with contextlib.suppress(FileNotFoundError):
            target.rename(replaced)
        shutil.rmtree(replaced, ignore_errors=True)
    raise OSError(errno.EEXIST, "other processes keep writing the same cell")


def cannot_write(runs_dir: Path, error: OSError) -> FerBenchError:
    """Return what to tell a user whose runs folder cannot be written."""
    return FerBenchError(
        f"Cannot write to the runs folder {str(runs_dir)!r}: {atomic.reason(error)}. "
        "Cells stored before are untouched; choose another folder with --runs-dir, then repeat the command to go on."
    )
