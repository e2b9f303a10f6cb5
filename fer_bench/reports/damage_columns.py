"""Scores on corrupted images beside the other columns of a leaderboard, where rows have such predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fer_bench.reports import charts, damage
from fer_bench.reports.damaged import DamagedPair, DamagedRow, compare_rows, find_corruptions, measure
from fer_bench.reports.notes import once
from fer_bench.reports.pairwise import name_shortly
from fer_bench.reports.row import Row
from fer_bench.reports.standing import title_of, write_number
from fer_bench.reports.table import Field, Table, tabulate


def measure_damage(row: Row) -> DamagedRow | None:
    """Return what a row scores on corrupted images by the metric of its board.

    Returns:
        None where no cell has such predictions or some cells lack some of them, and for a single subject.
    """
    pooled = row.pooled
    if row.baseline or pooled is None or pooled.n_units < 2:
        return None

    def compute() -> DamagedRow | None:
        cells = [cell for cell in row.cells if cell.ok]
        corruptions, lacking = find_corruptions(cells)
        whole = corruptions and not lacking
        return measure(row.experiment, cells, pooled, corruptions, row.metric) if whole else None

    return once(pooled, ("damage", row.metric), compute)


def compare_to_first(board: Sequence[Row]) -> dict[str, DamagedPair]:
    """Return id of a row -> its differences to the first row of the board, of those that the columns show."""
    comparable = _find_comparable(board)
    further = [row.id for row in board if row.id in comparable][1:]
    pairs = compare_rows([comparable[row.id] for row in board if row.id in comparable], with_first=True)
    return dict(zip(further, pairs, strict=True))


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of corrupted images; none where no row has such predictions."""
    comparable = _find_comparable(board)
    if not comparable:
        return []
    metric = board[0].metric
    return [*damage.score_fields(metric, lambda row: comparable.get(row.id), title_of(metric))]


def to_table(board: Sequence[Row]) -> Table:
    """Return the differences of the rows of a board to its first row on corrupted images, and what rows lack."""
    comparable = _find_comparable(board)
    if not comparable:
        return Table(notes=("No row was tested on corrupted images: repeat 'fer-bench run' with '--corrupt all'.",))
    incomparable = [row for row in board if row.id not in comparable and measure_damage(row)]
    lacking = [row for row in board if not row.baseline and row.id not in comparable and row not in incomparable]
    pairs = [*compare_to_first(board).values()]
    notes = [*damage.NOTES] if pairs else [damage.NOTES[0]]
    if len(pairs) > 1:
        notes.append("'fer-bench damage' has every two rows.")
    if incomparable:
        names = "; ".join(row.method for row in incomparable)
        notes.append(f"Tested under other corruptions, so that they are not compared: {names}; see 'fer-bench damage'.")
    if lacking:
        names = "; ".join(row.method for row in lacking)
        notes.append(f"Without predictions of all these images: {names}. Repeat 'fer-bench run' with --corrupt.")
    title = f"On corrupted images: {next(iter(comparable.values())).corruptions}"
    if not pairs:
        return Table(title, notes=(*notes,))
    return tabulate(pairs, damage.pair_fields(board[0].metric, [*comparable.values()]), title, notes)


def draw_kinds(board: Sequence[Row]) -> dict[str, Any] | None:
    """Return the score of each row that the columns show on each kind of corruption; None without any."""
    comparable = _find_comparable(board)
    rows = [row for row in board if row.id in comparable]
    if not rows:
        return None
    metric = rows[0].metric
    measured = [comparable[row.id].robustness for row in rows]
    highest = max(score.value for damaged in measured for score in damaged.kinds.values())
    top = 1.0 if metric.highest == 1 else highest or 1.0
    lines = [
        {
            "name": name,
            "cells": [
                {
                    "text": write_number(metric, score.value, 0),
                    "tint": f"h{min(charts.TINTS, max(0, round(charts.TINTS * score.value / top)))}",
                }
                for score in (damaged.clean, *damaged.kinds.values())
            ],
        }
        for damaged, name in zip(measured, name_shortly(rows), strict=True)
    ]
    return {"kinds": ("clean", *measured[0].kinds), "lines": lines, "axis": title_of(metric)}


def _find_comparable(board: Sequence[Row]) -> dict[str, DamagedRow]:
    """Return the id of each row that was tested under the corruptions that most rows share -> what it scores there.

    Of equally many rows those count that were tested under more corruptions.
    """
    measured = {row.id: damaged for row in board if (damaged := measure_damage(row))}
    counts = Counter(damaged.key for damaged in measured.values())
    sizes = {damaged.key: len(damaged.scores) for damaged in measured.values()}
    common = max(counts, key=lambda key: (counts[key], sizes[key], key), default="")
    return {name: damaged for name, damaged in measured.items() if damaged.key == common}
