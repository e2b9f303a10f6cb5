"""A leaderboard as each format writes it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from fer_bench.reports import board_records, boards
from fer_bench.reports.formats import csv, json, latex, markdown, terminal
from fer_bench.reports.page import to_html
from fer_bench.reports.row import Row

FORMATS = ("terminal", "md", "csv", "json", "latex", "html")


def write(form: str, rows: Sequence[Row], damaged: Sequence[str] = (), show: str = "scores", width: int = 140) -> str:
    """Return what ``fer-bench leaderboard --format FORM`` prints; of HTML, what its entities stand for."""
    match form:
        case "csv":
            return csv.write(board_records.to_flat_table(rows))
        case "json":
            return json.write(board_records.record(rows, damaged))
        case "html":
            return html.unescape(to_html(rows, damaged, show))
    tables = boards.to_tables(rows, damaged, show)
    if form == "terminal":
        return terminal.write(tables, width)
    return markdown.write(tables, "Leaderboard") if form == "md" else latex.write(tables, narrow=show == "paper")
