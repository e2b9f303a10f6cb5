"""Read the tables of data sets, CSV, TSV or Parquet, row by row, and report what is wrong with them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fer_bench.data.builder import Faults
from fer_bench.data.files import DataFolder, FileError
from fer_bench.data.texts import listed, plain
from fer_bench.errors import DataError, did_you_mean
from fer_bench.sizes import number_of

SUFFIXES = (".csv", ".tsv", ".parquet")
"""Of the tables that people describe their own pictures by."""
MOST_COLUMNS = 1000
"""Of a table: far more than any data set has, and few enough to look at each."""
BLOCK = 4096
"""Rows of Parquet that are Python objects at a time."""

_UNNAMED = re.compile(r"|Unnamed: \d+")
"""A column without a name, and what pandas calls it when it writes the file once more."""
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        at: where in the file, for messages: ``line 2``, from 1 and with the header; in Parquet ``row 1``.
        values: column -> text, as written.
    """

    at: str
    values: dict[str, str]


@dataclass(frozen=True)
class Headings:
    """The columns of a table that have a meaning.

    Attributes:
        required: the columns that must be there.
        optional: further ones; all these may be written in upper or lower case.
        others: column -> names that other people give it, which will do where the column itself is not there.
    """

    required: Sequence[str]
    optional: Sequence[str] = ()
    others: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def read_rows(
    folder: DataFolder,
    path: Path,
    headings: Headings | Sequence[str],
    faults: Faults,
    malformed: Faults | None = None,
    notices: list[str] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a table: UTF-8 text with a header, with or without a byte-order mark; or Parquet.

    The suffix says which. Names of columns lose surrounding white space. Empty lines are skipped. A file that must not
    be read, a header without a required column, a row with too few or too many fields, and text that is not UTF-8 are
    faults.

    Args:
        folder: of the data set.
        path: the file.
        headings: the columns that have a meaning; names only are required ones.
        faults: collects what is wrong.
        malformed: collects rows with too few or too many fields, where these are to be told from other faults.
        notices: collects which columns were taken under another name.
    """
    try:
        folder.check(path)
    except FileError as error:
        faults.add(path.name, str(error))
        return
    before = len(faults)
    lines = _read_parquet(path, faults) if path.suffix.lower() == ".parquet" else _read_text(path, faults)
    _, fields = next(lines, ("", []))
    if len(faults) > before:
        return
    known = headings if isinstance(headings, Headings) else Headings(headings)
    header = _header(fields, path.name, known, faults, [] if notices is None else notices)
    for at, fields in lines if header else ():
        assert header is not None
        if len(fields) == len(header):
            yield Row(at, dict(zip(header, fields, strict=True)))
        elif fields:
            (faults if malformed is None else malformed).add(
                f"{path.name}, {at}", f"has {number_of(len(fields), 'field')}, expected {len(header)} as in the header"
            )


def find_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the file in ``folder`` that has one of ``names``, in upper or lower case; None if there is none.

    Raises:
        DataError: there are several.
    """
    wanted = {name.lower() for name in names}
    found = sorted(entry.name for entry in os.scandir(folder) if entry.name.lower() in wanted)
    if len(found) > 1:
        raise DataError(
            f"{str(folder)!r} holds {' and '.join(map(repr, found))}, which are the same thing twice. Leave one of "
            "them there."
        )
    return folder / found[0] if found else None


def _read_text(path: Path, faults: Faults) -> Iterator[tuple[str, list[str]]]:
    """Yield where and fields of each line, the header first."""
    dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, line = csv.reader(file, dialect, strict=True), 1
        try:
            for fields in reader:
                yield f"line {line}", fields
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            faults.add(f"{path.name}, from line {line} on", f"is not UTF-8 ({error.reason}); save the file as UTF-8")
        except csv.Error as error:
            faults.add(f"{path.name}, line {line}", f"cannot be parsed: {error}")


def _read_parquet(path: Path, faults: Faults) -> Iterator[tuple[str, list[str]]]:
    """Yield where and fields of each row, the header first; a missing value is an empty text."""
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not _PANDAS_INDEX.fullmatch(name)]
            yield "header", names
            before = 0
            for batch in file.iter_batches(BLOCK, columns=names):
                columns: list[list[str]] = []
                for name, column in zip(names, batch.columns, strict=True):
                    try:
                        columns.append(listed(plain(plain(column).fill_null(""))))
                    except pa.ArrowException:
                        faults.add(
                            path.name, f"has the column {name!r} of type {column.type}, expected text or numbers"
                        )
                        return
                for row, fields in enumerate(zip(*columns, strict=True), start=before + 1):
                    yield f"row {row}", list(fields)
                before += len(batch)
    except (pa.ArrowException, OSError) as error:
        faults.add(path.name, f"cannot be read as Parquet: {error}")


def _header(
    fields: Sequence[str], file: str, headings: Headings, faults: Faults, notices: list[str]
) -> list[str] | None:
    """Return the names of the columns, or None if rows cannot be read with this header."""
    if len(fields) > MOST_COLUMNS:
        faults.add(file, f"has {number_of(len(fields), 'column')}, more than the {MOST_COLUMNS:,} allowed")
        return None
    known = {name.lower(): name for name in (*headings.required, *headings.optional)}
    header = [known.get(field.strip().lower(), field.strip()) for field in fields]
    before, doubtful = len(faults), set[str]()
    for name, others in headings.others.items():
        taken = [other for other in header if name not in header and other.lower() in others]
        if len(taken) == 1:
            header[header.index(taken[0])] = name
            notices.append(f"{file}: the column {taken[0]!r} is read as {name!r}")
        elif taken:
            doubtful.add(name)
            faults.add(file, f"has {' and '.join(map(repr, taken))}; rename the one that is the {name} to {name!r}")
    for name in headings.required:
        if name not in header and name not in doubtful:
            hint = did_you_mean(name, header)
            if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
                hint = "Separate columns by ',', or call a file with tabs '.tsv'."
            faults.add(file, f"has no column {name!r}. {hint}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        faults.add(file, f"has the column {name!r} twice" if name else "has columns without a name")
    unnamed = [name for name in header if _UNNAMED.fullmatch(name)]
    if unnamed and header.count("") < 2:
        hint = "; if it is pandas's index, write the file with index=False" if header[0] == unnamed[0] else ""
        faults.add(file, f"has a column without a name{hint}")
    return header if len(faults) == before else None
