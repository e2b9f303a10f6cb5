"""Two rows side by side as tables, and as a record for JSON."""

from __future__ import annotations

from typing import Any

from fer_bench.evaluation.intervals import FEW_UNITS
from fer_bench.reports.pair import Difference, Pair
from fer_bench.reports.table import Cell, Column, Shown, Table, numbers, texts

SCHEMA = 1
METRICS = (
    *(Column("metric"), *numbers("A", "B", "B - A", "95 % interval")),
    *(Column("p", "number"), Column("better")),
)


def to_tables(pair: Pair, shown: int | None = None) -> list[Table]:
    """Return what A and B are, their metrics, and what differs in spec and provenance.

    Args:
        pair: of rows.
        shown: how many differences of each kind to show; None is all.
    """
    sides = tuple((side, row.id[:8], row.name) for side, row in (("A", pair.first), ("B", pair.second)))
    return [
        Table("", texts("", "id", "row"), sides),
        Table("", METRICS, tuple(map(_cells, pair.metrics)), tuple(_notes(pair))),
        _differences("spec", pair.spec, shown),
        _differences("provenance", pair.provenance, shown),
    ]


def record(pair: Pair) -> dict[str, Any]:
    """Return the comparison as plain values."""
    answers = pair.answers
    return {
        "schema": SCHEMA,
        "first": {"id": pair.first.id, "name": pair.first.name},
        "second": {"id": pair.second.id, "name": pair.second.name},
        "paired": pair.samples,
        "unit": pair.unit,
        "units": pair.units,
        "only": {"first": pair.only[0], "second": pair.only[1]},
        "unpaired": pair.unpaired,
        "right": {"only_first": answers.only_first, "only_second": answers.only_second} if answers else None,
        "metrics": {line.metric.name: _record(line) for line in pair.metrics},
        "faults": list(pair.faults),
        "spec": [dict(zip(("field", "first", "second"), line, strict=True)) for line in pair.spec],
        "provenance": [dict(zip(("field", "first", "second"), line, strict=True)) for line in pair.provenance],
    }


def _notes(pair: Pair) -> list[str]:
    lines = [f"not paired: {pair.unpaired}; A and B are scores of their own"] if pair.unpaired else []
    if pair.answers is not None:
        lines.append(
            f"paired: {pair.samples:,} predictions, {pair.units:,} {pair.unit}"
            + (f"; A alone has {pair.only[0]:,}, B alone {pair.only[1]:,}" if any(pair.only) else "")
        )
        lines.append(f"only A is right on {pair.answers.only_first:,}, only B on {pair.answers.only_second:,}")
        lines.append(
            "intervals by bootstrap; p by paired permutations for accuracy and UAR, else by bootstrap, two-sided, not "
            "corrected for several metrics"
        )
        if pair.units < FEW_UNITS:
            lines.append(f"{pair.units} {pair.unit} are few: the intervals are too narrow")
    return [*lines, *pair.faults]


def _differences(what: str, lines: tuple[tuple[str, object, object], ...], shown: int | None) -> Table:
    title = f"What differs in {what}"
    if not lines:
        return Table(f"{title}: nothing")
    rows = tuple((name, *("nothing" if part is None else str(part) for part in parts)) for name, *parts in lines)
    more = () if shown is None or len(rows) <= shown else (f"and {len(rows) - shown} more; see --format json",)
    return Table(title, texts("field", "A", "B"), rows[:shown], more)


def _cells(line: Difference) -> tuple[Cell, ...]:
    gap = line.interval
    if gap is None or line.p_value is None:
        return line.metric.title, line.first, line.second, None, None, None, ""
    better = ""
    if line.p_value < 1 - gap.level:
        better = "B" if (gap.estimate > 0) == line.metric.higher_is_better else "A"
    return (
        *(line.metric.title, line.first, line.second),
        Shown(_change(gap.estimate), gap.estimate),
        Shown(f"{_change(gap.low)} to {_change(gap.high)}", gap.low),
        Shown("< 0.0001" if line.p_value < 1e-4 else f"{line.p_value:.4f}", line.p_value),
        better,
    )


def _record(line: Difference) -> dict[str, Any]:
    gap = line.interval
    return {
        "first": line.first,
        "second": line.second,
        "difference": gap.estimate if gap else None,
        "low": gap.low if gap else None,
        "high": gap.high if gap else None,
        "level": gap.level if gap else None,
        "p_value": line.p_value,
        "test": line.test if gap else None,
        "higher_is_better": line.metric.higher_is_better,
    }


def _change(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no negative zero
