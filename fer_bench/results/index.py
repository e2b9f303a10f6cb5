"""What the cells of a store said when they were read last: ``index.json.z``, only a cache.

A line of the index counts for as long as no file of its cell has another time, size or place on the disk than when it
was read. What it says is checked by the cell's own hashes, not by its own: the record by the folder's name, the result
by ``checksums.json``, which is read each time. Predictions are no part of it. So a lost, damaged, older or forged index
costs time and changes no result; what it spares is opening and checking three files of each cell.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer_bench import atomic, foreign_files
from fer_bench.results import canonical
from fer_bench.results.canonical import Count, Record
from fer_bench.results.folders import (
    CELL,
    CHECKSUMS,
    HISTORY,
    PREDICTIONS,
    PROVENANCE,
    RESULT,
    Content,
    read_checksums,
    read_folder,
    understand,
)

NAME = "index.json.z"
VERSION = 1
"""Of the format; an index of another is not read."""
FEWEST = 500
"""Cells of a store that has an index; fewer are read in a tenth of a second."""
WORTH = 50
"""The index is written again where a ``WORTH``-th of the cells is not in it."""
TICK_NS = 2_000_000_000
"""Files that changed this short a time before they were read may change again within one tick of the disk's clock."""
LARGEST = 1 << 30
"""Bytes of an index."""
_FILES = (CELL, RESULT, PREDICTIONS, HISTORY, PROVENANCE, CHECKSUMS)


@dataclass(frozen=True, eq=False)
class _Line:
    """A cell: the state of its files, each field of its record in canonical JSON, and what ``result.json`` holds."""

    state: str
    texts: Mapping[str, str]
    result: str


@dataclass(frozen=True, kw_only=True)
class _Record(Record):
    """The file: distinct texts, and folder -> state, result, and the place of the text of each field of the record."""

    version: Literal[1]
    texts: tuple[str, ...]
    cells: dict[str, tuple[str, str, dict[str, Count]]]


class Index:
    """The index of a store while all of its cells are read.

    Args:
        runs_dir: of the store.
        cells: how many folders it has.
    """

    def __init__(self, runs_dir: Path, cells: int):
        self._file, self._known, self._lines, self._new = runs_dir / NAME, dict[str, _Line](), dict[str, _Line](), 0
        self._now = _read_clock(runs_dir) if cells >= FEWEST else None
        self._names: dict[str, str] = {}
        if cells >= FEWEST:
            # If anything is wrong with it, the cells are read instead.
            with suppress(OSError, ValueError, IndexError, zlib.error):
                self._known = _load(self._file)

    def read(self, folder: Path) -> Content:
        """Return what the files of a cell say, as `read_folder` does.

        Raises:
            ValueError: it is no intact cell; says why.
        """
        state, newest = _look(folder)
        line = self._known.get(folder.name)
        content = _recall(folder, line) if line and line.state == state else None
        if content is None:
            content = read_folder(folder)
            self._new += 1
            if self._now is None or newest > self._now - TICK_NS:
                return content
            texts = {name: self._names.setdefault(text, text) for name, text in content.texts.items()}
            line = _Line(state, texts, content.result_text.decode())
        assert line is not None, "what was recalled has a line"
        self._lines[folder.name] = line
        return content

    def save(self) -> None:
        """Write the index if what was read differs enough from it; a store that cannot be written has none."""
        gone = len(self._known.keys() - self._lines.keys())
        if self._now is not None and (self._new + gone) * WORTH > len(self._lines) > 0:
            with suppress(OSError):
                atomic.replace_file(self._file, _dump(self._lines))


def _read_clock(folder: Path) -> int | None:
    """Return the time of a folder's disk, whose clock may be another machine's; None if it cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _look(folder: Path) -> tuple[str, int]:
    """Return a hash of times, size and place of the files of a cell, and the last of the times."""
    values, newest, place = list[int](), 0, str(folder)
    for path in (place, *(f"{place}{os.sep}{name}" for name in _FILES)):
        try:
            status = os.lstat(path)
        except OSError:
            values.append(0)
            continue
        values += (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, stat.S_IFMT(status.st_mode))
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(struct.pack(f"<{len(values)}q", *values)).hexdigest(), newest


def _recall(folder: Path, line: _Line) -> Content | None:
    """Return what a line says of a cell; None if the cell's own hashes say otherwise."""
    try:
        checksums = read_checksums(folder)
        result = line.result.encode()
        if checksums.get(RESULT) != hashlib.sha256(result).hexdigest():
            return None
        return understand(folder, checksums, line.texts, result)
    except (OSError, ValueError):
        return None


def _load(file: Path) -> dict[str, _Line]:
    """Return folder -> line.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no index of this version; zlib.error and IndexError likewise.
    """
    content = zlib.decompressobj().decompress(foreign_files.read(file, LARGEST), LARGEST)
    index = canonical.read(_Record, content)
    return {
        folder: _Line(state, {name: index.texts[code] for name, code in codes.items()}, result)
        for folder, (state, result, codes) in index.cells.items()
    }


def _dump(lines: Mapping[str, _Line]) -> bytes:
    """Return the content of an index."""
    codes: dict[str, int] = {}
    cells = {
        folder: (
            line.state,
            line.result,
            {name: codes.setdefault(text, len(codes)) for name, text in line.texts.items()},
        )
        for folder, line in lines.items()
    }
    content = json.dumps({"version": VERSION, "texts": [*codes], "cells": cells}, ensure_ascii=False)
    return zlib.compress(content.encode(), 1)
