"""The rows of a leaderboard as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from fer_bench.evaluation.intervals import FEW_UNITS
from fer_bench.reports import (
    across,
    calibrated,
    cost,
    damage_columns,
    group_columns,
    parts,
    planned,
    searched,
    standing,
)
from fer_bench.reports.row import Row, Score
from fer_bench.reports.table import Cell, Column, Field, Shown, Table, number, percent, tabulate
from fer_bench.sizes import number_of

EXTRA: Mapping[str, Callable[[Sequence[Row]], list[Field[Row]]]] = {
    "cost": cost.fields,
    "groups": group_columns.fields,
    "soft": parts.soft_fields,
    "variance": standing.fields,
    "calibration": calibrated.fields,
    "search": searched.fields,
    "damage": damage_columns.fields,
}
"""What tables show instead of scores, by name: the columns that a board needs."""

TITLES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro-F1"}


def to_tables(
    rows: Sequence[Row], damaged: Sequence[str], show: str = "scores", judged: planned.JudgedPlan | None = None
) -> list[Table]:
    """Return a table for each data set and protocol, one across data sets where there are several, and one of notes.

    Args:
        rows: of the leaderboard.
        damaged: one message for each cell that was left out.
        show: ``scores``, ``paper``, which fits a narrow column, or what to show instead of scores: one of ``EXTRA``.
        judged: a plan that was frozen before these rows ran; None without any.
    """
    tables: list[Table] = []
    for title, board in boards(rows):
        tables.append(replace(tabulate(board, fields_of(board, show), title), strong=_find_leaders(board)))
        if show == "scores" and (choices := searched.to_table(board)):
            tables.append(choices)
        if show == "groups" and (differences := group_columns.to_table(board)):
            tables.append(differences)
        if show == "damage":
            tables.append(damage_columns.to_table(board))
    if judged is not None:
        tables += planned.to_tables(judged)
    if (ranking := across.rank_across(rows)) is not None:
        tables.append(across.to_table(ranking))
    return [*tables, Table(notes=(*notes(rows), *failures(rows, damaged)), legend=legend(rows))]


def boards(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return (title, rows) of what may be compared."""
    boards: list[tuple[str, list[Row]]] = []
    for _, group in groupby(rows, key=lambda row: row.subject):
        board = list(group)
        first = board[0]
        subset = f", balanced subset of {first.limit}" if first.limit else ""
        kind = " (synthetic)" if first.synthetic else ""
        class_names = f": {first.labels.replace(',', ', ')}" if "," in first.labels else f" of {first.labels}"
        classes = "classes" if first.labels == "native" else f"classes{class_names}"
        title = (
            f"{first.dataset}{kind}{subset}: {first.protocol}{_ignored(first)}, "
            f"{number_of(first.folds, 'fold')} x {_seeds(board)}, "
            f"{first.classes} {classes} ({_chance(board)}){standing.say_too_few(board)}"
        )
        boards.append((title, board))
    return boards


def _find_leaders(board: Sequence[Row]) -> tuple[int, ...]:
    """Return the indices of the rows that no row is shown to be better than."""
    return tuple(place for place, row in enumerate(board) if row.standing and row.standing.may_be_best)


def _seeds(board: Sequence[Row]) -> str:
    """Return how many seeds the row of a board has that has most of them, and on how many splits they trained."""
    row = max(board, key=lambda row: row.seeds)
    seeds = number_of(row.seeds, "seed")
    return f"{seeds} on {number_of(row.split_seeds, 'split')}" if row.split_seeds else seeds


def _chance(board: Sequence[Row]) -> str:
    """Return what guessing reaches; its accuracy only where it is another number, as with classes of unequal size."""
    chance = next((row.chance for row in board if row.chance), None)
    by_guessing = f"{100 * (chance.uar if chance else 1 / board[0].classes):.1f} %"
    accuracy = f"{100 * chance.prior:.1f} %" if chance else by_guessing
    return f"chance UAR {by_guessing}" + (f", accuracy {accuracy}" if accuracy != by_guessing else "")


def _ignored(row: Row) -> str:
    """Return what the protocol of a board ignores, in words."""
    if not row.ignores:
        return ""
    names = " and ".join("copies" if name == "copy" else f"{name}s" for name in row.ignores)
    return f" (ignores {names} that are known: scores flatter)"


def fields_of(board: Sequence[Row], show: str = "scores") -> list[Field[Row]]:
    """Return the columns that this board needs."""
    if show == "paper":
        return _paper_fields(board)
    fields: list[Field[Row]] = [
        (Column("backbone"), lambda row: row.backbone or "-"),
        (Column("strategy"), lambda row: row.strategy),
    ]
    if any(row.trained_on for row in board):
        fields.append((Column("trained on"), lambda row: row.trained_on or row.dataset))
    if any(row.variant for row in board):
        fields.append((Column("variant"), _variant))
    if any(row.planned is not None for row in board):
        marks = {True: "yes", False: "no", None: "-"}
        fields.append((Column("plan", optional=True), lambda row: marks[row.planned]))
    sizes: list[Field[Row]] = [
        (Column("params", "number", optional=True), lambda row: _count(row.parameters)),
        (Column("trained", "number", optional=True), lambda row: _count(row.trained_parameters)),
    ]
    if show in EXTRA:
        return [*fields, *EXTRA[show](board), *sizes]
    by = board[0].metric
    for name, title in (TITLES if by.name in TITLES else {by.name: by.title, **TITLES}).items():
        is_share = name in TITLES
        better = "higher" if is_share or by.higher_is_better else "lower"
        column = Column(_titled(name, title), "number", better, optional=name != by.name)
        fields.append((column, lambda row, name=name, is_share=is_share: _score(row.scores.get(name), is_share)))
        if name == by.name:
            fields += standing.STANDING
    fields.append((Column("n", "number", optional=True), lambda row: row.n))
    if any(row.faces is not None and row.faces < 1 for row in board):
        fields.append((Column("faces %", "number"), lambda row: percent(row.faces)))
    fields.append((Column("cells", "number"), lambda row: Shown(f"{row.ok}/{row.ok + row.failed}", row.ok)))
    return [
        *fields,
        *sizes,
        (Column("seconds", "number", "lower", optional=True), lambda row: number(row.seconds, ",.1f")),
    ]


def _paper_fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns that fit a column of a paper: the method, its score, the interval, the tier."""
    by = board[0].metric
    is_share = by.name in TITLES

    def score(row: Row) -> Cell:
        own = row.scores.get(by.name)
        return None if own is None else _score(replace(own, std=None), is_share)

    return [
        (
            Column("method"),
            lambda row: ", ".join(filter(None, (row.backbone, row.strategy, row.trained_on, row.variant))),
        ),
        (
            Column(_titled(by.name, by.title), "number", "higher" if by.higher_is_better else "lower"),
            score,
        ),
        *standing.STANDING[:2],
    ]


def _variant(row: Row) -> str:
    """Return the variant of a row and the minute in which it was finished, in UTC."""
    return f"{row.variant}, {row.finished[:16].replace('T', ' ')}" if row.variant else "-"


def legend(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Return the titles of columns and how they are to be read."""
    return standing.explain(rows, _titled(rows[0].metric.name, rows[0].metric.title)) if rows else ()


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what the tables themselves do not say."""
    lines = standing.find_limits(boards(rows))
    if few := [row for row in rows if row.interval is not None and row.interval.few_units]:
        lines.append(
            f"An interval over fewer than {FEW_UNITS} {standing.name_units(few)} shows little of how they differ: "
            "in simulations it covered some 94 % over 10, and 91 % over 5."
        )
    if any(row.synthetic for row in rows):
        lines.append("Synthetic faces are drawn by a program; their scores say nothing about real faces.")
    if untrained := sorted({row.backbone for row in rows if not row.baseline and row.experiment.backbone.random}):
        lines.append(f"Random weights, not trained ones, before the strategy: {', '.join(untrained)}.")
    for row in rows:
        if not row.converged:
            lines.append(f"{row.dataset} / {row.backbone} / {row.strategy}: training did not converge in every cell.")
    lines += [*calibrated.notes(rows), *sorted({fault for row in rows for fault in row.faults})]
    lines += across.say_unnamed([row.experiment.dataset for row in rows])
    if replaced := [row for row in rows if row.older]:
        rows_have = number_of(len(replaced), "row has", "rows have")
        lines.append(f"{rows_have} older results, by other code, which --all-versions shows.")
    formats = [(row, row.experiment.numerics) for row in rows if not row.baseline]
    if old := [f"{row.dataset} / {row.backbone} / {row.strategy}" for row, numerics in formats if numerics is None]:
        lines.append(f"In an older format, so that a run computes them again: {', '.join(dict.fromkeys(old))}.")
    return lines


def failures(rows: Sequence[Row], damaged: Sequence[str]) -> list[str]:
    """Return a line for each row that has failed cells and for each cell that was left out."""
    lines = [
        f"{number_of(row.failed, 'failed cell')} of {row.dataset} / {row.backbone} / {row.strategy}: "
        f"{'; '.join(row.errors)}"
        for row in rows
        if row.failed
    ]
    return [*lines, *(f"Left out: {message}" for message in damaged)]


def _titled(name: str, title: str) -> str:
    """Return the title of the column of a metric."""
    return f"{TITLES[name]} %" if name in TITLES else title


def _score(score: Score | None, is_share: bool) -> Cell:
    if score is None:
        return None
    factor, digits = (100, 1) if is_share else (1, 3)
    mean = f"{factor * score.mean:.{digits}f}"
    return Shown(mean + ("" if score.std is None else f" ± {factor * score.std:.{digits}f}"), score.mean)


def _count(value: int | None) -> Cell:
    if value is None or value < 1000:
        return value
    return Shown(f"{value / 1e6:.2f} M" if value >= 1e5 else f"{value / 1e3:.1f} k", value)
