"""A leaderboard as a site of files: the page, a page for each row, numbers, badges, a feed and the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fer_bench import atomic
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.privacy import anonymise
from fer_bench.reports import board_records, page
from fer_bench.reports.feed import name_badge, write_badge, write_feed
from fer_bench.reports.formats import csv
from fer_bench.reports.formats import json as json_format
from fer_bench.reports.history import Publication, PublishedRow, write
from fer_bench.reports.page import PLAN_FILE
from fer_bench.reports.planned import JudgedPlan
from fer_bench.reports.row import Row
from fer_bench.results.frozen_plan import to_text
from fer_bench.results.private import find_private

HISTORY, INDEX = "history.jsonl", "index.html"
FILES = (INDEX, "leaderboard.json", "leaderboard.csv", "feed.xml", HISTORY, PLAN_FILE, ".nojekyll")
FOLDERS = {"rows": (".html", ".json"), "badges": (".svg",)}
"""Folders of a site, and how the names of their files end."""


def make_site(
    rows: Sequence[Row],
    damaged: Sequence[str],
    history: Sequence[Publication],
    title: str,
    authors: str,
    url: str,
    judged: JudgedPlan | None = None,
) -> dict[str, bytes]:
    """Return the files of a site by name. The same rows and history give the same bytes.

    Args:
        rows: of the leaderboard.
        damaged: one message for each cell that was left out.
        history: all publications, that of ``rows`` last.
        title: of the site.
        authors: of the results; may be empty.
        url: address of the site, ending in ``/``; or empty.
        judged: a plan that was frozen before these rows ran; None without any.

    Raises:
        FerBenchError: a cell holds what is private.
    """
    check_privacy(rows, damaged, history, to_text(judged.plan) if judged else "")
    record = board_records.record(rows, damaged, judged)
    texts = {
        INDEX: page.to_html(rows, damaged, title=title, authors=authors, published=True, judged=judged),
        "leaderboard.json": json_format.write(record),
        "leaderboard.csv": csv.write(board_records.to_flat_table(rows)),
        HISTORY: write(history),
        ".nojekyll": "",
        **({PLAN_FILE: to_text(judged.plan)} if judged else {}),
    }
    files = {name: text.encode() for name, text in texts.items()}
    files["feed.xml"] = write_feed(history, title, authors, url)
    rows_by_id = {
        row.id[: page.ID]: (row, part) for row, part in zip(rows, record["rows"], strict=True) if not row.baseline
    }
    for move in follow(history):
        last = move[-1][1]
        row, numbers = rows_by_id.get(last.id, (None, None))
        badge = write_badge(last, gone=row is None)
        files.setdefault(name_badge(last.name), badge)
        context: dict[str, Any] = {"title": title, "url": url, "moves": move, "drawn": draw_moves(move), "last": last}
        for id in {published.id: None for _, published in move}:
            newest = row is not None and id == last.id
            context |= {
                "id": id,
                "gone": row is None,
                "row": page.describe(row, published=True) if row is not None and newest else None,
                "badge": Markup(badge.decode()) if newest else "",
                "file": name_badge(last.name),
            }
            files[f"rows/{id}.html"] = page.render("row_page.html", **context).encode()
        if row is not None:
            files[f"rows/{last.id}.json"] = json_format.write(numbers).encode()
    return files


def check_privacy(rows: Sequence[Row], damaged: Sequence[str], history: Sequence[Publication], plan: str) -> None:
    """Raise FerBenchError if cells, messages, a history or the text of a plan hold folders, user names or secrets; all
    are named.
    """
    cells = {cell.id: cell for row in rows for cell in row.cells}
    private = [f"{cell.id[:16]}: {text[:80]!r}" for cell in cells.values() for text in find_private(cell)]
    private += [repr(message[:80]) for message in damaged if anonymise(message) != message]
    private += [
        f"history, {publication.published}: {text[:80]!r}"
        for publication in history
        for row in publication.rows
        for text in (row.name, row.board, row.method)
        if anonymise(text) != text
    ]
    private += [f"plan: {line.strip()[:80]}" for line in plan.splitlines() if anonymise(line) != line]
    if private:
        raise FerBenchError(
            f"This is private, as texts of older versions may be:\n{bullet_list(private)}\n"
            "Repeat these cells or delete their folders, or delete these lines of the history, and publish again."
        )


def check_folder(folder: Path) -> None:
    """Raise FerBenchError unless a folder is not there, empty, or a site that may be replaced."""
    names = atomic.replaceable(folder, _is_ours, "a site")
    if names and HISTORY not in names:
        raise FerBenchError(
            f"--output {str(folder)!r} has no {HISTORY}, so it is no site that may be replaced. Name an empty folder, "
            "or move these files."
        )


def follow(history: Sequence[Publication]) -> list[list[tuple[Publication, PublishedRow]]]:
    """Return for each name of rows how it was published, the oldest first; of a name with several rows for each id."""
    several = {
        row.name
        for publication in history
        for place, row in enumerate(publication.rows)
        if row.name in {other.name for other in publication.rows[:place]}
    }
    moves: dict[str, list[tuple[Publication, PublishedRow]]] = defaultdict(list)
    for publication in history:
        for row in publication.rows:
            moves[row.id if row.name in several else row.name].append((publication, row))
    return list(moves.values())


def draw_moves(moves: Sequence[tuple[Publication, PublishedRow]]) -> list[dict[str, Any]]:
    """Return the places of scores and intervals in a drawing of 100 by 100; nothing below two scores."""
    scored = [row for _, row in moves if row.score is not None]
    if len(scored) < 2:
        return []
    ends = [end for row in scored for end in (row.score, row.low, row.high) if end is not None]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0

    def up(value: float | None) -> float | None:
        return None if value is None else 100 - 100 * (value - low) / span

    return [
        {"x": 100 * place / (len(scored) - 1), "y": up(row.score), "low": up(row.low), "high": up(row.high)}
        for place, row in enumerate(scored)
    ]


def _is_ours(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name in FILES or (folder in FOLDERS and file.endswith(FOLDERS[folder]))
