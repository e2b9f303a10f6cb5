"""Read the CSV files of data sets, row by row, and report what is wrong with them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.data.files import DataFolder, FileError
from fer_bench.errors import DataError, did_you_mean

MOST_COLUMNS = 1000
"""Of a table: far more than any data set has, and few enough to look at each."""

_UNNAMED = re.compile(r"|Unnamed: \d+")
"""A column without a name, and what pandas calls it when it writes the file once more."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row of a CSV file.

    Attributes:
        line: its first line in the file, from 1; the header is line 1.
        values: column -> text, as written.
    """

    line: int
    values: dict[str, str]


def read_rows(
    folder: DataFolder,
    path: Path,
    required: Sequence[str],
    faults: Faults,
    optional: Sequence[str] = (),
    malformed: Faults | None = None,
) -> Iterator[CsvRow]:
    """Yield the rows of a UTF-8 file with a header, with or without a byte-order mark.

    Names of columns lose surrounding white space; those in ``required`` and ``optional`` may be written in upper or
    lower case. Empty lines are skipped. A file that must not be read, a header without one of ``required``, a row with
    too few or too many fields, and text that is not UTF-8 are faults.

    Args:
        folder: of the data set.
        path: the file.
        required: the columns that must be there.
        faults: collects what is wrong.
        optional: further columns that have a meaning.
        malformed: collects rows with too few or too many fields, where these are to be told from other faults.
    """
    try:
        folder.check(path)
    except FileError as error:
        faults.add(path.name, str(error))
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        line = 1
        try:
            header = _header(next(reader, []), path.name, required, optional, faults)
            if header is None:
                return
            line = reader.line_num + 1
            for fields in reader:
                if len(fields) == len(header):
                    yield CsvRow(line, dict(zip(header, fields, strict=True)))
                elif fields:
                    (faults if malformed is None else malformed).add(
                        f"{path.name}, line {line}",
                        f"has {len(fields)} fields, expected {len(header)} as in the header",
                    )
                line = reader.line_num + 1
        except UnicodeDecodeError as error:
            faults.add(f"{path.name}, from line {line} on", f"is not UTF-8 ({error.reason}); save the file as UTF-8")
        except csv.Error as error:
            faults.add(f"{path.name}, line {line}", f"cannot be parsed: {error}")


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


def _header(
    fields: Sequence[str], file: str, required: Sequence[str], optional: Sequence[str], faults: Faults
) -> list[str] | None:
    """Return the names of the columns, or None if rows cannot be read with this header."""
    if len(fields) > MOST_COLUMNS:
        faults.add(file, f"has {len(fields):,} columns, more than the {MOST_COLUMNS:,} allowed")
        return None
    known = {name.lower(): name for name in (*required, *optional)}
    header = [known.get(field.strip().lower(), field.strip()) for field in fields]
    before = len(faults)
    for name in required:
        if name not in header:
            hint = did_you_mean(name, header)
            if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
                hint = "Separate columns by ','."
            faults.add(file, f"has no column {name!r}. {hint}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        faults.add(file, f"has the column {name!r} twice" if name else "has columns without a name")
    unnamed = [name for name in header if _UNNAMED.fullmatch(name)]
    if unnamed and header.count("") < 2:
        hint = "; if it is pandas's index, write the file with index=False" if header[0] == unnamed[0] else ""
        faults.add(file, f"has a column without a name{hint}")
    return header if len(faults) == before else None
