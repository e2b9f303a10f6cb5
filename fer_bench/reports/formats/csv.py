"""A table as CSV for programs: no field is a formula, and every record is one line."""

from __future__ import annotations

import csv
import io

from fer_bench.foreign import defuse, pack_field
from fer_bench.reports.table import Table, value


def write(table: Table) -> str:
    """Return a line a row; numbers are not rounded, what is not known is empty, title and notes have no place."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_field(column.title) for column in table.columns])
    for row in table.rows:
        cells = map(value, row)
        writer.writerow([_field(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _field(text: str) -> str:
    return defuse(pack_field(text))
