"""Methods across data sets: their average ranks, and by how much they differ on other data sets of this kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.evaluation.across import BlockDifference, MeanDifference, compare_across, make_block
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.folds import FEWEST_SETS, FriedmanTest, friedman_test
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports import comparison, standing
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Field, Shown, Table, tabulate
from fer_bench.results.records import Board, DatasetRecord

Trained = tuple[Board, str]
"""What is the same for all rows of a board, and what they are trained on."""


@dataclass(frozen=True, kw_only=True)
class RankedMethod:
    """Where a method stands across data sets.

    Attributes:
        name: of the method.
        rank: average over data sets, 1 is best.
        behind: mean difference to the method of the best average rank; None for that one, and where the two did not
            test the same people.
    """

    name: str
    rank: float
    behind: MeanDifference | None


@dataclass(frozen=True, kw_only=True)
class Across:
    """What several data sets together say.

    Attributes:
        datasets: how many.
        metric: that ranks.
        test: Friedman's.
        places: best average rank first.
    """

    datasets: int
    metric: Metric
    test: FriedmanTest
    places: tuple[RankedMethod, ...]


def rank_across(rows: Sequence[Row]) -> Across | None:
    """Return how the methods that stand on every board rank across data sets; None below two of either.

    A data set is one block, however many boards it has and however its name is spelled: their scores are averaged. The
    majority class is no method.
    """
    scored: dict[tuple[str, ...], dict[Trained, Row]] = defaultdict(dict)
    for row in rows:
        if row.scores and not row.failed and not row.baseline:
            scored[row.backbone, row.strategy][row.subject, row.trained_on] = row
    boards = {board for own in scored.values() for board in own}
    methods = [method for method, own in scored.items() if len(own) == len(boards)]
    if len(methods) < 2:
        return None
    shared = scored[methods[0]]
    blocks = _find_blocks({board: row.experiment.dataset for board, row in shared.items()})
    if len(blocks) < 2:
        return None
    metric = rows[0].metric
    table = np.array(
        [
            [np.mean([scored[method][board].scores[metric.name].mean for board in block]) for method in methods]
            for block in blocks
        ]
    )
    test = friedman_test(table, higher_is_better=metric.higher_is_better)
    order: list[int] = np.argsort(test.average_ranks, kind="stable").tolist()
    first = scored[methods[order[0]]]
    places = tuple(
        RankedMethod(
            name=" / ".join(filter(None, methods[index])),
            rank=float(test.average_ranks[index]),
            behind=None if index == order[0] else _compare(first, scored[methods[index]], blocks),
        )
        for index in order
    )
    return Across(datasets=len(blocks), metric=metric, test=test, places=places)


def to_table(across: Across) -> Table:
    """Return the methods with their ranks and mean differences."""

    def points(value: float) -> str:
        return f"{100 * value:+.1f}" if across.metric.name in standing.PERCENT else f"{value:+.3f}"

    fields: list[Field[RankedMethod]] = [
        (Column("method"), lambda place: place.name),
        (Column("average rank", "number", "lower"), lambda place: Shown(f"{place.rank:.2f}", place.rank)),
        (
            Column("to the first", "number"),
            lambda place: Shown(points(place.behind.value), place.behind.value) if place.behind else None,
        ),
        (
            Column("95 % interval", "number"),
            lambda place: (
                Shown(f"{points(place.behind.low)} to {points(place.behind.high)}", place.behind.low)
                if place.behind
                else None
            ),
        ),
    ]
    return tabulate(
        across.places, fields, f"Across {across.datasets} data sets, by {across.metric.title}", (_explain(across),)
    )


def _explain(across: Across) -> str:
    """Return what the ranks and the differences show."""
    test = across.test
    p = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"
    apart = (
        f"Fewer than {FEWEST_SETS} data sets tell no pair of ranks apart."
        if test.critical_difference is None
        else f"Methods whose average ranks differ by less than {test.critical_difference:.2f} cannot be told apart "
        "(Nemenyi, 5 %)."
    )
    return (
        f"Friedman's test: {p}{', exact' if test.exact else ''}, a data set counting once. {apart} Intervals are of "
        "the mean difference on other data sets of this kind (bootstrap of data sets, subjects and seeds), one by one."
    )


def _find_blocks(boards: dict[Trained, DatasetRecord]) -> list[list[Trained]]:
    """Return the boards of each data set: those of one reader, or of the same images.

    A reader that reads what a user brings, such as ``manifest``, tells data sets apart by its parameter ``name``.
    """
    blocks: list[tuple[set[object], list[Trained]]] = []
    for board, record in boards.items():
        keys: set[object] = {record.fingerprint, (record.package, record.name, str(record.params.get("name", "")))}
        members = [board]
        for known in [block for block in blocks if block[0] & keys]:
            blocks.remove(known)
            keys, members = keys | known[0], known[1] + members
        blocks.append((keys, members))
    return [members for _, members in blocks]


def _compare(
    first: dict[Trained, Row], second: dict[Trained, Row], blocks: list[list[Trained]]
) -> MeanDifference | None:
    """Return the mean difference of two methods; None where they did not test the same people."""
    made: list[BlockDifference] = []
    for block in blocks:
        pairs: list[tuple[Estimate, Estimate]] = []
        for board in block:
            parts = first[board].pooled, second[board].pooled
            if parts[0] is None or parts[1] is None or not parts[0].ids.equals(parts[1].ids):
                return None
            estimates = [comparison.estimate(first[board].metric, one) for one in (parts[0], parts[1])]
            pairs.append((estimates[0], estimates[1]))
        made.append(make_block(pairs))
    return compare_across(made)
