"""Two rows side by side as terminal lines, markdown and JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from fer_bench.evaluation.intervals import FEW_UNITS
from fer_bench.reports.gate_formats import escape_cell
from fer_bench.reports.pair import Difference, Pair

SCHEMA = 1
COLUMNS = ("metric", "A", "B", "B - A", "95 % interval", "p", "better")


def table(pair: Pair) -> list[tuple[str, ...]]:
    """Return a line of text cells for each metric, as in ``COLUMNS``."""
    return [_line(line) for line in pair.metrics]


def notes(pair: Pair) -> list[str]:
    """Return what is to be said beside the table."""
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


def to_markdown(pair: Pair) -> str:
    """Return the comparison as a markdown section; names cannot break out of their cells."""
    lines = ["# Comparison", "", f"- A: {escape_cell(pair.first.name)}", f"- B: {escape_cell(pair.second.name)}", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * 5} --- |"]
    lines += [f"| {' | '.join(map(escape_cell, line))} |" for line in table(pair)]
    lines += ["", *(f"- {escape_cell(note)}" for note in notes(pair))]
    for title, found in (("spec", pair.spec), ("provenance", pair.provenance)):
        lines += ["", f"## What differs in {title}", ""]
        lines += ["| field | A | B |", "| --- | --- | --- |"] if found else ["Nothing."]
        lines += [f"| {' | '.join(escape_cell(text(value)) for value in difference)} |" for difference in found]
    return "\n".join(lines) + "\n"


def to_json(pair: Pair) -> str:
    """Return the comparison as JSON; what is not finite is null."""
    document = {
        "schema": SCHEMA,
        "first": {"id": pair.first.id, "name": pair.first.name},
        "second": {"id": pair.second.id, "name": pair.second.name},
        "paired": pair.samples,
        "unit": pair.unit,
        "units": pair.units,
        "only": {"first": pair.only[0], "second": pair.only[1]},
        "unpaired": pair.unpaired,
        "right": None
        if pair.answers is None
        else {"only_first": pair.answers.only_first, "only_second": pair.answers.only_second},
        "metrics": {line.metric.name: _record(line) for line in pair.metrics},
        "faults": list(pair.faults),
        "spec": [dict(zip(("field", "first", "second"), found, strict=True)) for found in pair.spec],
        "provenance": [dict(zip(("field", "first", "second"), found, strict=True)) for found in pair.provenance],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def text(value: object) -> str:
    """Return a value of a spec in words."""
    return "nothing" if value is None else str(value)


def _line(line: Difference) -> tuple[str, ...]:
    first, second = (_number(value) for value in (line.first, line.second))
    if line.interval is None or line.p_value is None:
        return line.metric.title, first, second, "", "", "", ""
    gap = line.interval
    better = ""
    if line.p_value < 1 - gap.level:
        better = "B" if (gap.estimate > 0) == line.metric.higher_is_better else "A"
    p = "< 0.0001" if line.p_value < 1e-4 else f"{line.p_value:.4f}"
    return (
        line.metric.title,
        first,
        second,
        _change(gap.estimate),
        f"{_change(gap.low)} to {_change(gap.high)}",
        p,
        better,
    )


def _record(line: Difference) -> dict[str, Any]:
    gap = line.interval
    return {
        "first": _finite(line.first),
        "second": _finite(line.second),
        "difference": _finite(gap.estimate if gap else None),
        "low": _finite(gap.low if gap else None),
        "high": _finite(gap.high if gap else None),
        "level": gap.level if gap else None,
        "p_value": _finite(line.p_value),
        "test": line.test if gap else None,
        "higher_is_better": line.metric.higher_is_better,
    }


def _change(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # no negative zero


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
