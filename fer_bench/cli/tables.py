"""Tables on stdout that lose nothing: names wrap, and a pipe gets more room than 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

PIPE_WIDTH = 140


def width() -> int | None:
    """Return the width to print at: None is the terminal's own."""
    return None if sys.stdout.isatty() else PIPE_WIDTH


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; cells are plain text and are never cut."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False, width=width()).print(table)
