"""Two rows side by side as tables, and as a record for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from fer_bench.evaluation.equivalence import ENOUGH_UNITS
from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.reports.pair import Compared, Pair
from fer_bench.reports.planned import record_answer
from fer_bench.reports.table import Cell, Column, Shown, Table, number, numbers, texts, write_p
from fer_bench.results.versions import CODE, COMPONENTS, WORDS, write_value
from fer_bench.sizes import number_of

SCHEMA = 2
SWAP = str.maketrans("AB", "BA")
Differences = tuple[tuple[str, object, object], ...]
ROPE_COLUMNS = tuple(Column(f"{side} > rope %", "number", optional=True) for side in "AB")
METRICS = (
    *(Column("metric"), *numbers("A", "B", "B - A", "95 % interval")),
    *(Column("p", "number"), Column("better", optional=True)),
    *ROPE_COLUMNS,
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
        Table("", METRICS, tuple(map(_cells, pair.metrics)), tuple(_notes(pair)), _legend(pair)),
        _differences("What differs in settings", _in_words(pair.spec), shown),
        _differences("What differs in code, versions and machine", pair.provenance, shown),
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
        "plan": _record_plan(pair),
        "spec": [dict(zip(("field", "first", "second"), line, strict=True)) for line in pair.spec],
        "provenance": [dict(zip(("field", "first", "second"), line, strict=True)) for line in pair.provenance],
    }


def _record_plan(pair: Pair) -> dict[str, Any] | None:
    if pair.judged is None:
        return None
    answer = pair.judged.find(pair.first.id, pair.second.id)
    return {
        "digest": pair.judged.plan.digest,
        "planned": answer is not None,
        "answer": asdict(record_answer(answer)) if answer else None,
    }


def _notes(pair: Pair) -> list[str]:
    lines = [f"not paired: {pair.unpaired}; A and B are scores of their own"] if pair.unpaired else []
    if pair.samples:
        lines.append(
            f"paired: {number_of(pair.images, 'image')}"
            + (f" of {pair.units:,} {pair.unit}" if pair.unit != "images" else "")
            + (f", {number_of(pair.samples, 'prediction')}" if pair.samples != pair.images else "")
            + (f"; predictions of A alone: {pair.only[0]:,}, of B alone: {pair.only[1]:,}" if any(pair.only) else "")
        )
        if not pair.matched:
            lines.append(
                f"paired by image, not by seed: A and B have other seeds or folds ({pair.trainings[0]} and "
                f"{number_of(pair.trainings[1], 'training')})"
            )
        if pair.answers is not None:
            lines.append(
                f"A is right more often on {number_of(pair.answers.only_first, 'image')}, B on "
                f"{pair.answers.only_second:,}"
            )
        lines += _terms(pair)
        if 1 < pair.units < FEWEST_UNITS:
            lines.append(f"{pair.units} {pair.unit} are too few to show any difference at 5 %; 6 are the least")
        if pair.units == 1:
            lines.append(f"one of {pair.unit} cannot show a difference; expected two or more")
    return [*lines, *_plan(pair), *pair.faults]


def _plan(pair: Pair) -> list[str]:
    """Return whether a frozen plan asks this comparison, and its answer."""
    if pair.judged is None:
        return []
    plan = pair.judged.plan
    source = f"the plan of {plan.frozen[:16].replace('T', ' ')} UTC, digest {plan.digest[:12]}"
    answer = pair.judged.find(pair.first.id, pair.second.id)
    if answer is None:
        return [f"exploratory: {source}, does not ask this comparison"]
    better = answer.answer if answer.first.id == pair.first.id else answer.answer.translate(SWAP)
    return [
        f"planned: {source}; {better}: by {pair.judged.metric.title}, p {write_p(answer.p_value).text} for all "
        f"comparisons of the plan together ({len(plan.questions)}), margin {plan.margin:g}"
    ]


def _terms(pair: Pair) -> list[str]:
    """Return what the tests are about."""
    difference = next((line.difference for line in pair.metrics if line.difference), None)
    if difference is None:
        return []
    lines = ["interval and p of one paired test, two-sided, not corrected for several metrics"]
    if difference.seed_error is None:
        lines.append("one seed: it holds for these trained models only, not for another training")
    else:
        seeds = " and ".join(map(str, dict.fromkeys(pair.trainings)))
        lines.append(f"it holds for other {pair.unit} and other trainings: {seeds} seeds")
    if not any(line.equivalence for line in pair.metrics) and pair.units < ENOUGH_UNITS:
        lines.append(f"no probability of a difference: fewer than {ENOUGH_UNITS} {pair.unit}")
    return lines


def _legend(pair: Pair) -> tuple[tuple[str, str], ...]:
    """Return what the probabilities are, for where they are shown."""
    rope = next((line.equivalence.rope for line in pair.metrics if line.equivalence), None)
    if rope is None:
        return ()
    return ((ROPE_COLUMNS[0].title, f"A > rope, B > rope: probability that A, or B, is better by more than {rope:g}."),)


def _in_words(lines: Differences) -> Differences:
    """Return what differs in the specs as people say it, without what follows from another line.

    Components of other names have other code and plans, and other parameters make another plan.
    """
    fields = {line[0] for line in lines}
    worded: list[tuple[str, object, object]] = []
    for field, first, second in lines:
        part, _, name = field.partition(".")
        implied = CODE if f"{part}.name" in fields else ("plan_sha256",) if f"{part}.text" in fields else ()
        if part in COMPONENTS and name not in implied and (name != "name" or f"{part}.text" not in fields):
            worded.append((f"{part} {WORDS.get(name, name.removeprefix('params.'))}".rstrip(), first, second))
        elif part not in COMPONENTS:
            worded.append((field.replace(".", " "), first, second))
    return tuple(worded)


def _differences(title: str, lines: Differences, shown: int | None) -> Table:
    if not lines:
        return Table(f"{title}: nothing")
    rows = tuple((name, *map(write_value, parts)) for name, *parts in lines)
    more = () if shown is None or len(rows) <= shown else (f"and {len(rows) - shown} more; see --format json",)
    return Table(title, texts("field", "A", "B"), rows[:shown], more)


def _cells(line: Compared) -> tuple[Cell, ...]:
    gap, weighed = line.difference, line.equivalence
    if gap is None:
        return line.metric.title, line.first, line.second, None, None, None, "", None, None
    up = line.metric.higher_is_better
    ends = f"{_change(gap.low)} to {_change(gap.high)}" if math.isfinite(gap.high - gap.low) else "none"
    margins = (weighed.less, weighed.more) if weighed else (None, None)
    return (
        *(line.metric.title, line.first, line.second),
        Shown(_change(gap.value), gap.value),
        Shown(ends, gap.low),
        Shown("< 0.0005" if gap.p_value < 5e-4 else f"{gap.p_value:.4f}", gap.p_value),
        ("B" if (gap.value > 0) == up else "A") if gap.differs else "",
        *(number(share, ".0f", 100) for share in margins[:: 1 if up else -1]),
    )


def _record(line: Compared) -> dict[str, Any]:
    gap, weighed = line.difference, line.equivalence
    names = ("low", "high", "level", "p_value", "test", "unit_error", "seed_error", "df", "seeds")
    fields = {name: getattr(gap, name) if gap else None for name in names}
    return {
        "first": line.first,
        "second": line.second,
        "difference": gap.value if gap else None,
        **fields,
        "equivalence": None if weighed is None else asdict(weighed),
        "higher_is_better": line.metric.higher_is_better,
    }


def _change(value: float) -> str:
    return f"{value:+z.4f}"
