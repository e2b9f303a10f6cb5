"""The folder of a cell: which files it has, and how they are read and checked."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fer_bench.foreign_files import pieces
from fer_bench.results import canonical, parsing
from fer_bench.results.outcomes import ResultRecord
from fer_bench.results.records import Cell

FILES = ("cell.json", "result.json", "predictions.feather", "history.csv", "provenance.json", "checksums.json")
CELL, RESULT, PREDICTIONS, HISTORY, PROVENANCE, CHECKSUMS = FILES
PARQUET = "predictions.parquet"
"""Where cells of the first format held their predictions."""
REST = frozenset((PREDICTIONS, HISTORY, PROVENANCE))
"""Files whose content is checked and not held."""
LARGEST = {PREDICTIONS: 1 << 30, HISTORY: 1 << 28}
"""Bytes that a file of a cell may have at most, else 16 MiB: one of unknown origin may claim any size."""


class Files(NamedTuple):
    """What the files of a cell hold, which matched their checksums.

    Attributes:
        checksums: name of a file -> sha256.
        texts: each field of ``cell.json`` as canonical JSON.
        result: what ``result.json`` holds.
    """

    checksums: Mapping[str, str]
    texts: Mapping[str, str]
    result: bytes


class Content(NamedTuple):
    """What the files of a cell say.

    Attributes:
        id: of the cell.
        cell: ``cell.json``.
        result: ``result.json``.
        finished: when the cell was stored, see `iso_time`.
        files: what says so.
    """

    id: str
    cell: Cell
    result: ResultRecord
    finished: str
    files: Files


def read_folder(folder: Path) -> Content:
    """Read the folder of a cell, every file of it.

    Raises:
        ValueError: a file is missing or changed, or the cell is of a newer schema or of a format that is not read; says
            which.
    """
    return understand(folder, read_files(str(folder)))


def read_files(folder: str, states: dict[str, os.stat_result] | None = None) -> Files:
    """Read every file of a cell, as `read_folder` does.

    Args:
        folder: its path.
        states: is given the state of each file when it was opened, by name.

    Raises:
        ValueError: a file is missing or changed; says which.
    """
    name = CHECKSUMS
    try:
        if stat.S_ISLNK(os.lstat(folder).st_mode):
            raise ValueError("lies behind a link; expected a folder")
        checksums = read_checksums(folder, states)
        # Each file is read once: thousands of cells are tens of thousands of files.
        pieces_of: dict[str, list[bytes]] = {}
        for name in (CELL, RESULT, *sorted(checksums.keys() & REST)):
            pieces, value = read_pieces(folder, name, states), hashlib.sha256()
            if name not in REST:
                pieces = pieces_of[name] = list(pieces)
            for piece in pieces:
                value.update(piece)
            if checksums.get(name) != value.hexdigest():
                raise ValueError("does not match its checksum")
        name = CELL
        texts = parsing.split_cell(b"".join(pieces_of[CELL]))
    except OSError as error:
        raise ValueError(f"{name} {_why(error)}") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    return Files(checksums, texts, b"".join(pieces_of[RESULT]))


def read_checksums(folder: Path | str, states: dict[str, os.stat_result] | None = None) -> dict[str, str]:
    """Return what ``checksums.json`` says; ``states`` as for `read_files`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none of a cell.
    """
    checksums = canonical.read(dict[str, str], b"".join(read_pieces(folder, CHECKSUMS, states)))
    if PARQUET in checksums:
        raise ValueError(f"of an older format, with {PARQUET}; repeat the run to make it again")
    if strange := checksums.keys() - REST - {CELL, RESULT}:
        raise ValueError(f"names {min(strange)!r}, which is no file of a cell")
    return checksums


def understand(folder: Path, files: Files) -> Content:
    """Return what the files in the folder of a cell say.

    Raises:
        ValueError: they do not make a cell; says why.
    """
    name = CELL
    try:
        key, record = parsing.join_cell(files.texts)
        name = RESULT
        result = canonical.read(ResultRecord, files.result)
        classes = len(record.dataset.classes)
        if result.status == "ok" and (result.measures is None or len(result.measures.train_counts) != classes):
            raise ValueError(f"has not the measures of {classes} classes")
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    if key[:16] != folder.name:
        raise ValueError("the folder's name is not the hash of its cell.json")
    needed = (PROVENANCE, HISTORY, PREDICTIONS) if result.status == "ok" else (PROVENANCE, HISTORY)
    if missing := [name for name in needed if name not in files.checksums]:
        raise ValueError(f"{' and '.join(missing)} is missing")
    # Cells of schema 1 do not say when they were stored.
    finished = result.finished or iso_time(datetime.fromtimestamp((folder / RESULT).stat().st_mtime, UTC))
    return Content(key, record, result, finished, files)


def read_pieces(folder: Path | str, name: str, states: dict[str, os.stat_result] | None = None) -> Iterator[bytes]:
    """Yield what a file of a cell holds, see `pieces`; ``states`` as for `read_files`."""
    tell = None if states is None else functools.partial(states.__setitem__, name)
    return pieces(f"{folder}{os.sep}{name}", LARGEST.get(name, 1 << 24), tell)


def iso_time(time: datetime) -> str:
    """Return a time as ISO 8601 with milliseconds."""
    return time.isoformat(timespec="milliseconds")


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a link; expected a file"
    return error.strerror if error.errno == errno.EFBIG and error.strerror else "is missing or cannot be read"
