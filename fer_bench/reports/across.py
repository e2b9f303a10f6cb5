"""Methods across data sets: their average ranks, and by how much they differ on other data sets of this kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from fer_bench.evaluation.across import BlockDifference, MeanDifference, compare_across, make_block
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.friedman import FEWEST_SETS, FriedmanTest, friedman_test
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.order import PairOrder, judge_order
from fer_bench.reports import comparison, standing
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Field, Shown, Table, tabulate
from fer_bench.results.records import Board, DatasetRecord
from fer_bench.sizes import number_of

Trained = tuple[Board, str]
"""What is the same for all rows of a board, and what they are trained on."""
NAMED = 5
"""Pairs of methods that a note names."""
Key = TypeVar("Key")


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
        orders: names of every two methods that tested the same people, and whether their order holds.
    """

    datasets: int
    metric: Metric
    test: FriedmanTest
    places: tuple[RankedMethod, ...]
    orders: tuple[tuple[str, str, PairOrder], ...]


def rank_across(rows: Sequence[Row]) -> Across | None:
    """Return how the methods that stand on every board rank across data sets; None below two of either.

    A data set is one block, also with several boards and several spellings of its name: their scores are averaged. The
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
    blocks = find_blocks({board: row.experiment.dataset for board, row in shared.items()})
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
    differences: dict[tuple[int, int], list[BlockDifference]] = {}
    for i, j in combinations(order, 2):
        if compared := _compare(scored[methods[i]], scored[methods[j]], blocks):
            differences[i, j] = compared
    names = [" / ".join(filter(None, method)) for method in methods]
    places = tuple(
        RankedMethod(
            name=names[index],
            rank=float(test.average_ranks[index]),
            behind=compare_across(differences[order[0], index]) if (order[0], index) in differences else None,
        )
        for index in order
    )
    judged = judge_order(list(differences.values()))
    orders = tuple((names[i], names[j], judgement) for (i, j), judgement in zip(differences, judged, strict=True))
    return Across(datasets=len(blocks), metric=metric, test=test, places=places, orders=orders)


def to_table(across: Across) -> Table:
    """Return the methods with their ranks and mean differences."""

    def points(value: float) -> str:
        return f"{100 * value:+z.1f}" if across.metric.name in standing.PERCENT else f"{value:+z.3f}"

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
        f"{_explain_orders(across)}"
    )


def _explain_orders(across: Across) -> str:
    """Return how many pairs of methods keep their order on all data sets, and which are reversed."""
    if not across.orders:
        return ""
    holds, turned, unclear = (
        [f"{first} and {second}" for first, second, one in across.orders if one.order == order]
        for order in ("holds", "reversed", "open")
    )
    examples = f" ({'; '.join(turned[:NAMED])}{'; …' if len(turned) > NAMED else ''})" if turned else ""
    return (
        f" The order of {number_of(len(across.orders), 'pair')} of methods on every data set: {len(holds)} shown to "
        f"hold, {len(turned)} to be reversed{examples}, {len(unclear)} open (5 %, all pairs together)."
    )


def find_blocks(boards: Mapping[Key, DatasetRecord]) -> list[list[Key]]:
    """Return the boards of each data set: those of one reader, or of the same images.

    A reader that reads what a user brings, such as ``manifest``, tells data sets apart by its parameter ``name``.
    """
    blocks: list[tuple[set[object], list[Key]]] = []
    for board, record in boards.items():
        keys: set[object] = {record.fingerprint, (record.package, record.name, str(record.params.get("name", "")))}
        members = [board]
        for known in [block for block in blocks if block[0] & keys]:
            blocks.remove(known)
            keys, members = keys | known[0], known[1] + members
        blocks.append((keys, members))
    return [members for _, members in blocks]


def say_unnamed(records: Sequence[DatasetRecord]) -> list[str]:
    """Return which data sets that users bring count as one, since they have no name."""
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        if record.params.get("name") == "":
            alike[record.name][record.fingerprint] = record.text
    return [
        f"{', '.join(texts.values())}: one data set of several boards, as long as none has a name. Where they are "
        f"several, give each its own: {reader}[name=…]."
        for reader, texts in alike.items()
        if len(texts) > 1
    ]


def _compare(
    first: dict[Trained, Row], second: dict[Trained, Row], blocks: list[list[Trained]]
) -> list[BlockDifference] | None:
    """Return the difference of two methods on each data set; None where they did not test the same people."""
    metric = first[blocks[0][0]].metric
    compared = [compare_boards([(first[board], second[board]) for board in block], metric) for block in blocks]
    comparable = [block for block in compared if block is not None]
    return comparable if len(comparable) == len(compared) else None


def compare_boards(boards: Sequence[tuple[Row, Row]], metric: Metric) -> BlockDifference | None:
    """Return the difference of two methods on a data set, from both rows of each of its boards.

    None where they did not test the same people.
    """
    pairs: list[tuple[Estimate, Estimate]] = []
    for first, second in boards:
        if first.pooled is None or second.pooled is None or not first.pooled.ids.equals(second.pooled.ids):
            return None
        pairs.append((comparison.estimate(metric, first.pooled), comparison.estimate(metric, second.pooled)))
    return make_block(pairs)
