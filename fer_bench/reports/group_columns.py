"""Groups on a leaderboard: the worst group and the largest gap, with intervals and paired differences."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.extremes import ExtremeDifference, SeveralScores, compare_gaps, compare_worst
from fer_bench.evaluation.group_scores import measure_group_scores
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.opportunity import measure_group_gap
from fer_bench.reports import notes
from fer_bench.reports.comparison import cross, find_ends
from fer_bench.reports.parts import COVERAGE, GroupRecord, compare_groups, find_alike
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Field, Shown, Table, percent, span, tabulate
from fer_bench.results.canonical import Record, Share
from fer_bench.results.predictions import Predictions

MOST_GROUPS = 20
"""Groups of an attribute for which intervals are computed: they are of every two."""
NOTE = "group intervals"
"""Under which they are remembered."""
ARRAYS = ("seeds", "splits", "scores", "influences", "shares")
"""Fields of an `Estimate` that are remembered."""
NOTES = (
    "Groups: intervals of the worst group, of the largest gap and of their differences allow for the choice among all "
    "groups, 95 %. Differences are row minus first row, paired by subject, or by image where no subject is known. "
    "'fer-bench groups' compares every group with all and gives a verdict.",
)


@dataclass(frozen=True, eq=False)
class MeasuredGroups:
    """What a row scores on the groups of an attribute, over all people.

    Attributes:
        scores: of all groups.
        worst_ends: those of the interval of the worst score; ``gap_ends``, of the largest gap between two.
        gap_ends: likewise.
    """

    scores: SeveralScores
    worst_ends: tuple[float, float]
    gap_ends: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class GroupIntervals(Record):
    """The ends of 95 % intervals of the UAR of the worst group of an attribute and of the largest gap, and the paired
    differences to the first row of the board with theirs: null of that row, and where too few units allow none.
    """

    uar_low: float
    uar_high: float
    gap_low: Share
    gap_high: Share
    uar_to_first: float | None
    uar_to_first_low: float | None
    uar_to_first_high: float | None
    gap_to_first: float | None
    gap_to_first_low: float | None
    gap_to_first_high: float | None


@dataclass(frozen=True)
class GroupPair:
    """A row and the first row of its board, by an attribute: row minus first."""

    row: Row
    attribute: str
    worst: ExtremeDifference
    gap: ExtremeDifference


def measure_groups(row: Row) -> dict[str, MeasuredGroups]:
    """Return attribute -> what a row scores on its groups, of those attributes that `compare_groups` compares.

    An attribute is left out where a group has a single subject, or where there are more than ``MOST_GROUPS``.
    """
    pooled = row.pooled
    if pooled is None or row.baseline:
        return {}
    return notes.once(pooled, NOTE, lambda: _recall_or_measure(row, pooled))


def _recall_or_measure(row: Row, pooled: Predictions) -> dict[str, MeasuredGroups]:
    groups = _recall(notes.find(pooled, NOTE))
    if groups is None:
        measured = {name: _measure(row, pooled, name) for name in compare_groups(row)}
        groups = {name: one for name, one in measured.items() if one}
        notes.keep(pooled, NOTE, _pack(groups))
    return groups


def _pack(measured: Mapping[str, MeasuredGroups]) -> bytes:
    """Return what a row scores on its groups as the content of a note."""
    arrays = {"names": np.frombuffer(json.dumps([*measured]).encode(), np.uint8)}
    for number, one in enumerate(measured.values()):
        arrays[f"{number} ends"] = np.array([one.worst_ends, one.gap_ends])
        arrays[f"{number} freedom"], estimates = one.scores.freedom, one.scores.estimates
        arrays[f"{number} units"] = np.array([estimate.units for estimate in estimates])
        for name in ARRAYS:
            arrays[f"{number} {name}"] = np.stack([getattr(estimate, name) for estimate in estimates])
    return save(arrays)


def _recall(content: bytes | None) -> dict[str, MeasuredGroups] | None:
    """Return what `_pack` was given; None where there is no sound note."""
    if content is None:
        return None
    try:
        arrays = load(content)
        measured: dict[str, MeasuredGroups] = {}
        for number, attribute in enumerate(json.loads(arrays["names"].tobytes())):
            estimates = [
                Estimate(
                    metric=STANDARD["uar"],
                    units=units,
                    tables=None,
                    **{name: arrays[f"{number} {name}"][place] for name in ARRAYS},
                )
                for place, units in enumerate(arrays[f"{number} units"].tolist())
            ]
            (low, high), (least, most) = arrays[f"{number} ends"].tolist()
            scores = SeveralScores(estimates, arrays[f"{number} freedom"])
            measured[attribute] = MeasuredGroups(scores, (low, high), (least, most))
    except (SafetensorError, ValueError, KeyError):
        return None
    return measured


def _measure(row: Row, pooled: Predictions, attribute: str) -> MeasuredGroups | None:
    (names, codes), (rows, compared) = pooled.groups[attribute], find_alike(pooled, attribute)
    if compared > MOST_GROUPS:
        return None
    part, codes = pooled.take(rows), codes[rows]
    members: list[tuple[str, Array]] = [(names[code], codes == code) for code in np.unique(codes).tolist()]
    columns = part.labels, part.probabilities, part.training.astype(np.int64), part.unit_codes
    crossed = cross(row.folds, [cell for cell in row.cells if cell.ok], pooled)
    scores = measure_group_scores(STANDARD["uar"], *columns, part.split, members, crossed)
    if scores is None:
        return None
    gap = measure_group_gap(STANDARD["uar"], *columns, members)
    return MeasuredGroups(scores.over_all, scores.worst_interval(), (gap.low, gap.high))


def compare_to_first(board: Sequence[Row]) -> list[GroupPair]:
    """Return the differences of each row to the first row of a board that tested the same groups."""
    first = next((row for row in board if measure_groups(row)), None)
    if first is None or first.pooled is None:
        return []
    of_first = measure_groups(first)
    return [
        GroupPair(
            row,
            attribute,
            compare_worst(of_first[attribute].scores, other.scores),
            compare_gaps(of_first[attribute].scores, other.scores),
        )
        for row in board
        if row is not first and row.pooled is not None and row.pooled.key == first.pooled.key
        for attribute, other in measure_groups(row).items()
        if attribute in of_first
    ]


def record_intervals(board: Sequence[Row]) -> dict[str, dict[str, GroupIntervals]]:
    """Return id of a row -> attribute -> its intervals, for JSON."""
    pairs = {(pair.row.id, pair.attribute): pair for pair in compare_to_first(board)}
    return {
        row.id: {name: _record(one, pairs.get((row.id, name))) for name, one in measure_groups(row).items()}
        for row in board
        if not row.baseline
    }


def _record(measured: MeasuredGroups, pair: GroupPair | None) -> GroupIntervals:
    differences = (pair.worst, pair.gap) if pair else (None, None)
    worst, gap = ((one.value, *find_ends(one)) if one else (None, None, None) for one in differences)
    return GroupIntervals(
        uar_low=measured.worst_ends[0],
        uar_high=measured.worst_ends[1],
        gap_low=measured.gap_ends[0],
        gap_high=measured.gap_ends[1],
        uar_to_first=worst[0],
        uar_to_first_low=worst[1],
        uar_to_first_high=worst[2],
        gap_to_first=gap[0],
        gap_to_first_low=gap[1],
        gap_to_first_high=gap[2],
    )


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of groups: the worst group of each attribute, and the largest gap, with their intervals."""
    records = {id(row): compare_groups(row) for row in board}

    def field(name: str, column: Column, write: Callable[[GroupRecord, MeasuredGroups | None], Cell]) -> Field[Row]:
        def cell(row: Row) -> Cell:
            group = records[id(row)].get(name)
            return None if group is None else write(group, measure_groups(row).get(name))

        return column, cell

    columns: list[Field[Row]] = []
    for name in sorted({name for known in records.values() for name in known}):
        columns.append(field(name, Column(f"worst {name}, UAR %", "number", "higher"), _write_worst))
        columns.append(field(name, Column(f"{name} gap", "number", "lower"), _write_gap))
    return [*columns, COVERAGE]


def _write_worst(group: GroupRecord, measured: MeasuredGroups | None) -> Shown:
    ends = f"{span(*measured.worst_ends).text}; " if measured else ""
    return Shown(f"{100 * group.uar:.1f} ({ends}{group.worst}, n {group.n:,})", group.uar)


def _write_gap(group: GroupRecord, measured: MeasuredGroups | None) -> Cell:
    return percent(group.gap, measured and measured.gap_ends)


def to_table(board: Sequence[Row]) -> Table | None:
    """Return the differences of the rows of a board to its first row by group; None where no group is compared."""
    rows = [row for row in board if not row.baseline]
    lacking = sorted({name for row in rows for name in compare_groups(row) if name not in measure_groups(row)})
    if not lacking and not any(measure_groups(row) for row in rows):
        return None
    why = f"since a group has a single subject, or there are more than {MOST_GROUPS} groups"
    below = (*NOTES, *(f"No intervals by {name}, {why}." for name in lacking))
    pairs = compare_to_first(board)
    if not pairs:
        return Table(notes=below)
    return tabulate(pairs, PAIR_FIELDS, "By group: differences to the first row", below)


def _difference(one: ExtremeDifference) -> Cell:
    return percent(one.value, find_ends(one), sign="+")


PAIR_FIELDS: tuple[Field[GroupPair], ...] = (
    (Column("row"), lambda pair: pair.row.method),
    (Column("attribute"), lambda pair: pair.attribute),
    (Column("worst group", "number"), lambda pair: _difference(pair.worst)),
    (Column("gap", "number"), lambda pair: _difference(pair.gap)),
)
