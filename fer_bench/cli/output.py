"""Tables and records on stdout; a pipe gets more room than 80 columns."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fer_bench import atomic, console
from fer_bench.reports.table import Table

PIPE_WIDTH = 140
"""Columns of a file, and of a pipe where ``COLUMNS`` does not say how many."""
LEAST = 20
"""Fewer columns than any table can be read in: ``COLUMNS`` below it says nothing."""


def terminal_text(tables: Sequence[Table]) -> str:
    """Return tables as stdout can show them."""
    from fer_bench.reports.formats import terminal

    return terminal.write(tables, None if sys.stdout.isatty() else _pipe_width(), console.encoding())


def _pipe_width() -> int:
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and LEAST <= int(asked) <= 10_000 else PIPE_WIDTH


def print_tables(*tables: Table) -> None:
    """Print tables on stdout."""
    console.write(terminal_text(tables))


def write_file(file: Path, content: str | bytes, what: str) -> None:
    """Write a file that a user asked for beside what is printed, and say so on stderr; see `atomic.write_file`."""
    atomic.write_file(file, content, what)
    console.warn(f"Written to {file}: {what}.")


def print_json(record: object) -> None:
    """Print a record on stdout as JSON."""
    from fer_bench.reports.formats import json

    console.write(json.write(record))
