"""Read the plain-text label files of data sets, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.builder import Faults

from .layout import LayoutSource


def read_lines(source: LayoutSource, path: Path, faults: Faults) -> Iterator[tuple[str, str]]:
    """Yield where (for messages) and text of each line that is not empty.

    A file that must not be read, text that is not UTF-8, and a file without any line, are faults.

    Args:
        source: the data set.
        path: the file, below the folder of its layout.
        faults: collects what is wrong.
    """
    if not source.may_read(path, faults):
        return
    name, number, empty = source.name(path), 0, True
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    empty = False
                    yield f"{name}, line {number}", line.strip()
        if empty:
            faults.add(name, "is empty")
    except UnicodeDecodeError as error:
        faults.add(f"{name}, from line {number + 1} on", f"is not UTF-8 ({error.reason}); save the file as UTF-8")
