"""Tables and records on stdout; a pipe gets more room than 80 columns."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fer_bench import console
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


def print_json(record: object) -> None:
    """Print a record on stdout as JSON."""
    from fer_bench.reports.formats import json

    console.write(json.write(record))
