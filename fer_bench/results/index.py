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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from fer_bench import atomic, foreign_files
from fer_bench.results import canonical
from fer_bench.results.canonical import Count, Record
from fer_bench.results.folders import FILES, RESULT, Content, Files, read_checksums, read_files, understand
from fer_bench.several import spread

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
AT_ONCE = 5_000
"""Cells that a process reads in one go, in half a second; of those that the index knows, ``QUICK`` times as many."""
QUICK = 3


@dataclass(frozen=True, eq=False)
class _Line:
    """A cell: the state of its files, each field of its record in canonical JSON, and what ``result.json`` holds."""

    state: str
    texts: Mapping[str, str]
    result: str


@dataclass(frozen=True, eq=False)
class _New:
    """A cell that was read: the state of its files, the last time of any, and what they hold or what is wrong."""

    state: str
    newest: int
    files: Files | str


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

    def read(self, folders: Sequence[Path]) -> Iterator[tuple[Path, Content | str]]:
        """Yield each folder with what the files of its cell say, as `read_folder` does, or why it is no intact cell.

        The files of many cells are looked at or read by several processes.
        """
        parts, room = list[list[tuple[str, str]]](), 0
        for folder in folders:
            line = self._known.get(folder.name)
            if room <= 0:
                parts.append([])
                room = AT_ONCE * QUICK
            parts[-1].append((str(folder), line.state if line else ""))
            room -= 1 if line else QUICK
        for folder, fresh in zip(folders, chain.from_iterable(spread(_read_part, parts)), strict=True):
            if isinstance(fresh, _New):
                yield folder, self._take(folder, fresh)
                continue
            line = self._known[folder.name]
            if content := _recall(folder, line, fresh):
                self._lines[folder.name] = line
                yield folder, content
            else:
                yield folder, self._take(folder, _read_new(str(folder)))

    def _take(self, folder: Path, one: _New) -> Content | str:
        """Return what a cell says that was read, and keep its line if its files are old enough to tell a change."""
        self._new += 1
        if isinstance(one.files, str):
            return one.files
        try:
            content = understand(folder, one.files)
        except ValueError as error:
            return str(error)
        if self._now is not None and one.newest <= self._now - TICK_NS:
            texts = {name: self._names.setdefault(text, text) for name, text in one.files.texts.items()}
            self._lines[folder.name] = _Line(one.state, texts, one.files.result.decode())
        return content

    def save(self) -> None:
        """Write the index if what was read differs enough from it; a store that cannot be written has none."""
        gone = len(self._known.keys() - self._lines.keys())
        if self._now is not None and (self._new + gone) * WORTH > len(self._lines) > 0:
            with suppress(OSError):
                atomic.replace_file(self._file, _dump(self._lines))


def _read_part(part: Sequence[tuple[str, str]]) -> list[_New | dict[str, str]]:
    """Read cells, each the path of its folder and the state that the index knows, empty where it knows none: return
    the checksums of a cell whose files are in this state, and all of another.
    """
    return [(state and _read_known(folder, state)) or _read_new(folder) for folder, state in part]


def _read_known(folder: str, state: str) -> dict[str, str] | None:
    """Return the checksums of a cell; None if its files are in another state, or it has none."""
    try:
        return read_checksums(folder) if _look(folder, {})[0] == state else None
    except (OSError, ValueError):
        return None


def _read_new(folder: str) -> _New:
    """Read the files of a cell."""
    states: dict[str, os.stat_result] = {}
    try:
        files = read_files(folder, states)
    except ValueError as error:
        files = str(error)
    return _New(*_look(folder, states), files)


def _read_clock(folder: Path) -> int | None:
    """Return the time of a folder's disk, whose clock may be another machine's; None if it cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _look(folder: str, states: Mapping[str, os.stat_result]) -> tuple[str, int]:
    """Return a hash of times, size and place of the files of a cell, and the last of the times.

    Args:
        folder: of the cell.
        states: of files that were opened: what counts is what was read.
    """
    values, newest = list[int](), 0
    for name in ("", *FILES):
        try:
            status = states.get(name) or os.lstat(f"{folder}{os.sep}{name}" if name else folder)
        except OSError:
            values.append(0)
            continue
        values += (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, stat.S_IFMT(status.st_mode))
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(struct.pack(f"<{len(values)}q", *values)).hexdigest(), newest


def _recall(folder: Path, line: _Line, checksums: Mapping[str, str]) -> Content | None:
    """Return what a line says of a cell; None if the cell's own hashes say otherwise."""
    try:
        result = line.result.encode()
        if checksums.get(RESULT) != hashlib.sha256(result).hexdigest():
            return None
        return understand(folder, Files(checksums, line.texts, result))
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
