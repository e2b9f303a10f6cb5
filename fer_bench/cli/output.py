"""Tables and records on stdout; a pipe gets more room than 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fer_bench import console
from fer_bench.reports.table import Table

PIPE_WIDTH = 140
"""Columns of a pipe. ``COLUMNS`` does not count: readline sets it wherever it is imported, also for child processes."""


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
