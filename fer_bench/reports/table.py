"""What a report says, as tables; `fer_bench.reports.formats` writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

Item = TypeVar("Item")
Record = TypeVar("Record")
NO_INTERVAL = "too few for an interval"


class Shown(NamedTuple):
    """A number that people read as another text, such as ``62.5 ± 17.7``, and by which a column is sorted."""

    text: str
    value: float


Cell = str | int | float | bool | Shown | None
"""A text may hold line feeds; None stands for what is not known."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: its head.
        kind: names may wrap and stand left, numbers stay whole and stand right.
        better: which of its numbers are the better ones; empty where none is.
        optional: left out where a terminal is too narrow, the last ones first.
    """

    title: str
    kind: Literal["text", "number"] = "text"
    better: Literal["higher", "lower", ""] = ""
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what stands above it; empty for nothing.
        columns: none, where title or notes are all there is to say.
        rows: of as many cells as there are columns.
        notes: what stands below it.
        legend: the title of a column of the report and what it means, which stands below the table if that column is
            shown; a meaning with an empty title always does.
        strong: indices of the rows that come out in front, which LaTeX sets in bold.
    """

    title: str = ""
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    strong: tuple[int, ...] = ()

    def below(self, shown: Collection[str]) -> list[str]:
        """Return what stands below the table of a report that shows columns with these titles."""
        meanings = [meaning for title, meaning in self.legend if title in ("", *shown)]
        return [*([" ".join(meanings)] if meanings else ()), *self.notes]


Field = tuple[Column, Callable[[Item], Cell]]
"""A column, and what an item has in it."""


def tabulate(items: Sequence[Item], fields: Sequence[Field[Item]], title: str = "", notes: Sequence[str] = ()) -> Table:
    """Return a table with a row for each item."""
    return Table(
        title, tuple(column for column, _ in fields), tuple(tuple(make(item) for _, make in fields) for item in items),
        tuple(notes),
    )  # fmt: skip


def titles_of(tables: Sequence[Table]) -> set[str]:
    """Return the titles of all columns."""
    return {column.title for table in tables for column in table.columns}


def texts(*titles: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(map(Column, titles))


def numbers(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, "number") for title in titles)


def words(cell: Cell) -> str:
    """Return a cell as people read it: ``-`` for what is not known, other numbers than whole ones with four digits."""
    match cell:
        case None:
            return "-"
        case Shown():
            return cell.text
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.4f}"
        case _:
            return cell


def show(records: Mapping[int, Record | None], write: Callable[[Record], Cell]) -> Callable[[object], Cell]:
    """Return what an item has in a column, from a record of each item by its `id`; an item may have none."""

    def cell(item: object) -> Cell:
        record = records[id(item)]
        return None if record is None else write(record)

    return cell


def number(value: float | None, form: str, scale: float = 1) -> Cell:
    """Return a number in a format of Python, multiplied by ``scale`` as a text; None of what is not known."""
    return None if value is None else Shown(format(scale * value, form), value)


def write_p(p: float, digits: int = 3) -> Shown:
    """Return a p-value."""
    least = 10.0**-digits
    return Shown(f"< {least:g}" if p < least else f"{p:.{digits}f}", p)


def span(low: float, high: float, form: str = ".1f", scale: float = 100) -> Shown:
    """Return an interval, its ends in percent and in a format of Python; it is sorted by the lower one."""
    return Shown(f"{scale * low:{form}} to {scale * high:{form}}", low)


def percent(
    share: float | None,
    ends: tuple[float | None, float | None] | None = None,
    *,
    scale: float = 100,
    sign: Literal["", "+"] = "",
    digits: int = 1,
) -> Cell:
    """Return a share in percent, and its interval; None of what is not known.

    Args:
        share: 0 to 1, or the difference of two.
        ends: of its interval, low and high, None where there are too few units for any; None shows none.
        scale: 1 of a score that is no share.
        sign: ``+`` for differences: positive numbers have one, too.
        digits: after the point.
    """
    if share is None:
        return None
    form, (low, high) = f"{sign}z.{digits}f", ends or (None, None)
    known = NO_INTERVAL if low is None or high is None else span(low, high, form, scale).text
    return Shown(f"{scale * share:{form}}" + (f" ({known})" if ends else ""), share)


def value(cell: Cell) -> str | int | float | bool | None:
    """Return a cell as a program reads it."""
    return cell.value if isinstance(cell, Shown) else cell
