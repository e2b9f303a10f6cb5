"""What a matrix of data sets shows: how far a method falls on other data, and whether methods keep their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fer_bench.evaluation.across import BlockDifference
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.order import PairOrder, judge_order
from fer_bench.evaluation.shift import Gap, keep_common, measure_gap, share_classes, weigh_recalls
from fer_bench.reports.across import compare_boards
from fer_bench.reports.comparison import answers_of, measure_row
from fer_bench.reports.matrix import Matrix
from fer_bench.reports.matrix import record as matrix_record
from fer_bench.reports.pair import pair_predictions
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Field, Table, number, percent, tabulate

UAR = STANDARD["uar"]
NOTE = (
    "In points, with 95 % intervals for other people, one by one. UAR gap: score on the tested data set minus that of "
    "the same method by cross-validation on what trained it, on the classes that both have; negative is a loss. At "
    "common shares: the gap of the accuracy if both data sets had the mean of their class shares; beside it the plain "
    "gap of the accuracy. To its own: the same images, trained on other data minus trained on this data set."
)
ORDER_NOTE = (
    "Lowest, highest: differences of the UAR in points, second minus first, over all data sets, trained on their own "
    "data and on each other one. Holds: the same method is shown to be better everywhere; reversed: each is shown to "
    "be better somewhere; open: neither (5 % for all pairs together). What is open is not shown to hold."
)


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A method that is trained on one data set and tested on another.

    Attributes:
        trained_on: name of a data set; likewise ``tested_on``.
        uar: the gap to cross-validation on ``trained_on``.
        accuracy: likewise of the accuracy, as it is.
        common: likewise of the accuracy at common class shares.
        foreign: paired difference of the UAR on ``tested_on`` to training on it; None where it cannot be paired.
    """

    trained_on: str
    tested_on: str
    uar: Gap
    accuracy: Gap
    common: Gap
    foreign: Difference | None


def find_shifts(matrix: Matrix) -> list[Shift]:
    """Return the gaps of all pairs of data sets that have both scores."""
    shifts: list[Shift] = []
    for trained in matrix.datasets:
        for tested in matrix.datasets:
            own, cross = matrix.rows.get((trained, trained)), matrix.rows.get((trained, tested))
            if trained != tested and own is not None and cross is not None:
                shift = _measure(own, cross, matrix.rows.get((tested, tested)), trained, tested)
                shifts += [shift] if shift else []
    return shifts


def _measure(own: Row, cross: Row, target: Row | None, trained: str, tested: str) -> Shift | None:
    """Return the gap of a pair; None where scores are missing, of one unit, or no two classes are in both."""
    if own.pooled is None or cross.pooled is None or min(own.pooled.n_units, cross.pooled.n_units) < 2:
        return None
    pair = keep_common(answers_of(own.pooled), answers_of(cross.pooled))
    if len(np.unique(pair[0].true)) < 2:
        return None
    ratio = own.pooled.n_samples / float(np.mean([sum(cell.measures.train_counts) for cell in own.cells if cell.ok]))
    metrics = (UAR, STANDARD["accuracy"], weigh_recalls(share_classes(*pair, own.classes)))
    uar, accuracy, common = (measure_gap(metric, *pair, ratio) for metric in metrics)
    return Shift(
        trained_on=trained, tested_on=tested, uar=uar, accuracy=accuracy, common=common, foreign=_pair(target, cross)
    )


def _pair(target: Row | None, cross: Row) -> Difference | None:
    if target is None or target.pooled is None or cross.pooled is None:
        return None
    _, both = pair_predictions((target.experiment.dataset, target.pooled), (cross.experiment.dataset, cross.pooled))
    return None if both is None else compare_estimates(*(measure_row(UAR, one) for one in both))


@dataclass(frozen=True, kw_only=True)
class OrderOfPair:
    """Two methods over all cells of a matrix; names as in its titles."""

    first: str
    second: str
    order: PairOrder


def check_orders(matrices: Sequence[Matrix]) -> list[OrderOfPair]:
    """Return whether each two methods with all cells keep their order, on own data and on other data."""
    names = [(trained, tested) for one in matrices[:1] for tested in one.datasets for trained in one.datasets]
    whole = [one for one in matrices if all(place in one.rows and one.rows[place].pooled for place in names)]
    pairs = list(combinations(whole, 2))
    blocks = [[_compare(one.rows[place], other.rows[place]) for place in names] for one, other in pairs]
    complete = [(pair, several) for pair, by_block in zip(pairs, blocks, strict=True) if (several := _all(by_block))]
    if not complete:
        return []
    return [
        OrderOfPair(first=one.method, second=other.method, order=order)
        for ((one, other), _), order in zip(complete, judge_order([several for _, several in complete]), strict=True)
    ]


def _compare(first: Row, second: Row) -> BlockDifference | None:
    return compare_boards([(first, second)], UAR)


def _all(blocks: Sequence[BlockDifference | None]) -> list[BlockDifference]:
    """Return the differences, or nothing where one of them is missing."""
    compared = [block for block in blocks if block is not None]
    return compared if len(compared) == len(blocks) else []


def to_tables(matrices: Sequence[Matrix]) -> list[Table]:
    """Return a table of gaps for each method, and one of the order of methods."""
    tables = [
        tabulate(shifts, FIELDS, f"{matrix.method}: from own data to other data")
        for matrix in matrices
        if (shifts := find_shifts(matrix))
    ]
    tables += [Table(notes=(NOTE,))] if tables else []
    if orders := check_orders(matrices):
        tables.append(tabulate(orders, ORDER_FIELDS, "Does the order of methods hold?", (ORDER_NOTE,)))
    return tables


def record(matrices: Sequence[Matrix]) -> dict[str, Any]:
    """Return scores, gaps and orders as plain values that JSON holds."""
    plain = matrix_record(matrices)
    for one, matrix in zip(plain["matrices"], matrices, strict=True):
        one["gaps"] = [asdict(shift) for shift in find_shifts(matrix)]
    orders = [{"first": one.first, "second": one.second, **asdict(one.order)} for one in check_orders(matrices)]
    return {**plain, "orders": orders}


def _range(value: float, low: float, high: float) -> Cell:
    return percent(value, (low, high), sign="+")


def _foreign(shift: Shift) -> Cell:
    gap = shift.foreign
    return None if gap is None else _range(gap.value, gap.low, gap.high)


def _accuracy(shift: Shift) -> Cell:
    return _range(shift.accuracy.value, shift.accuracy.low, shift.accuracy.high)


FIELDS: tuple[Field[Shift], ...] = (
    (Column("trained on"), lambda shift: shift.trained_on),
    (Column("tested on"), lambda shift: shift.tested_on),
    (Column("UAR gap", "number"), lambda shift: _range(shift.uar.value, shift.uar.low, shift.uar.high)),
    (
        Column("at common shares", "number"),
        lambda shift: _range(shift.common.value, shift.common.low, shift.common.high),
    ),
    (Column("to its own", "number", optional=True), _foreign),
    (Column("accuracy", "number", optional=True), _accuracy),
)
ORDER_FIELDS: tuple[Field[OrderOfPair], ...] = (
    (Column("first"), lambda one: one.first),
    (Column("second"), lambda one: one.second),
    (Column("lowest", "number"), lambda one: percent(min(one.order.values), sign="+")),
    (Column("highest", "number"), lambda one: percent(max(one.order.values), sign="+")),
    (Column("order"), lambda one: one.order.order),
    (Column("p", "number"), lambda one: number(one.order.p_value, ".3f")),
)
