"""Tables for a terminal, a log or a pipe, without colour: nothing is cut, and names stay whole at any width.

Where a table is too wide, heads of numbers wrap, then texts. Then columns are left out, optional ones first, from the
right, and a line names them. Where that is not enough, each row becomes a few lines: its name, and its values below.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from fer_bench.console import encodable
from fer_bench.foreign import defuse, visible
from fer_bench.reports.table import Table, words

GAP = 2
"""Blanks between two columns."""

TEXT = 24
"""Columns of text that are wider may wrap, between words if they are names, before columns are left out."""


def write(tables: Sequence[Table], width: int | None = None, encoding: str = "utf-8") -> str:
    """Return tables as lines.

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
            form, left_out = _fit(table, console.width, text)
            console.print(form)
            if left_out:
                console.print(text(f"Left out at this width: {', '.join(left_out)}."))
        for note in table.notes:
            console.print(text(note))
    assert isinstance(console.file, io.StringIO)
    lines = (line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
    return encodable(defuse("".join(lines)), encoding)


def _fit(table: Table, width: int, text: Callable[[str], Text]) -> tuple[RenderableType, list[str]]:
    """Return the fullest form of a table that fits, and the titles of columns that it leaves out."""
    for form, left_out in _forms(table):
        for tight in (False, True):
            if grid := _grid(form, width, text, tight=tight):
                return grid, left_out
    optional = [place for place, column in enumerate(table.columns) if column.optional]
    return _stack(_without(table, optional), text), [table.columns[place].title for place in optional]


def _forms(table: Table) -> Iterator[tuple[Table, list[str]]]:
    """Yield a table with ever fewer columns, and the titles that are gone.

    Optional columns go first, then numbers, the last ones first; names and two columns stay.
    """
    columns = table.columns
    optional = [place for place, column in enumerate(columns) if column.optional]
    numbers = [place for place, column in enumerate(columns) if column.kind == "number" and not column.optional]
    order = [*reversed(optional), *reversed(numbers[2:])]
    for count in range(len(order) + 1):
        gone = sorted(order[:count])
        yield _without(table, gone), [columns[place].title for place in gone]


def _without(table: Table, places: Sequence[int]) -> Table:
    kept = [place for place in range(len(table.columns)) if place not in places]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)


def _names(table: Table) -> int:
    """Return how many of the first columns name a row: the texts before its numbers, or the first of texts alone."""
    texts = len(list(takewhile(lambda column: column.kind == "text", table.columns)))
    return texts if texts < len(table.columns) else 1


def _grid(table: Table, width: int, text: Callable[[str], Text], *, tight: bool) -> Grid | None:
    """Return a table for rich, which never sees foreign text as its markup; None where it is too wide.

    The first column and numbers stay whole, and so do words of names; with ``tight`` columns of numbers are no wider
    than they and the words of the head are.
    """
    cells = [[text(words(cell)) for cell in row] for row in table.rows]
    wholes, least = list[int](), list[int]()
    for place, column in enumerate(table.columns):
        head, number = text(column.title), column.kind == "number"
        heads = head.split(" ") if tight and number else [head]
        parts = [*heads, *(line for row in cells for line in row[place].split("\n"))]
        wholes.append(max(part.cell_len for part in parts))
        longest = max(word.cell_len for part in parts for word in part.split(" ")) if place < _names(table) else 0
        least.append(wholes[-1] if number or not place else min(wholes[-1], max(TEXT, longest)))
    room = width - GAP * len(wholes)
    if sum(least) > room:
        return None
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column, own in zip(table.columns, _widths(wholes, least, room), strict=True):
        justify = "right" if column.kind == "number" else "left"
        grid.add_column(text(column.title), justify=justify, width=own, overflow="fold")
    for row in cells:
        grid.add_row(*row)
    return grid


def _widths(wholes: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the width of each column: at least ``least``, at most what it needs, the narrowest widened first."""
    widths = list(least)
    for _ in range(room - sum(least)):
        short = [place for place, whole in enumerate(wholes) if widths[place] < whole]
        if not short:
            break
        widths[min(short, key=lambda place: widths[place])] += 1
    return widths


def _stack(table: Table, text: Callable[[str], Text]) -> Group:
    """Return a few lines for each row: its names, which are the texts before its numbers, then the other columns."""
    names = _names(table)
    lines: list[RenderableType] = [Text()]
    for row in table.rows:
        said = [words(cell) for cell in row]
        lines.append(text(", ".join(part for part in said[:names] if part not in ("", "-"))))
        for column, part in zip(table.columns[names:], said[names:], strict=True):
            if part not in ("", "-"):
                lines.append(Padding(text(f"{column.title}: {part}"), (0, 0, 0, 2)))
    return Group(*lines)
