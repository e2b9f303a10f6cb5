"""The leaderboard as text: terminal, markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fer_bench.evaluation.intervals import FEW_UNITS
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import cost, parts
from fer_bench.reports.leaderboard import Row, Score

EXTRA: Mapping[str, Callable[[Sequence[Row]], dict[str, Callable[[Row], str]]]] = {
    "cost": cost.columns_of,
    "groups": parts.group_columns,
    "soft": parts.soft_columns,
}
"""What tables show in place of scores, by name: title -> text of a row."""

SCHEMA = 2
"""Version of the JSON format."""

CHANCE = ("uniform", "prior", "uar", "uniform_limit", "prior_limit")
INTERVAL = "95 % interval"
TRAINED_ON = "trained on"
TEXT_COLUMNS = (TRAINED_ON, "backbone", "strategy", "backbone, strategy", "variant")
TITLES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro-F1"}


def to_json(rows: Sequence[Row], damaged: Sequence[str]) -> str:
    """Return ``{"schema": 2, "rows": […], "damaged": […]}``; scores lie in 0 to 1."""
    document = {"schema": SCHEMA, "rows": [_record(row) for row in rows], "damaged": list(damaged)}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(rows: Sequence[Row], damaged: Sequence[str]) -> str:
    """Return one line a row; metrics as ``<metric>_mean`` and ``<metric>_std``, 0 to 1."""
    del damaged  # a table of numbers has no place for them; the command says them on stderr
    text = io.StringIO(newline="")
    records = []
    for row in rows:
        record = _record(row)
        scores = record.pop("scores")
        for name in sorted({*STANDARD, *scores}):
            value: dict[str, Any] = scores.get(name) or {"mean": None, "std": None}
            record |= {f"{name}_{key}": value[key] for key in ("mean", "std")}
        interval: dict[str, Any] = record.pop("interval") or {"low": None, "high": None}
        cells, chance = record.pop("cells"), record.pop("chance")
        record |= {f"cost_{name}": value for name, value in record.pop("cost").items()}
        for group, value in record.pop("groups").items():
            record |= {f"group_{group}_{key}": value[key] for key in ("worst", "uar", "n", "gap")}
        soft = record.pop("soft") or {"accuracy": None, "kl": None}
        record |= {f"soft_{key}": value for key, value in soft.items()}
        record |= {"interval_low": interval["low"], "interval_high": interval["high"]}
        low, high = record.pop("ranks") or (None, None)
        record |= {"rank_low": low, "rank_high": high}
        record |= {f"chance_{key}": chance[key] if chance else None for key in CHANCE}
        record |= {"cells_ok": cells["ok"], "cells_failed": cells["failed"], "errors": "; ".join(row.errors)}
        records.append(record)
    names = list(dict.fromkeys(key for record in records for key in record))  # Boards differ in their groups.
    writer = csv.DictWriter(text, names or ["dataset"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def to_markdown(rows: Sequence[Row], damaged: Sequence[str], show: str = "scores") -> str:
    """Return one markdown table a data set and protocol, with notes below."""
    pieces = ["# Leaderboard\n"]
    for title, board in boards(rows):
        pieces.append(f"## {_escape(title)}\n")
        columns = columns_of(board, show)
        pieces.append("| " + " | ".join(columns) + " |")
        pieces.append("|" + " --- |" * 2 + " ---: |" * (len(columns) - 2))
        pieces += ["| " + " | ".join(_escape(make(row)) for make in columns.values()) + " |" for row in board]
        pieces.append("")
    pieces += [f"- {_escape(note)}" for note in notes(rows, damaged)]
    return "\n".join(pieces) + "\n"


def to_latex(rows: Sequence[Row], damaged: Sequence[str], show: str = "scores") -> str:
    """Return one ``table`` a board; the document needs the package booktabs and UTF-8."""
    pieces = []
    for title, board in boards(rows):
        columns = columns_of(board, show)
        pieces.append("\\begin{table}\n\\centering\n\\caption{" + _latex(title) + "}")
        pieces.append("\\begin{tabular}{ll" + "r" * (len(columns) - 2) + "}\n\\toprule")
        pieces.append(" & ".join(map(_latex, columns)) + r" \\")
        pieces.append("\\midrule")
        pieces += [" & ".join(_latex(make(row)) for make in columns.values()) + r" \\" for row in board]
        pieces.append("\\bottomrule\n\\end{tabular}\n\\end{table}\n")
    pieces += [f"% {' '.join(note.split())}" for note in notes(rows, damaged)]
    return "\n".join(pieces) + "\n"


def to_terminal(rows: Sequence[Row], damaged: Sequence[str], width: int | None = None, show: str = "scores") -> str:
    """Return the tables for a terminal, without colour.

    Nothing is cut: long names wrap. Where the width does not suffice, backbone and strategy share a column
    and parameters are left out.

    Args:
        rows: of the leaderboard.
        damaged: one message for each cell that was left out.
        width: columns; None is the terminal's own.
        show: ``scores``, or what to show in place of them: one of ``EXTRA``.
    """
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    for title, board in boards(rows):
        table = _table(columns_of(board, show), board)
        if Measurement.get(console, console.options.update(max_width=1000), table).maximum > console.width:
            table = _table(_narrow(columns_of(board, show)), board)
        console.print(Text(title), table)
    for note in notes(rows, damaged):
        console.print(Text(note))
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


FORMATS: Mapping[str, Callable[[Sequence[Row], Sequence[str]], str]] = {
    "terminal": to_terminal,
    "md": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}


def _record(row: Row) -> dict[str, Any]:
    """Return a row as plain JSON."""
    scores = {name: {"mean": score.mean, "std": score.std} for name, score in row.scores.items()}
    return {
        "dataset": row.dataset,
        "limit": row.limit,
        "synthetic": row.synthetic,
        "protocol": row.protocol,
        "ignores": list(row.ignores),
        "labels": row.labels,
        "trained_on": row.trained_on,
        "folds": row.folds,
        "seeds": row.seeds,
        "backbone": row.backbone,
        "strategy": row.strategy,
        "baseline": row.baseline,
        "variant": row.variant,
        "precision": row.precision,
        "classes": row.classes,
        "n": row.n,
        "faces": row.faces,
        "scores": scores,
        "metric": row.metric.name,
        "interval": _interval_record(row),
        "chance": asdict(row.chance) if row.chance else None,
        "tier": row.tier,
        "ranks": list(row.standing.ranks) if row.standing else None,
        "best": round(row.standing.best, 4) if row.standing else None,
        "cells": {"ok": row.ok, "failed": row.failed},
        "parameters": row.parameters,
        "trained_parameters": row.trained_parameters,
        "seconds": None if row.seconds is None else round(row.seconds, 3),
        "cost": cost.record(row),
        **parts.record(row),
        "converged": row.converged,
        "errors": list(row.errors),
    }


def _interval_record(row: Row) -> dict[str, float | int] | None:
    if row.interval is None:
        return None
    return {
        "low": row.interval.low,
        "high": row.interval.high,
        "level": row.interval.level,
        "units": row.interval.units,
    }


def boards(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return (title, rows) of what may be compared."""
    boards = []
    for _, group in groupby(rows, key=lambda row: row.subject):
        board = list(group)
        first = board[0]
        subset = f", balanced subset of {first.limit}" if first.limit else ""
        kind = " (synthetic)" if first.synthetic else ""
        seeds = max(row.seeds for row in board)
        classes = "classes" if first.labels == "native" else f"classes of {first.labels}"
        title = (
            f"{first.dataset}{kind}{subset}: {first.protocol}{_ignored(first)}, {first.folds} "
            f"fold{'s' if first.folds > 1 else ''} x {seeds} seed{'s' if seeds > 1 else ''}, "
            f"{first.classes} {classes} ({_chance(board)})"
        )
        boards.append((title, board))
    return boards


def _chance(board: Sequence[Row]) -> str:
    """Return what guessing reaches; its accuracy only where it is another number, as with classes of unequal size."""
    found = next((row.chance for row in board if row.chance), None)
    said = f"{100 * (found.uar if found else 1 / board[0].classes):.1f} %"
    accuracy = f"{100 * found.prior:.1f} %" if found else said
    return f"chance UAR {said}" + (f", accuracy {accuracy}" if accuracy != said else "")


def _ignored(row: Row) -> str:
    """Return what the protocol of a board ignores, in words."""
    if not row.ignores:
        return ""
    names = " and ".join("copies" if name == "copy" else f"{name}s" for name in row.ignores)
    return f" (ignores {names} that are known: scores flatter)"


def columns_of(board: Sequence[Row], show: str = "scores") -> dict[str, Callable[[Row], str]]:
    """Return title -> text of a row, for the columns that this board needs."""
    columns: dict[str, Callable[[Row], str]] = {
        "backbone": lambda row: row.backbone or "-",
        "strategy": lambda row: row.strategy,
    }
    if any(row.trained_on for row in board):
        columns[TRAINED_ON] = lambda row: row.trained_on or row.dataset
    if any(row.variant for row in board):
        columns["variant"] = lambda row: row.variant or "-"
    sizes = {"params": lambda row: _count(row.parameters), "trained": lambda row: _count(row.trained_parameters)}
    if show in EXTRA:
        return {**columns, **EXTRA[show](board), **sizes}
    by = board[0].metric
    titles = TITLES if by.name in TITLES else {by.name: by.title, **TITLES}
    for name, title in titles.items():
        unit = " %" if name in TITLES else ""
        columns[title + unit] = lambda row, name=name: _score(row.scores.get(name), name in TITLES)
        if name == by.name:
            columns |= {INTERVAL: _interval, "tier": lambda row: row.tier or "-", "ranks": _ranks, "best %": _best}
    columns |= {
        "n": lambda row: f"{row.n:,}",
        **({"faces %": _found} if any(row.faces is not None and row.faces < 1 for row in board) else {}),
        "cells": lambda row: f"{row.ok}/{row.ok + row.failed}",
        **sizes,
        "seconds": lambda row: "-" if row.seconds is None else f"{row.seconds:,.1f}",
    }
    return columns


def _table(columns: dict[str, Callable[[Row], str]], board: Sequence[Row]) -> Table:
    """Return a board for a terminal; numbers stay whole, names wrap."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in columns:
        is_text = name in TEXT_COLUMNS
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for row in board:
        table.add_row(*(Text(make(row)) for make in columns.values()))
    return table


def _narrow(columns: dict[str, Callable[[Row], str]]) -> dict[str, Callable[[Row], str]]:
    """Return the columns for a narrow terminal, such as one of 80 columns."""
    backbone, strategy = columns["backbone"], columns["strategy"]
    left_out = ("backbone", "strategy", "params", "trained", "seconds", f"{TITLES['macro_f1']} %", "ranks", "best %")
    return {
        "backbone, strategy": lambda row: f"{backbone(row)}, {strategy(row)}" if row.backbone else strategy(row),
        **{name: make for name, make in columns.items() if name not in left_out},
    }


def notes(rows: Sequence[Row], damaged: Sequence[str]) -> list[str]:
    """Return what the tables alone do not say."""
    by = rows[0].metric.title if rows else "UAR"
    test = "paired permutation tests" if by in ("UAR", "Accuracy") else "bootstrap tests of the difference"
    said = [
        f"Mean ± standard deviation over folds and seeds, best {by} first. Interval: of the {by} of all predictions, "
        "by resampling subjects, or images where no subject is known. Rows that share a tier letter cannot be told "
        f"apart ({test}, Holm, 5 %). Ranks: those a row may have; best: share of resamples in which it is. "
        "Chance: of guessing each class as often as it occurs in training."
    ]
    if any(row.interval is not None and row.interval.few_units for row in rows):
        said.append(f"An interval over fewer than {FEW_UNITS} subjects is too narrow.")
    if any(row.synthetic for row in rows):
        said.append("Synthetic faces are drawn by a program; their scores say nothing about real faces.")
    failed = [row for row in rows if row.failed]
    for row in failed:
        cells = "1 failed cell" if row.failed == 1 else f"{row.failed} failed cells"
        said.append(f"{cells} of {row.dataset} / {row.backbone} / {row.strategy}: {'; '.join(row.errors)}")
    for row in rows:
        if not row.converged:
            said.append(f"{row.dataset} / {row.backbone} / {row.strategy}: training did not converge in every cell.")
    said += sorted({fault for row in rows for fault in row.faults})
    said += [f"Left out: {message}" for message in damaged]
    return said


def _score(score: Score | None, percent: bool) -> str:
    if score is None:
        return "-"
    factor, digits = (100, 1) if percent else (1, 3)
    mean = f"{factor * score.mean:.{digits}f}"
    return mean + ("" if score.std is None else f" ± {factor * score.std:.{digits}f}")


def _found(row: Row) -> str:
    return "-" if row.faces is None else f"{100 * row.faces:.1f}"


def _interval(row: Row) -> str:
    if row.interval is None:
        return "-"
    factor, digits = (100, 1) if row.metric.name in TITLES else (1, 3)
    return f"{factor * row.interval.low:.{digits}f} to {factor * row.interval.high:.{digits}f}"


def _ranks(row: Row) -> str:
    if row.standing is None:
        return "-"
    low, high = row.standing.ranks
    return str(low) if low == high else f"{low} to {high}"


def _best(row: Row) -> str:
    return "-" if row.standing is None else f"{100 * row.standing.best:.0f}"


def _count(value: int | None) -> str:
    if value is None:
        return "-"
    if value < 1000:
        return str(value)
    return f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value / 1e3:.1f} k"


def _escape(text: str) -> str:
    """Return ``text`` as one line that markdown shows as it is."""
    text = " ".join(text.split())
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}


def _latex(text: str) -> str:
    """Return ``text`` as one line that LaTeX prints as it is; a bracket or star is never read as an option."""
    return (
        "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split())).replace("--", "-{}-").replace("--", "-{}-")
    )
