"""What changed between two baselines: rows, samples, scores with their paired difference, seeds and versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fer_bench.data.texts import listed
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.pair import pair_predictions
from fer_bench.reports.table import Cell, Column, Shown, Table, number, numbers, span, texts
from fer_bench.results.baseline import FrozenRow
from fer_bench.results.canonical import to_json
from fer_bench.results.predictions import Predictions
from fer_bench.results.versions import differences, write_value

NOT_COMPARED = ("name", "file", "sha256", "from.cells")
"""Fields of the index that follow from others."""


@dataclass(frozen=True, kw_only=True)
class RowDiff:
    """A row that both baselines have.

    Attributes:
        name: of the row.
        scores: of A and of B, of all that each tested.
        difference: B minus A, with its paired test; None where nothing is paired, or too little.
        unpaired: why nothing is paired; else empty.
        only: samples that A, or B, has and the other has not.
        trainings: of A and of B, each as (seed of the folds, seed).
        fields: (dotted name, A, B) of every field of the index that differs.
        same: whether the predictions are the same to the last digit.
    """

    name: str
    scores: tuple[float, float]
    difference: Difference | None
    unpaired: str
    only: tuple[tuple[str, ...], tuple[str, ...]]
    trainings: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    fields: tuple[tuple[str, object, object], ...]
    same: bool


@dataclass(frozen=True, kw_only=True)
class BaselineDiff:
    """What changed between the baselines A and B.

    Attributes:
        metric: of the scores.
        rows: that both have, by name.
        removed: names of rows that only A has; ``added`` of those that only B has.
    """

    metric: Metric
    rows: tuple[RowDiff, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def diff(first: Mapping[str, FrozenRow], second: Mapping[str, FrozenRow], metric: Metric) -> BaselineDiff:
    """Return what changed from one baseline to another, both as `load` returns them."""
    return BaselineDiff(
        metric=metric,
        rows=tuple(_compare(row, second[name], metric) for name, row in sorted(first.items()) if name in second),
        removed=tuple(sorted({*first} - {*second})),
        added=tuple(sorted({*second} - {*first})),
    )


def _compare(first: FrozenRow, second: FrozenRow, metric: Metric) -> RowDiff:
    a, b = first.predictions, second.predictions
    unpaired, both = pair_predictions((first.record.dataset, a), (second.record.dataset, b))
    difference = None
    if both is not None and both[0].n_units > 1:
        difference = compare_estimates(*(measure_row(metric, one) for one in both))
    ids = [set(listed(one.ids)) for one in (a, b)]
    changed = differences(to_json(first.record), to_json(second.record))
    return RowDiff(
        name=first.name,
        scores=(measure_row(metric, a).value, measure_row(metric, b).value),
        difference=difference,
        unpaired=unpaired,
        only=(tuple(sorted(ids[0] - ids[1])), tuple(sorted(ids[1] - ids[0]))),
        trainings=(_trainings(a), _trainings(b)),
        fields=tuple(field for field in changed if field[0] not in NOT_COMPARED),
        same=first.record.sha256 == second.record.sha256,
    )


def _trainings(one: Predictions) -> tuple[tuple[int, int], ...]:
    return tuple(sorted({*zip(one.dealt_by.tolist(), one.seed.tolist(), strict=True)}))


def to_tables(report: BaselineDiff) -> list[Table]:
    """Return the scores of the rows that both have, and what else differs in each."""
    title, notes = report.metric.title, [f"only in A: {name}" for name in report.removed]
    notes += [f"only in B: {name}" for name in report.added]
    notes += [f"not paired: {row.name}: {row.unpaired}" for row in report.rows if row.unpaired]
    if any(row.difference and not row.same for row in report.rows):
        notes.append("interval and p of a paired, two-sided test of each row, not corrected for several rows")
    if any(any(row.only) for row in report.rows):
        notes.append(f"{title} A and B are of all that each tested, B - A of the samples that both tested")
    columns = (Column("row"), *numbers(f"{title} A", f"{title} B", "B - A", "95 % interval", "p"))
    rows = tuple(map(_score_cells, report.rows))
    changes = tuple((row.name, *change) for row in report.rows for change in _changes(row))
    if not rows:
        return [Table("No row is in both.", notes=tuple(notes))]
    about = "What else differs" if changes else "What else differs: nothing"
    titles = texts("row", "field", "A", "B") if changes else ()
    return [Table("", columns, rows, tuple(notes)), Table(about, titles, changes)]


def record(report: BaselineDiff) -> dict[str, Any]:
    """Return the report as plain values."""
    rows = [
        {
            "name": row.name,
            "first": row.scores[0],
            "second": row.scores[1],
            "difference": None if row.difference is None else asdict(row.difference),
            "same": row.same,
            "unpaired": row.unpaired,
            "only": dict(zip(("first", "second"), row.only, strict=True)),
            "trainings": dict(zip(("first", "second"), row.trainings, strict=True)),
            "fields": [dict(zip(("field", "first", "second"), field, strict=True)) for field in row.fields],
        }
        for row in report.rows
    ]
    return {
        "schema": 1,
        "metric": report.metric.name,
        "rows": rows,
        "removed": list(report.removed),
        "added": list(report.added),
    }


def _score_cells(row: RowDiff) -> tuple[Cell, ...]:
    gap = row.difference
    if row.same:
        return row.name, *row.scores, Shown("same predictions", 0.0), None, None
    if gap is None:
        return row.name, *row.scores, None, None, None
    return (
        *(row.name, *row.scores),
        number(gap.value, "+z.4f"),
        span(gap.low, gap.high, "+z.4f", 1),
        number(gap.p_value, ".4f"),
    )


def _changes(row: RowDiff) -> list[tuple[str, str, str]]:
    """Return what differs in a row beside its score: field, A and B."""
    changes = [(name, write_value(a), write_value(b)) for name, a, b in row.fields]
    if row.trainings[0] != row.trainings[1]:
        a, b = (", ".join(f"{seed} on folds {folds}" for folds, seed in one) for one in row.trainings)
        changes.append(("seeds", a, b))
    if any(row.only):
        a, b = (f"{len(ids):,}, first {ids[0]}" if ids else "0" for ids in row.only)
        changes.append(("samples that the other has not", a, b))
    return changes
