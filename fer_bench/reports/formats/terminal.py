"""Tables for a terminal, a log or a pipe, without colour. Nothing is cut: names wrap."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from fer_bench.console import encodable
from fer_bench.foreign import defuse, visible
from fer_bench.reports.table import Column, Table, words

GAP = 2
"""Blanks between two columns."""

NAME = 20
"""Columns of text that are wider may wrap before optional columns are left out."""


def write(tables: Sequence[Table], width: int | None = None, encoding: str = "utf-8") -> str:
    """Return tables as lines.

    Where a table is too wide, its optional columns are left out, the last ones first; then names share a column.

    Args:
        tables: what to write.
        width: columns; None is the terminal's own.
        encoding: what it lacks is written in ASCII.
    """

    def text(part: str) -> Text:
        return Text(encodable(visible(part), encoding))

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    for before, table in zip((Table(), *tables), tables, strict=False):
        if before.notes or (before.title and not before.columns):
            console.print()
        if table.title:
            console.print(text(table.title))
        if table.columns:
            console.print(_fit(table, console, text))
        for note in table.notes:
            console.print(text(note))
    assert isinstance(console.file, io.StringIO)
    lines = (line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
    return encodable(defuse("".join(lines)), encoding)


def _fit(table: Table, console: Console, text: Callable[[str], Text]) -> Grid:
    """Return the widest form of a table that fits, or the narrowest, in which short names will wrap too."""
    grid = Grid()
    for form, tight in _forms(table):
        grid, width = _grid(form, text, tight=tight)
        if width <= console.width:
            break
    return grid


def _forms(table: Table) -> Iterator[tuple[Table, bool]]:
    """Yield ever narrower forms of a table, and whether heads of numbers wrap."""
    yield from ((table, False), (table, True))
    for place in reversed(range(len(table.columns))):
        if table.columns[place].optional:
            rows = tuple(row[:place] + row[place + 1 :] for row in table.rows)
            table = replace(table, columns=table.columns[:place] + table.columns[place + 1 :], rows=rows)
            yield from ((table, False), (table, True))
    names = len(list(takewhile(lambda column: column.kind == "text", table.columns)))
    if 1 < names < len(table.columns):
        title = ", ".join(column.title for column in table.columns[:names])
        heads = [", ".join(part for part in map(words, row[:names]) if part not in ("", "-")) for row in table.rows]
        rows = tuple((head, *row[names:]) for head, row in zip(heads, table.rows, strict=True))
        yield replace(table, columns=(Column(title), *table.columns[names:]), rows=rows), True


def _grid(table: Table, text: Callable[[str], Text], *, tight: bool) -> tuple[Grid, int]:
    """Return a table for rich, which never sees foreign text as its markup, and the width that it needs.

    Numbers stay whole; with ``tight`` their columns are no wider than they and the words of the head are.
    """
    cells = [[text(words(cell)) for cell in row] for row in table.rows]
    grid, width = Grid(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True), 0
    for place, column in enumerate(table.columns):
        number, head = column.kind == "number", text(column.title)
        heads = head.split(" ") if tight and number else [head]
        lines = [line for part in (*heads, *(row[place] for row in cells)) for line in part.split("\n")]
        whole = max(line.cell_len for line in lines)
        if number:
            grid.add_column(head, justify="right", width=whole, overflow="fold")
        else:
            grid.add_column(head, overflow="fold")
        width += GAP + (whole if number else min(whole, NAME))
    for row in cells:
        grid.add_row(*row)
    return grid, width
