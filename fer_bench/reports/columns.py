"""The columns of a board on the page: all that reports know, of which the reader chooses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fer_bench.reports import boards, standing
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Field

NAME: Column = Column("method")
"""The first column, which stays where the table scrolls."""

PARTS: tuple[Field[Row], ...] = (
    (Column("backbone"), lambda row: row.backbone or "-"),
    (Column("strategy"), lambda row: row.strategy),
    (Column("trained on"), lambda row: row.trained_on or row.dataset),
    (Column("finished"), lambda row: row.finished[:16].replace("T", " ")),
)
"""Parts of the name, to sort by."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A column that the reader may show.

    Attributes:
        key: names it in the address of the page; the same on all boards.
        group: heading that it stands under among the choices.
        field: the column, and what a row has in it.
        shown: whether it is shown at first.
    """

    key: str
    group: str
    field: Field[Row]
    shown: bool

    @property
    def column(self) -> Column:
        """Its title and kind."""
        return self.field[0]


def choose(board: Sequence[Row], show: str) -> list[Choice]:
    """Return the columns of a board without that of names: first the metric that orders the rows and their standing.

    Args:
        board: rows that may be compared.
        show: ``scores``, ``paper``, which shows the first of them only, or one of `boards.EXTRA` to show as well.
    """
    parts = {column.title for column, _ in PARTS} | {"variant"}
    scores = [field for field in boards.fields_of(board) if field[0].title not in parts]
    by = next(place for place, field in enumerate(scores) if field[1] is standing.STANDING[0][1]) - 1
    first = scores[by : by + 1 + len(standing.STANDING)]
    further = [field for field in scores if field not in first]
    groups = [
        ("standing", first, True),
        ("scores", further, show != "paper"),
        *((name, fields(board), name == show) for name, fields in boards.EXTRA.items()),
        ("name", PARTS, False),
    ]
    choices: dict[str, Choice] = {}
    for group, fields, shown in groups:
        for field in fields:
            key = re.sub(r"[^a-z0-9]+", "-", field[0].title.lower()).strip("-")
            earlier = choices.get(key)
            if earlier is None:
                choices[key] = Choice(key=key, group=group, field=field, shown=shown)
            elif shown:
                choices[key] = replace(earlier, shown=True)
    return list(choices.values())
