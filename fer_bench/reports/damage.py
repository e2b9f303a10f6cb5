"""The damage report as tables and JSON: the scores of rows on corrupted test images, and the differences of rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fer_bench.evaluation.difference import Difference
from fer_bench.evaluation.extremes import ExtremeDifference
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports.comparison import find_ends
from fer_bench.reports.damaged import DamagedPair, DamagedRow, compare_rows
from fer_bench.reports.pairwise import shorten
from fer_bench.reports.standing import scale_of, title_of
from fer_bench.reports.table import Cell, Column, Field, Table, percent, tabulate, write_p

Item = TypeVar("Item")
NOTES = (
    "Corrupted: mean over kinds of the mean over severities. Worst: of the kind with the worst score. Flips: how often "
    "the answer to an image changes from one severity of a kind to the next, beginning with the clean image. "
    "Intervals: 95 %, for other people and, as far as several seeds show it, other trainings; that of the worst kind "
    "allows for the choice of the kind.",
    "Differences are row 2 minus row 1, paired by subject, or by image where no subject is known; that of the worst "
    "score allows for the choice of both kinds. p is of the score on all corrupted images, adjusted for all pairs of a "
    "board.",
)

PAIRED = "Paired differences"
GAPS = (
    "Not tested at every severity: {}. A stopped run leaves such gaps; repeat 'fer-bench run' with the same --corrupt, "
    "or with --corrupt all for every kind."
)


def to_tables(rows: Sequence[DamagedRow], *, kinds: bool = False) -> list[Table]:
    """Return for each board a table and one of its pairs, and where asked for one of the kinds of each row."""
    tables: list[Table] = []
    for _, group in itertools.groupby(rows, key=lambda one: one.board):
        board = list(group)
        metric = board[0].robustness.mean.metric
        gaps = dict.fromkeys(row.gaps for row in board if row.gaps)
        tables.append(tabulate(board, _fields(metric), board[0].board, [GAPS.format(text) for text in gaps]))
        if pairs := compare_rows(board):
            tables.append(tabulate(pairs, pair_fields(metric, board), PAIRED))
    paired = any(table.title == PAIRED for table in tables)
    if kinds:
        tables += [_kinds(row) for row in rows]
    return [*tables, Table(notes=NOTES if paired else NOTES[:1])]


def _fields(metric: Metric) -> tuple[Field[DamagedRow], ...]:
    better = "higher" if metric.higher_is_better else "lower"
    scale = scale_of(metric)

    return (
        (Column("backbone"), lambda one: one.parts[0]),
        (Column("strategy"), lambda one: " / ".join(filter(None, one.parts[1:]))),
        (
            Column(f"clean {title_of(metric)}", "number", better),
            lambda one: percent(one.robustness.clean.value, scale=scale),
        ),
        *score_fields(metric, lambda one: one),
    )


def score_fields(
    metric: Metric, find: Callable[[Item], DamagedRow | None], measured: str = ""
) -> tuple[Field[Item], ...]:
    """Return the columns of scores on corrupted images, each with its interval.

    Args:
        metric: of the scores.
        find: returns what an item scored; None where it scored nothing.
        measured: what stands in the titles beside ``corrupted`` and ``worst``.
    """
    better = "higher" if metric.higher_is_better else "lower"
    scored = f" {measured}" if measured else ""

    def shown(show: Callable[[DamagedRow], Cell]) -> Callable[[Item], Cell]:
        def cell(item: Item) -> Cell:
            row = find(item)
            return None if row is None else show(row)

        return cell

    def mean(one: DamagedRow) -> Cell:
        robustness = one.robustness
        return _estimate(robustness.mean.value, robustness.interval(robustness.mean), scale_of(metric))

    def worst(one: DamagedRow) -> Cell:
        robustness = one.robustness
        return _estimate(robustness.kinds[robustness.worst].value, robustness.worst_interval(), scale_of(metric))

    def flips(one: DamagedRow) -> Cell:
        robustness = one.robustness
        return _estimate(robustness.flips.value, robustness.interval(robustness.flips), 1, digits=2)

    return (
        (Column(f"corrupted{scored}", "number", better), shown(mean)),
        (Column(f"worst{scored}", "number", better), shown(worst)),
        (Column("worst kind", optional=True), shown(lambda one: one.robustness.worst)),
        (Column("flips", "number", "lower"), shown(flips)),
    )


def _estimate(value: float, interval: Interval, scale: float, digits: int = 1) -> Cell:
    return percent(value, (interval.low, interval.high), scale=scale, digits=digits)


def pair_fields(metric: Metric, board: Sequence[DamagedRow]) -> tuple[Field[DamagedPair], ...]:
    """Return the columns of two rows of a board on corrupted images."""
    scale, parts = scale_of(metric), [row.parts for row in board]
    names = dict(zip(parts, shorten(parts), strict=True))

    def difference(of: str, factor: float, digits: int) -> Field[DamagedPair]:
        def cell(pair: DamagedPair) -> Cell:
            one: Difference | ExtremeDifference = getattr(pair, of)
            return percent(one.value, find_ends(one), scale=factor, sign="+", digits=digits)

        return Column({"mean": "corrupted"}.get(of, of), "number"), cell

    return (
        (Column("row 1"), lambda pair: names[pair.first.parts]),
        (Column("row 2"), lambda pair: names[pair.second.parts]),
        difference("mean", scale, 1),
        (Column("p", "number"), lambda pair: write_p(pair.p_value)),
        difference("worst", scale, 1),
        difference("flips", 1, 2),
    )


def _kinds(row: DamagedRow) -> Table:
    """Return the score of each kind at each severity."""
    scale, severities = scale_of(row.robustness.mean.metric), sorted({one.severity for one in row.scores})

    def at(severity: int) -> Field[str]:
        def cell(kind: str) -> Cell:
            scores = [
                estimate for one, estimate in row.scores.items() if one.series == kind and one.severity == severity
            ]
            return percent(scores[0].value, scale=scale) if scores else None

        return Column(str(severity), "number"), cell

    def mean(kind: str) -> Cell:
        estimate = row.robustness.kinds[kind]
        return _estimate(estimate.value, row.robustness.interval(estimate), scale)

    fields: tuple[Field[str], ...] = (
        (Column("kind"), lambda kind: kind),
        *(at(severity) for severity in severities),
        (Column("mean", "number"), mean),
    )
    clean = f"{scale * row.robustness.clean.value:.1f}"
    return tabulate([*row.robustness.kinds], fields, f"{row.name} by severity; clean: {clean}")


def record(rows: Sequence[DamagedRow]) -> dict[str, Any]:
    """Return the report as plain JSON."""

    def ends(interval: Interval) -> list[float]:
        return [interval.low, interval.high]

    def difference(one: Difference | ExtremeDifference) -> dict[str, float | None]:
        low, high = find_ends(one)
        return {"value": one.value, "low": low, "high": high, "p_value": one.p_value}

    return {
        "rows": [
            {
                **row.experiment.texts,
                "metric": robustness.mean.metric.name,
                "clean": robustness.clean.value,
                "corrupted": {"value": robustness.mean.value, "interval": ends(robustness.interval(robustness.mean))},
                "worst": {
                    "kind": robustness.worst,
                    "value": robustness.kinds[robustness.worst].value,
                    "interval": ends(robustness.worst_interval()),
                },
                "flips": {"value": robustness.flips.value, "interval": ends(robustness.interval(robustness.flips))},
                "kinds": {kind: one.value for kind, one in robustness.kinds.items()},
                "scores": {str(one): estimate.value for one, estimate in row.scores.items()},
            }
            for row in rows
            for robustness in [row.robustness]
        ],
        "pairs": [
            {
                "first": pair.first.name,
                "second": pair.second.name,
                **{name: difference(getattr(pair, name)) for name in ("mean", "worst", "flips")},
                "p_adjusted": pair.p_value,
            }
            for pair in compare_rows(rows)
        ],
    }
