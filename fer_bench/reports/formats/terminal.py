"""Tables for a terminal, a log or a pipe, without colour. Nothing is cut: names wrap."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from fer_bench.console import encodable
from fer_bench.foreign import defuse, visible
from fer_bench.reports.table import Table, words

UNLIMITED = 10_000


def write(tables: Sequence[Table], width: int | None = None, encoding: str = "utf-8") -> str:
    """Return tables as lines.

    Args:
        tables: their optional columns are left out, the last ones first, as far as the width asks for it.
        width: columns; None is the terminal's own.
        encoding: what it lacks is written in ASCII.
    """

    def text(part: str) -> Text:
        return Text(encodable(visible(part), encoding))

    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    for table in tables:
        if table.title:
            console.print(text(table.title))
        if table.columns:
            cells = [[text(words(cell)) for cell in row] for row in table.rows]
            places = list(range(len(table.columns)))
            while _width(console, _grid(table, cells, places, text, stacked=True)) > console.width:
                if (last := next((i for i in reversed(places) if table.columns[i].optional), None)) is None:
                    break
                places.remove(last)
            console.print(_grid(table, cells, places, text))
        for note in table.notes:
            console.print(text(note))
    assert isinstance(console.file, io.StringIO)
    lines = (line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
    return encodable(defuse("".join(lines)), encoding)


def _grid(
    table: Table,
    cells: Sequence[Sequence[Text]],
    places: Sequence[int],
    text: Callable[[str], Text],
    stacked: bool = False,
) -> Grid:
    """Return the columns in ``places`` for rich, which never sees foreign text as its markup.

    Numbers stay whole; their heads wrap where that makes room, with ``stacked`` at every space.
    """
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place in places:
        column = table.columns[place]
        if column.kind == "text":
            grid.add_column(text(column.title), overflow="fold")
        else:
            head = column.title.replace(" ", "\n") if stacked else column.title
            whole = max((row[place].cell_len for row in cells), default=1)
            grid.add_column(text(head), justify="right", min_width=whole, overflow="fold")
    for row in cells:
        grid.add_row(*(row[place] for place in places))
    return grid


def _width(console: Console, grid: Grid) -> int:
    """Return how wide a table is where nothing wraps."""
    return Measurement.get(console, console.options.update(max_width=UNLIMITED), grid).maximum
