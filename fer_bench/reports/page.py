"""The leaderboard as one offline page: a table to sort and filter, and for each row what its predictions show.

Everything is inside the file; a content security policy forbids all requests and all code but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer_bench.about import __version__
from fer_bench.errors import FerBenchError
from fer_bench.foreign import defuse, one_line
from fer_bench.reports import (
    across,
    board_records,
    boards,
    charts,
    columns,
    damage_columns,
    details,
    group_columns,
    pairwise,
    planned,
)
from fer_bench.reports.formats import csv
from fer_bench.reports.formats import json as json_format
from fer_bench.reports.gallery import Gallery
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Table, value, words
from fer_bench.sizes import number_of

ID = 16
"""Hexadecimal digits of a row's id in addresses."""
PLAN_FILE = "plan.json"
"""Of a site: the frozen plan."""


def to_html(
    rows: Sequence[Row],
    damaged: Sequence[str],
    show: str = "scores",
    title: str = "Leaderboard",
    authors: str = "",
    gallery: Mapping[str, Gallery] | None = None,
    *,
    published: bool = False,
    judged: planned.JudgedPlan | None = None,
) -> str:
    """Return the page in ASCII; nothing is fetched.

    Args:
        rows: of the leaderboard.
        damaged: one message for each cell that was left out.
        show: which of `boards.EXTRA` to show beside the scores at first.
        title: what stands above it.
        authors: who made the results; may be empty.
        gallery: id of a row -> its errors as pictures, which must not be published.
        published: whether it is part of a site, which has the files, a feed and a page for each row beside it.
        judged: a plan that was frozen before these rows ran; None without any.
    """
    assert not (published and gallery), "pictures of faces are not published"
    sections = [_section(caption, board, show, gallery or {}, published) for caption, board in boards.boards(rows)]
    ranking = across.rank_across(rows)
    summary = across.to_table(ranking) if ranking else None
    failures = boards.failures(rows, damaged)
    counts = ((sum(row.failed for row in rows), "failed"), (len(damaged), "left out"))
    failed = ", ".join(f"{number_of(number, 'cell')} {what}" for number, what in counts if number)
    everything = board_records.record(rows, damaged, judged)
    return render(
        "page.html",
        boards=sections,
        columns=_group(sections),
        metric=rows[0].metric.title if rows else "",
        ranking=ranking,
        across=summary and _table(summary),
        planned=[_table(table) for table in planned.to_tables(judged)] if judged else [],
        plan_file=PLAN_FILE,
        legend=" ".join(meaning for _, meaning in boards.legend(rows)),
        notes=boards.notes(rows),
        failures=failures,
        failed=failed,
        title=title,
        authors=authors,
        gallery=bool(gallery),
        published=published,
        made_by=find_versions(rows),
        finished=max((row.finished for row in rows), default="")[:16].replace("T", " "),
        files=[
            (name, name if published else _embed(kind, text))
            for name, kind, text in (
                ("leaderboard.csv", "text/csv", csv.write(board_records.to_flat_table(rows))),
                ("leaderboard.json", "application/json", json_format.write(everything)),
            )
        ],
    )


def render(template: str, *, gallery: bool = False, **values: Any) -> str:
    """Return a page in ASCII with style, script and content security policy in it.

    Args:
        template: name of its file.
        gallery: whether it holds pictures.
        **values: of the template; all text is escaped, in one line, and steers nothing.
    """
    folder = files("fer_bench.reports") / "templates"
    style, script = ((folder / name).read_text(encoding="ascii") for name in ("page.css", "page.js"))
    page = (
        _environment()
        .get_template(template)
        .render(
            version=__version__,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; style-src {_pin(style)}; script-src {_pin(script)}; "
            f"{'img-src data:; ' if gallery else ''}base-uri 'none'; form-action 'none'",
            gallery=gallery,
            **values,
        )
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def find_versions(rows: Sequence[Row]) -> list[str]:
    """Return the versions of fer-bench that made the first cells of rows, as far as these say."""
    versions: set[str] = set()
    for row in rows:
        try:
            source = row.cells[0].provenance.code.get("fer-bench")
        except FerBenchError:
            continue
        versions |= {source.version} if source else set()
    return sorted(versions)


def describe(row: Row, *, published: bool = False) -> dict[str, Any]:
    """Return what an opened row shows, under its name and id; published, without the address of what ran the grid."""
    described = details.describe(row)
    if published:
        described["provenance"] = [line for line in described["provenance"] if line[0] != "executor"]
    return {"id": row.id[:ID], "name": row.method, "gallery": None, "address": "", **described}


def _section(
    caption: str, board: Sequence[Row], show: str, gallery: Mapping[str, Gallery], published: bool
) -> dict[str, Any]:
    """Return what the page shows of a board."""
    choices = columns.choose(board, show)
    return {
        "id": "board-" + hashlib.sha256(repr(board[0].subject).encode()).hexdigest()[:8],
        "title": caption,
        "columns": choices,
        "verdict": pairwise.sum_up(board),
        "intervals": charts.draw_intervals(board),
        "costs": [chart for kind in charts.COSTS if (chart := charts.draw_costs(board, kind))],
        "pairs": charts.draw_pairs(board),
        "recalls": charts.draw_recalls(board),
        "groups": _table(groups) if (groups := group_columns.to_table(board)) and groups.rows else None,
        "damage": _draw_damage(board),
        "rows": [
            {
                "cells": [_cell(choice.column, choice.field[1](row)) for choice in choices],
                **describe(row, published=published),
                "baseline": row.baseline,
                "gallery": gallery.get(row.id),
                "address": f"rows/{row.id[:ID]}.html" if published and not row.baseline else "",
            }
            for row in board
        ],
    }


def _draw_damage(board: Sequence[Row]) -> dict[str, Any] | None:
    """Return scores by kind of corruption and the differences of rows there; None where no row was tested so."""
    kinds = damage_columns.draw_kinds(board)
    return None if kinds is None else {**kinds, "differences": _table(damage_columns.to_table(board))}


def _group(sections: Sequence[dict[str, Any]]) -> list[tuple[str, list[columns.Choice]]]:
    """Return the columns of all boards by the group that they stand under, each once."""
    choices = {choice.key: choice for section in sections for choice in section["columns"]}
    groups: dict[str, list[columns.Choice]] = {}
    for choice in choices.values():
        groups.setdefault(choice.group, []).append(choice)
    return list(groups.items())


@cache
def _environment() -> Environment:
    """Return what reads the templates; kept, since a site has a page for each row."""
    return Environment(
        loader=PackageLoader("fer_bench.reports"),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _clean(value: object) -> object:
    """Return what a template is about to write and escape: foreign text in one line that steers nothing."""
    return defuse(one_line(value)) if isinstance(value, str) and not isinstance(value, Markup) else value


def _embed(kind: str, text: str) -> str:
    """Return a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _pin(text: str) -> str:
    """Return the hash by which a content security policy allows an inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _table(table: Table) -> dict[str, Any]:
    """Return what the page shows of a table."""
    rows = [list(map(_cell, table.columns, cells)) for cells in table.rows]
    return {"title": table.title, "columns": table.columns, "rows": rows, "notes": table.notes}


def _cell(column: Column, cell: Cell) -> dict[str, Any]:
    """Return a cell's text and what it is sorted by."""
    key = value(cell)
    return {"text": words(cell), "key": "-" if key is None else key, "numeric": column.kind == "number"}
