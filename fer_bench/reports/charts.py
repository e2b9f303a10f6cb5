"""What the page draws of a board, as numbers in the units of its pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.classification import count_answers, recall_of
from fer_bench.reports import cost
from fer_bench.reports.pairwise import compare_all, find_ranked, name_shortly
from fer_bench.reports.row import Row
from fer_bench.reports.standing import scale_of, title_of, write_number

WIDTH, COST_WIDTH, COST_HEIGHT = 300, 380, 240
"""Of the intervals and of the plot of costs, CSS pixels."""

TINTS = 10
"""Steps of colour of a heat map."""

MOST_PAIRS = 25
"""Rows of a matrix of pairs: more do not fit a screen."""


def draw_intervals(board: Sequence[Row]) -> dict[str, Any]:
    """Return a line for each row that has a score, with the place of its interval, and the marks of the axis."""
    rows = [row for row in board if row.scores]
    ends = [row.score for row in rows]
    ends += [end for row in rows if row.interval for end in (row.interval.low, row.interval.high)]
    low, high = _widen(min(ends, default=0.0), max(ends, default=1.0))

    def place(value: float) -> float:
        return WIDTH * (value - low) / (high - low)

    lines = [
        {
            "name": name,
            "baseline": row.baseline,
            "best": bool(row.standing and row.standing.may_be_best),
            "tier": row.tier,
            "at": place(row.score),
            "from": place(row.interval.low) if row.interval else None,
            "to": place(row.interval.high) if row.interval else None,
            "text": write_number(row.metric, row.score, 1),
        }
        for row, name in zip(rows, name_shortly(rows), strict=True)
    ]
    marks = [{"at": place(mark), "text": _write_mark(rows[0], mark)} for mark in find_marks(low, high)] if rows else []
    floor = next((line["at"] for line in lines if line["baseline"]), None)
    return {"width": WIDTH, "lines": lines, "marks": marks, "floor": floor, "axis": title_of(board[0].metric)}


def _measure_gigaflops(row: Row) -> float | None:
    flops = cost.record(row)["forward_flops"]
    return None if flops is None else flops / 1e9


COSTS: Mapping[str, Callable[[Row], float | None]] = {
    "seconds with an empty cache": lambda row: row.seconds,
    "parameters, millions": lambda row: None if row.parameters is None else row.parameters / 1e6,
    "GFLOP of an image's forward pass": _measure_gigaflops,
}
"""What a score is drawn against, with its unit."""


def draw_costs(board: Sequence[Row], kind: str = "seconds with an empty cache") -> dict[str, Any] | None:
    """Return the place of each method by cost and score, and of the line that joins those not beaten in both.

    None below two methods whose cost is known and not 0.

    Args:
        board: rows that may be compared.
        kind: one of ``COSTS``.
    """
    costs_by_row = [(row, COSTS[kind](row)) for row in board if row.scores and not row.baseline]
    rows, costs = [row for row, value in costs_by_row if value], [value for _, value in costs_by_row if value]
    if len(rows) < 2:
        return None
    scores = [row.score for row in rows]
    wide = max(costs) > 5 * min(costs)
    left, right = _widen(*(math.log10(end) if wide else end for end in (min(costs), max(costs))))
    low, high = _widen(min(scores), max(scores))

    def across(value: float) -> float:
        return COST_WIDTH * ((math.log10(value) if wide else value) - left) / (right - left)

    def up(value: float) -> float:
        return COST_HEIGHT * (high - value) / (high - low)

    marks = find_powers(10**left, 10**right) if wide else find_marks(left, right)
    front = find_front([*zip(costs, scores, strict=True)], rows[0].metric.higher_is_better)
    return {
        "width": COST_WIDTH,
        "height": COST_HEIGHT,
        "points": [
            {"number": number, "name": name, "x": across(value), "y": up(score), "cost": f"{value:.3g}"}
            for number, (name, value, score) in enumerate(zip(name_shortly(rows), costs, scores, strict=True), 1)
        ],
        "kind": kind,
        "front": [(across(costs[place]), up(scores[place])) for place in front],
        "across": [{"at": across(mark), "text": f"{mark:g}"} for mark in marks],
        "up": [{"at": up(mark), "text": _write_mark(rows[0], mark)} for mark in find_marks(low, high)],
        "axis": title_of(board[0].metric),
    }


def draw_pairs(board: Sequence[Row]) -> dict[str, Any] | None:
    """Return the paired differences of the first rows, row minus column; None below two that can be ranked."""
    ranked = find_ranked(board)[:MOST_PAIRS]
    if len(ranked) < 2:
        return None
    pairs = compare_all(ranked)
    reach = max(abs(pair.difference.value) for pair in pairs.values()) or 1.0
    by = ranked[0].metric
    lines: list[dict[str, Any]] = []
    for i, name in enumerate(name_shortly(ranked)):
        cells: list[dict[str, Any] | None] = []
        for j in range(len(ranked)):
            if i == j:
                cells.append(None)
                continue
            pair, sign = pairs[min(i, j), max(i, j)], 1 if i < j else -1
            value = sign * pair.difference.value
            low, high = sorted((sign * pair.difference.low, sign * pair.difference.high))
            tint = round(TINTS * abs(value) / reach)
            cells.append(
                {
                    "text": ("+" if value > 0 else "") + write_number(by, value, 1),
                    "interval": f"{write_number(by, low, 1)} to {write_number(by, high, 1)}",
                    "apart": pair.apart,
                    "tint": f"{'h' if (value > 0) == by.higher_is_better else 'c'}{tint}",
                }
            )
        lines.append({"id": ranked[i].id[:16], "name": name, "cells": cells})
    return {"lines": lines, "axis": title_of(board[0].metric), "left_out": len(find_ranked(board)) - len(ranked)}


def draw_recalls(board: Sequence[Row]) -> dict[str, Any] | None:
    """Return the recall of each class under each method; None without any."""
    rows = [row for row in board if row.pooled is not None and not row.baseline]
    if not rows:
        return None
    lines = [
        {
            "name": name,
            "cells": [
                {"text": "-", "tint": "h0"}
                if math.isnan(recall)
                else {"text": f"{100 * recall:.0f}", "tint": f"h{round(TINTS * recall)}"}
                for recall in recall_of(confusion_of(row)).tolist()
            ],
        }
        for row, name in zip(rows, name_shortly(rows), strict=True)
    ]
    return {"classes": rows[0].class_names, "lines": lines}


def find_front(points: Sequence[tuple[float, float]], higher_is_better: bool = True) -> list[int]:
    """Return the indices of the (cost, score) that no other beats in one and equals in the other, by rising cost.

    Of equal points the first counts.
    """
    sign = -1 if higher_is_better else 1
    front: list[int] = []
    best = math.inf
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], sign * points[index][1], index)):
        if sign * points[index][1] < best:
            front.append(index)
            best = sign * points[index][1]
    return front


def confusion_of(row: Row) -> Array:
    """Return the (c, c) counts of a row's predictions, true classes in rows."""
    assert row.pooled is not None, "only rows with predictions have a confusion matrix"
    return count_answers(row.pooled.labels, row.pooled.probabilities)[0]


def find_marks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two ends, ``most`` steps of 1, 2 or 5 times a power of ten apart at most."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= most)
    return [float(number * step) for number in np.arange(math.ceil(low / step), math.floor(high / step) + 1)]


def find_powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two positive ends; only powers where these would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [mark for mark in fine if low <= mark <= high]
    return inside if len(inside) <= 8 else [mark for mark in inside if math.log10(mark).is_integer()]


def _widen(low: float, high: float) -> tuple[float, float]:
    """Return ends with a margin; apart where they are one."""
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def _write_mark(row: Row, value: float) -> str:
    """Return the text of a mark of an axis."""
    return f"{scale_of(row.metric) * value:.3g}"
