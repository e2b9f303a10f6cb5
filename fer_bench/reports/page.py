"""The leaderboard as one offline page: a table to sort and filter, and for each row what its predictions show.

Everything is inside the file; a content security policy forbids all requests and all code but its own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shlex
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer_bench.about import __version__
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import measure_hits, precision_of, recall_of
from fer_bench.foreign import defuse, one_line
from fer_bench.reports import across, board_records, boards, charts, pairwise, standing
from fer_bench.reports.formats import csv
from fer_bench.reports.formats import json as json_format
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, tabulate, value, words
from fer_bench.results.canonical import to_json
from fer_bench.results.records import name_training

BINS = 10
MAX_CURVES = 20
"""Cells of a row whose learning curves are drawn."""


def to_html(rows: Sequence[Row], damaged: Sequence[str], show: str = "scores", title: str = "Leaderboard") -> str:
    """Return the page in ASCII; nothing is fetched.

    Args:
        rows: of the leaderboard.
        damaged: one message for each cell that was left out.
        show: which of `boards.EXTRA` to show beside the scores.
        title: what stands above it.
    """
    environment = Environment(
        loader=PackageLoader("fer_bench.reports"),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = files("fer_bench.reports") / "templates"
    style, script = ((folder / name).read_text(encoding="ascii") for name in ("page.css", "page.js"))
    sections: list[dict[str, Any]] = []
    for caption, board in boards.boards(rows):
        extra = boards.EXTRA[show](board) if show in boards.EXTRA else []
        table = tabulate(board, [*boards.fields_of(board), *extra], caption)
        lines = [
            {"cells": list(map(_cell, table.columns, cells)), **_details(row)}
            for cells, row in zip(table.rows, board, strict=True)
        ]
        low, high = _range(board)
        drawn = {
            "verdict": pairwise.sum_up(board),
            "intervals": charts.draw_intervals(board),
            "costs": charts.draw_costs(board),
            "pairs": charts.draw_pairs(board),
            "recalls": charts.draw_recalls(board),
        }
        sections.append({"title": caption, "columns": table.columns, "rows": lines, "low": low, "high": high, **drawn})
    ranking = across.rank_across(rows)
    summary = across.to_table(ranking) if ranking else None
    page = environment.get_template("page.html").render(
        boards=sections,
        interval=standing.INTERVAL,
        metric=rows[0].metric.title if rows else "",
        ranking=ranking,
        across=summary,
        differences=[list(map(_cell, summary.columns, cells)) for cells in summary.rows] if summary else [],
        notes=boards.notes(rows, damaged),
        title=title,
        finished=max((row.finished for row in rows), default="")[:16].replace("T", " "),
        version=__version__,
        files=[
            ("leaderboard.csv", _embed("text/csv", csv.write(board_records.to_flat_table(rows)))),
            ("leaderboard.json", _embed("application/json", json_format.write(board_records.record(rows, damaged)))),
        ],
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src {_pin(style)}; script-src {_pin(script)}; "
        "base-uri 'none'; form-action 'none'",
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _clean(value: object) -> object:
    """Return what a template is about to write and escape: foreign text in one line that steers nothing."""
    return defuse(one_line(value)) if isinstance(value, str) and not isinstance(value, Markup) else value


def _embed(kind: str, text: str) -> str:
    """Return a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _pin(text: str) -> str:
    """Return the hash by which a content security policy allows an inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _cell(column: Column, cell: Cell) -> dict[str, Any]:
    """Return a cell's text and what it is sorted by."""
    key = value(cell)
    return {"text": words(cell), "key": "-" if key is None else key, "numeric": column.kind == "number"}


def _range(board: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the axis on which a board's intervals are drawn."""
    ends = [end for row in board if row.interval for end in (row.interval.low, row.interval.high)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def _details(row: Row) -> dict[str, Any]:
    """Return what a row shows when it is opened, as plain numbers and text."""
    details: dict[str, Any] = {
        "name": " / ".join(filter(None, (row.backbone, row.strategy, row.trained_on, row.variant))),
        "interval": row.interval,
        "score": row.scores.get(row.metric.name),
        "baseline": row.baseline,
        "errors": [
            (name_training(cell.record.training), str(cell.record.fold), cell.error)
            for cell in row.cells
            if not cell.ok
        ],
        "classes": [],
        "confusion": [],
        "recall": [],
        "precision": [],
        "reliability": [],
        "curves": [],
        "command": "",
        "provenance": {},
        "cells_stored": [] if row.baseline else [cell.id[:16] for cell in row.cells],
    }
    if row.pooled is not None:
        true, probabilities = row.pooled.labels, row.pooled.probabilities
        table = charts.confusion_of(row)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        details |= {
            "classes": list(row.class_names),
            "confusion": [
                [(number, share, f"h{round(charts.TINTS * share)}") for number, share in zip(counts, part, strict=True)]
                for counts, part in zip(table.tolist(), shares.tolist(), strict=True)
            ],
            "recall": _numbers(recall_of(table)),
            "precision": _numbers(precision_of(table)),
            "reliability": _reliability(true, probabilities),
        }
    if not row.baseline:
        details |= {"curves": _curves(row), **_origin(row)}
    return details


def _numbers(values: Array) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _reliability(true: Array, probabilities: Array) -> list[dict[str, float]]:
    """Return mean confidence, share right and share of samples of each bin of confidence that holds any."""
    confidence, right = probabilities.max(axis=1), measure_hits(true, probabilities)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == b].mean()),
            "right": float(right[bins == b].mean()),
            "share": float((bins == b).mean()),
        }
        for b in np.unique(bins)
    ]


def _curves(row: Row) -> list[dict[str, Any]]:
    """Return the numeric columns of the cells' histories that have two points or more, scaled to 0 to 1."""
    measured: dict[str, list[list[float]]] = defaultdict(list)
    for cell in row.cells[:MAX_CURVES]:
        try:
            history = pd.read_csv(io.BytesIO(cell.history()))
        except (OSError, ValueError):
            continue
        for name in history.select_dtypes("number"):
            values = history[name].dropna().to_numpy(np.float64)
            if len(values) > 1 and np.isfinite(values).all() and name not in ("epoch", "step"):
                measured[str(name)].append(values.tolist())
    curves: list[dict[str, Any]] = []
    for name, series in measured.items():
        low, high = min(map(min, series)), max(map(max, series))
        lines = [[(i / (len(s) - 1), (v - low) / (high - low or 1)) for i, v in enumerate(s)] for s in series]
        curves.append({"name": name, "low": low, "high": high, "lines": lines})
    return curves


def _origin(row: Row) -> dict[str, Any]:
    """Return the command and the provenance of a row's first cell."""
    try:
        provenance = to_json(row.cells[0].provenance)
    except FerBenchError:
        return {"command": "", "provenance": {}}
    return {
        "command": shlex.join(provenance.pop("command", ())),
        "provenance": {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
            for key, value in sorted(provenance.items())
        },
    }
