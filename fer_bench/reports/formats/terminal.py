"""Tables for a terminal, a log or a pipe, without colour: nothing is cut, and names stay whole at any width.

Where a table is too wide, heads of numbers wrap, then texts, and intervals go below their numbers. Then columns are
left out, those that say nothing and optional ones first, from the right, and a line names them, once for tables in a
row that lack the same. Where that is not enough, each row becomes a few lines: its name, and its values with their
titles below.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from fer_bench.console import encodable
from fer_bench.foreign import defuse, visible
from fer_bench.reports.table import Column, Table, words

GAP = 2
"""Blanks between two columns."""

EMPTY = ("", "-")
"""Words of a cell that says nothing."""

TEXT = 24
"""Columns of text that are wider may wrap, between words if they are names, before columns are left out."""


def write(tables: Sequence[Table], width: int | None = None, encoding: str = "utf-8") -> str:
    """Return tables as lines.

    Args:
        tables: what to write.
        width: columns; None is the terminal's own.
        encoding: what it lacks is written in ASCII.
    """

    def plain(part: str) -> str:
        return encodable(visible(part), encoding)

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    shown, apart = set[str](), False
    forms = [_fit(table, console, plain) for table in tables]
    for place, (table, (form, left_out)) in enumerate(zip(tables, forms, strict=True)):
        if apart:
            console.print()
        if table.title:
            console.print(Text(plain(table.title)))
        lines = list[str]()
        if table.columns:
            if isinstance(form, Group):
                console.print(form)
            else:
                console.file.writelines(f"{line}\n" for line in form)
            shown.update(column.title for column in table.columns if column.title not in left_out)
        if left_out and left_out not in [others for _, others in forms[place + 1 : place + 2]]:
            lines = [f"Left out at this width: {', '.join(left_out)}."]
        lines += table.below(shown)
        for line in lines:
            console.print(Text(plain(line)))
        apart = bool(lines or isinstance(form, Group) or (table.title and not table.columns))
    assert isinstance(console.file, io.StringIO)
    written = [line.rstrip() + "\n" for line in console.file.getvalue().splitlines()]
    apart_by_one = (line for before, line in zip(["\n", *written], written, strict=False) if {before, line} != {"\n"})
    return encodable(defuse("".join(apart_by_one)), encoding)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """How wide a column is on a terminal.

    Attributes:
        head: its title, in one line; ``head_word``: the longest word of it.
        line: the longest line of its rows; ``word``: the longest word of them; ``part``: the longest line where
            intervals stand below their numbers.
    """

    head: int
    head_word: int
    line: int
    word: int
    part: int


def _fit(table: Table, console: Console, plain: Callable[[str], str]) -> tuple[Group | Iterator[str], list[str]]:
    """Return the fullest form of a table that fits, lines if it is a grid, and the titles of columns that it leaves
    out.
    """
    columns, width = range(len(table.columns)), console.width
    sizes = [_measure(table, place, plain) for place in columns]
    too_wide = sum(max(size.head, size.line) + GAP for size in sizes) > width
    for kept in _forms(table, too_wide):
        for tight in range(3):
            chosen = [table.columns[place] for place in kept], [sizes[place] for place in kept]
            if (widths := _find_widths(*chosen, width, tight=tight)) is not None:
                left_out = [table.columns[place].title for place in columns if place not in kept]
                return _grid(_pick(table, kept), widths, plain, console), left_out
    kept = [place for place in columns if not table.columns[place].optional]
    return _stack(_pick(table, kept), plain), [column.title for column in table.columns if column.optional]


def _measure(table: Table, place: int, plain: Callable[[str], str]) -> _Sizes:
    """Return how wide a column is."""
    head, texts = plain(table.columns[place].title), {words(row[place]) for row in table.rows}
    lines = {line for one in texts for line in plain(one).split("\n")}
    return _Sizes(
        head=cell_len(head),
        head_word=max(map(cell_len, head.split(" "))),
        line=max(map(cell_len, lines), default=0),
        word=max((cell_len(word) for line in lines for word in line.split(" ")), default=0),
        part=max((cell_len(part) for line in lines for part in _below(line).split("\n")), default=0),
    )


def _below(text: str) -> str:
    """Return a number with its interval in a line below it."""
    return text.replace(" (", "\n(", 1)


def _forms(table: Table, too_wide: bool) -> Iterator[list[int]]:
    """Yield the places of ever fewer columns; of a table that is too wide, none that says nothing.

    Optional columns go first, then numbers, the last ones first; names and two numbers stay.
    """
    places = [
        place
        for place in range(len(table.columns))
        if not (too_wide and place and all(words(row[place]) in EMPTY for row in table.rows))
    ]
    optional = [place for place in places if table.columns[place].optional]
    numbers = [place for place in places if table.columns[place].kind == "number" and place not in optional]
    order = [*reversed(optional), *reversed(numbers[2:])]
    for count in range(len(order) + 1):
        yield [place for place in places if place not in order[:count]]


def _pick(table: Table, places: Sequence[int]) -> Table:
    """Return a table with some of its columns."""
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in places), rows=rows)


def _names(columns: Sequence[Column]) -> int:
    """Return how many of the first columns name a row: the texts before its numbers, or the first if all are texts."""
    texts = len(list(takewhile(lambda column: column.kind == "text", columns)))
    return texts if texts < len(columns) else 1


def _find_widths(columns: Sequence[Column], sizes: Sequence[_Sizes], width: int, *, tight: int) -> list[int] | None:
    """Return the width of each column; None where they are too wide together.

    The first column and numbers stay whole, and so do words of names; with ``tight`` 1 columns of numbers are no wider
    than they and the words of the head are, and with 2 their intervals stand below them.
    """
    wholes, least = list[int](), list[int]()
    for place, (column, size) in enumerate(zip(columns, sizes, strict=True)):
        number = column.kind == "number"
        head, line = (size.head_word if tight else size.head), (size.part if tight > 1 else size.line)
        wholes.append(max(head, line) if number else max(size.head, size.line))
        longest = max(size.head_word, size.word) if place < _names(columns) else 0
        least.append(wholes[-1] if number or not place else min(wholes[-1], max(TEXT, longest)))
    room = width - GAP * len(wholes)
    return None if sum(least) > room else _widths(wholes, least, room)


def _grid(table: Table, widths: Sequence[int], plain: Callable[[str], str], console: Console) -> Iterator[str]:
    """Yield the lines of a table."""
    columns = table.columns
    yield ""
    yield from _join([plain(column.title) for column in columns], columns, widths, console, head=True)
    yield " " + "─" * (sum(widths) + GAP * (len(columns) - 1))
    for row in table.rows:
        yield from _join([plain(words(cell)) for cell in row], columns, widths, console)
    yield ""


def _join(
    texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int], console: Console, *, head: bool = False
) -> Iterator[str]:
    """Yield the lines of a row; a head stands at the bottom.

    Only what is wider than its column goes through rich, which takes a millisecond for a row.
    """
    whole = [
        [text]
        if cell_len(text) <= width and "\n" not in text
        else [
            line.plain
            for line in Text(_below(text) if column.kind == "number" and not head else text).wrap(
                console, width, overflow="fold"
            )
        ]
        for text, column, width in zip(texts, columns, widths, strict=True)
    ]
    height = max(map(len, whole))
    for line in range(height):
        parts = list[str]()
        for lines, column, width in zip(whole, columns, widths, strict=True):
            place = line - (height - len(lines) if head else 0)
            part = lines[place] if 0 <= place < len(lines) else ""
            part = part.rstrip() if column.kind == "number" else part
            blanks = " " * (width - cell_len(part))
            parts.append(f"{blanks}{part}" if column.kind == "number" else f"{part}{blanks}")
        yield " " + (" " * GAP).join(parts)


def _widths(wholes: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the width of each column: at least ``least``, at most what it needs, the narrowest widened first."""
    widths = list(least)
    for _ in range(room - sum(least)):
        short = [place for place, whole in enumerate(wholes) if widths[place] < whole]
        if not short:
            break
        widths[min(short, key=lambda place: widths[place])] += 1
    return widths


def _stack(table: Table, plain: Callable[[str], str]) -> Group:
    """Return a few lines for each row: its first cell that says something, then the others with their titles."""
    lines: list[RenderableType] = [Text()]
    for row in table.rows:
        titled = [(column.title, words(cell)) for column, cell in zip(table.columns, row, strict=True)]
        (_, name), *others = [(title, part) for title, part in titled if part not in EMPTY] or [("", "-")]
        lines.append(Text(plain(name)))
        lines += [Padding(Text(plain(f"{title}: {part}")), (0, 0, 0, 2)) for title, part in others]
    return Group(*lines)
