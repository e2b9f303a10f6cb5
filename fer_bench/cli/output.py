"""Tables and records on stdout; a pipe gets the room that ``COLUMNS`` says, else more than 80 columns."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fer_bench import console
from fer_bench.reports.table import Table

PIPE_WIDTH = 140


def terminal_text(tables: Sequence[Table]) -> str:
    """Return tables as stdout can show them."""
    from fer_bench.reports.formats import terminal

    asked = os.environ.get("COLUMNS", "")
    piped = int(asked) if asked.isdecimal() and int(asked) else PIPE_WIDTH
    return terminal.write(tables, None if sys.stdout.isatty() else piped, console.encoding())


def print_tables(*tables: Table) -> None:
    """Print tables on stdout."""
    console.write(terminal_text(tables))


def print_json(record: object) -> None:
    """Print a record on stdout as JSON."""
    from fer_bench.reports.formats import json

    console.write(json.write(record))
