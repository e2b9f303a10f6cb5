"""A leaderboard as records: its JSON, whose published schema is written from these classes, and one flat table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import Any, Literal

from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import cost, damage_columns, group_columns, parts, planned
from fer_bench.reports.calibrated import CalibrationRecord, measure_calibration
from fer_bench.reports.damaged import DamagedPair, DamageRecord, DifferencesRecord, record_row
from fer_bench.reports.group_columns import GroupIntervals
from fer_bench.reports.parts import GroupRecord, SoftRecord
from fer_bench.reports.planned import JudgedPlan, PlanRecord
from fer_bench.reports.row import Row, Score, Sources
from fer_bench.reports.searched import SearchRecord, describe_choice, measure_search
from fer_bench.reports.table import Cell, Table, texts
from fer_bench.results.canonical import Amount, AtLeastOne, AtLeastTwo, Count, Record, Share


@dataclass(frozen=True, kw_only=True)
class IntervalRecord(Record):
    """The confidence interval of a score; ``units`` are the subjects or images that were resampled, ``jackknife`` says
    whether models without two folds measured what other training data would change.
    """

    low: float
    high: float
    level: Share
    units: AtLeastTwo
    jackknife: bool


@dataclass(frozen=True, kw_only=True)
class ChanceRecord(Record):
    """As `fer_bench.evaluation.chance.Chance`."""

    uniform: Share
    prior: Share
    uar: Share
    uniform_limit: Share
    prior_limit: Share
    level: Share


@dataclass(frozen=True, kw_only=True)
class BehindRecord(Record):
    """The probability of being worse than the first row of the board by more than ``rope``."""

    rope: Amount
    probability: Share


@dataclass(frozen=True, kw_only=True)
class CellCounts(Record):
    """How many cells of a row are done, and how many failed."""

    ok: Count
    failed: Count


@dataclass(frozen=True, kw_only=True)
class RowRecord(Record):
    """A row; docs/leaderboard.md says what each field is. What is null is not known."""

    dataset: str
    limit: AtLeastTwo | None
    synthetic: bool
    protocol: str
    ignores: tuple[str, ...]
    labels: str
    trained_on: str
    folds: AtLeastOne
    seeds: AtLeastOne
    split_seeds: Count
    backbone: str
    strategy: str
    baseline: bool
    variant: str
    finished: str
    older: Count
    planned: bool | None
    precision: Literal["", "float32", "bfloat16"]
    classes: AtLeastTwo
    n: Count
    faces: Share | None
    scores: dict[str, Score]
    metric: str
    chance: ChanceRecord | None
    interval: IntervalRecord | None
    tier: str
    ranks: tuple[AtLeastOne, AtLeastOne] | None
    may_be_best: bool | None
    behind: BehindRecord | None
    above_baseline: bool | None
    sources: Sources | None
    folds_without_a_class: Count
    cells: CellCounts
    parameters: Count | None
    trained_parameters: Count | None
    seconds: Amount | None
    cost: dict[str, Count | Amount | None]
    coverage: Share | None
    groups: dict[str, GroupRecord]
    group_intervals: dict[str, GroupIntervals]
    soft: SoftRecord | None
    calibration: CalibrationRecord | None
    search: SearchRecord | None
    damage: DamageRecord | None
    converged: bool
    errors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardRecord(Record):
    """A leaderboard, a message for each cell that was left out of it, and the plan that was frozen before, if any."""

    schema: Literal[3]
    rows: tuple[RowRecord, ...]
    damaged: tuple[str, ...]
    plan: PlanRecord | None


def record(rows: Sequence[Row], damaged: Sequence[str], judged: JudgedPlan | None = None) -> dict[str, Any]:
    """Return a leaderboard as plain values that keep the schema of `BoardRecord`; scores lie in 0 to 1."""
    plan = planned.record(judged) if judged else None
    return asdict(BoardRecord(schema=3, rows=_records(rows), damaged=tuple(damaged), plan=plan))


def to_flat_table(rows: Sequence[Row]) -> Table:
    """Return all rows in one table for programs: scores 0 to 1, ``<metric>_mean`` and ``<metric>_std``."""
    flat = [_flatten(one) for one in _records(rows)]
    names = list(dict.fromkeys(name for row in flat for name in row)) or ["dataset"]
    return Table("", texts(*names), tuple(tuple(row.get(name) for name in names) for row in flat))


def _records(rows: Sequence[Row]) -> tuple[RowRecord, ...]:
    pairs: dict[str, DamagedPair] = {}
    intervals: dict[str, dict[str, GroupIntervals]] = {}
    for _, group in groupby(rows, key=lambda row: row.subject):
        board = list(group)
        pairs |= damage_columns.compare_to_first(board)
        intervals |= group_columns.record_intervals(board)
    return tuple(_record(row, intervals.get(row.id, {}), pairs.get(row.id)) for row in rows)


def _record(row: Row, intervals: dict[str, GroupIntervals], damage_to_first: DamagedPair | None) -> RowRecord:
    standing, interval, damaged = row.standing, row.interval, damage_columns.measure_damage(row)
    names = [field.name for field in fields(IntervalRecord)]
    ends = interval and IntervalRecord(**{name: getattr(interval, name) for name in names})
    return RowRecord(
        **{name: getattr(row, name) for name in SAME},
        metric=row.metric.name,
        chance=row.chance and ChanceRecord(**asdict(row.chance)),
        interval=ends,
        ranks=standing and standing.ranks,
        may_be_best=standing and standing.may_be_best,
        behind=None
        if standing is None or standing.behind is None
        else BehindRecord(rope=standing.rope, probability=round(standing.behind, 4)),
        above_baseline=standing and standing.above_baseline,
        folds_without_a_class=row.lacking,
        cells=CellCounts(ok=row.ok, failed=row.failed),
        seconds=None if row.seconds is None else round(row.seconds, 3),
        cost=cost.record(row),
        coverage=parts.measure_coverage(row),
        groups=parts.compare_groups(row),
        group_intervals=intervals,
        soft=parts.score_soft(row),
        calibration=measure_calibration(row),
        search=measure_search(row),
        damage=damaged and record_row(damaged, damage_to_first),
    )


def _flatten(record: RowRecord) -> dict[str, Cell]:
    """Return the record of a row without nesting; boards differ in their groups and metrics."""
    plain: dict[str, Any] = {field.name: getattr(record, field.name) for field in fields(record)}
    flat: dict[str, Cell] = {name: value for name, value in plain.items() if name not in NESTED}
    flat |= {"ignores": "; ".join(record.ignores), "errors": "; ".join(record.errors)}
    for name in sorted({*STANDARD, *record.scores}):
        flat |= _spread(name, Score, record.scores.get(name))
    flat |= {f"cost_{name}": value for name, value in record.cost.items()}
    for name, group in record.groups.items():
        flat |= _spread(f"group_{name}", GroupRecord, group)
    for name, known in record.group_intervals.items():
        flat |= _spread(f"group_{name}", GroupIntervals, known)
    flat |= _spread("soft", SoftRecord, record.soft)
    flat |= _spread("calibration", CalibrationRecord, record.calibration)
    flat |= _spread("search", SearchRecord, record.search, without=("chosen",))
    flat |= _spread("damage", DamageRecord, record.damage, without=("corruptions", "to_first"))
    flat |= _spread("damage_to_first", DifferencesRecord, record.damage and record.damage.to_first)
    flat["search_chosen"] = describe_choice(record.search.chosen) if record.search else None
    flat |= _spread("behind", BehindRecord, record.behind) | _spread("sources", Sources, record.sources)
    flat |= _spread("interval", IntervalRecord, record.interval, without=("level", "units"))
    flat["rank_low"], flat["rank_high"] = record.ranks or (None, None)
    flat |= _spread("chance", ChanceRecord, record.chance, without=("level",))
    return flat | _spread("cells", CellCounts, record.cells)


def _spread(prefix: str, kind: type[Record], part: Record | None, without: Sequence[str] = ()) -> dict[str, Cell]:
    """Return ``<prefix>_<field>`` -> value of each field of a kind of record; None where there is no record."""
    names = [field.name for field in fields(kind) if field.name not in without]
    return {f"{prefix}_{name}": getattr(part, name, None) for name in names}


SAME = (
    *("dataset", "limit", "synthetic", "protocol", "ignores", "labels", "trained_on", "folds", "seeds", "split_seeds"),
    *(
        "backbone",
        "strategy",
        "baseline",
        "variant",
        "finished",
        "older",
        "planned",
        "precision",
        "classes",
        "n",
        "faces",
    ),
    *("faces", "scores", "tier", "sources", "parameters", "trained_parameters", "converged", "errors"),
)
"""Fields of a record that are as in the row."""
NESTED = (
    *("scores", "chance", "soft", "calibration", "search", "damage", "interval", "ranks"),
    *("cost", "groups", "group_intervals", "cells", "behind", "sources"),
)
"""Fields of a row that hold several values, or None."""
