"""Tables and records on stdout; a pipe gets more room than 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fer_bench import console
from fer_bench.errors import FerBenchError
from fer_bench.reports.table import Table

PIPE_WIDTH = 140


def terminal_text(tables: Sequence[Table]) -> str:
    """Return tables as stdout can show them."""
    from fer_bench.reports.formats import terminal

    return terminal.write(tables, None if sys.stdout.isatty() else PIPE_WIDTH, console.encoding())


def print_tables(*tables: Table) -> None:
    """Print tables on stdout."""
    console.write(terminal_text(tables))


def print_json(record: object) -> None:
    """Print a record on stdout as JSON."""
    from fer_bench.reports.formats import json

    console.write(json.write(record))


def write_file(file: Path, text: str, *, append: bool = False) -> None:
    """Write a text to a file, or add it to one; folders are made.

    Raises:
        FerBenchError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if append else "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise FerBenchError(f"Cannot write to {str(file)!r}: {error.strerror}.") from None
