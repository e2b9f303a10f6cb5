"""A verdict in words, as a table and as JSON."""

from __future__ import annotations

import math
from typing import Any

from fer_bench.claims.judging import REPEATED, ClaimTerms, Measured
from fer_bench.claims.verdict import Judgement
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports.table import Cell, Shown, Table, numbers, texts
from fer_bench.sizes import number_of


def summary(judged: Judgement) -> str:
    """Return the verdict in a line: what was measured, and why that is not what is claimed."""
    claim, metric, measured = judged.claim, judged.metric, judged.measured
    if measured is None:
        return f"{judged.verdict}: {judged.why}."
    text = (
        f"{judged.verdict}: {metric.title} {_number(metric, measured.value)} ({_ends(metric, measured)}) on "
        f"{number_of(len(measured.labels), 'image')}; {_number(metric, claim.score)} is claimed"
    )
    if (reason := judged.reason) is not None:
        reached = f"{_number(metric, reason.reached.value)} ({_ends(metric, reason.reached)}) on {reason.where}"
        return f"{text}. {reason.what[0].upper()}{reason.what[1:]} it reaches {reached}, so {reason.so}."
    if abs(measured.value - claim.score) <= REPEATED:
        return f"{text}, the same to the last digit."
    if judged.verdict == "CONFIRMED":
        return f"{text}; a shortfall of {_margin(metric, claim.margin)} or more is excluded."
    if judged.verdict == "REFUTED":
        return f"{text}. None of {judged.searched:,} other settings explains it."
    return f"{text}; these images show neither that it holds nor that it fails. {_needed(judged, measured)}".rstrip()


def to_table(judged: Judgement) -> Table:
    """Return the claimed score, the measured one and that of the reason, one below the other."""
    metric, claim = judged.metric, judged.claim
    units = f"{judged.unit}s"
    heads = (*texts(""), *numbers(metric.title, "95 % interval", "images", *([units] if units != "images" else [])))
    rows: list[tuple[Cell, ...]] = [("claimed", _cell(metric, claim.score), None, None)]
    measured = [("measured", judged.measured), ("without copies of training images", judged.apart)]
    reached = [] if judged.reason is None else [(judged.reason.what, judged.reason.reached)]
    for name, one in (*measured, *reached):
        if one is not None and not (reached and name != reached[0][0] and one is reached[0][1]):
            interval = Shown(_ends(metric, one), one.shown.low)
            rows.append((name, _cell(metric, one.value), interval, len(one.labels)))
            if units != "images":
                rows[-1] += (one.shown.units,)
    width = len(heads)
    title = f"{claim.title or judged.model}: {judged.dataset}"
    return Table(title, heads, tuple((*row, None)[:width] for row in rows), judged.notes)


def to_json(judged: Judgement) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    reason = judged.reason
    return {
        "schema": 1,
        "verdict": judged.verdict,
        "claim": judged.claim.model_dump(mode="json"),
        "model": judged.model,
        "dataset": judged.dataset,
        "why": judged.why,
        "measured": _record(judged.measured),
        "without_copies": _record(judged.apart),
        "unit": judged.unit,
        "settings_tried": judged.searched,
        "reason": None
        if reason is None
        else {
            "kinds": list(reason.kinds),
            "what": reason.what,
            "so": reason.so,
            "where": reason.where,
            "reached": _record(reason.reached),
        },
        "notes": list(judged.notes),
    }


def _record(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    shown = measured.shown
    interval = {"low": shown.low, "high": shown.high, "level": shown.level}
    return {"score": shown.estimate, **interval, "images": len(measured.labels), "units": shown.units}


def _needed(judged: Judgement, measured: Measured) -> str:
    """Return how many images would settle a claim, as far as the standard error shrinks with their root."""
    claim = judged.claim
    terms = ClaimTerms(metric=judged.metric, claimed=claim.score, margin=claim.margin, alpha=claim.alpha)
    end = min((measured.bounds.low, measured.bounds.high), key=lambda value: terms.gain(value, measured.value))
    reach, left = terms.gain(measured.value, end), terms.gain(measured.value, terms.claimed) + terms.margin
    if left <= 0:
        return ""
    units = math.ceil(measured.shown.units * (reach / left) ** 2)
    return f"About {units:,} {judged.unit}s like these would confirm it, if the score stays."


def _cell(metric: Metric, value: float) -> Shown:
    return Shown(_number(metric, value), value)


def _number(metric: Metric, value: float) -> str:
    """Return a score in points, or as it is where it has no largest value of 1."""
    return f"{100 * value:.1f}" if metric.highest == 1 else f"{value:.3f}"


def _ends(metric: Metric, measured: Measured) -> str:
    return f"{_number(metric, measured.shown.low)} to {_number(metric, measured.shown.high)}"


def _margin(metric: Metric, margin: float) -> str:
    return f"{100 * margin:g} points" if metric.highest == 1 else f"{margin:g}"
