"""How far the probabilities of a row can be believed, before and after its cells calibrated them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.evaluation.metrics import STANDARD, score_seeds
from fer_bench.learning.calibration import unscale
from fer_bench.reports.row import Row
from fer_bench.reports.table import Cell, Column, Field, Shown, number, show
from fer_bench.results.canonical import Amount, Count, Record


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord(Record):
    """What calibration did to a row.

    Attributes:
        nll_before: mean negative log-likelihood of the same cells without it, in nats.
        ece_before: expected calibration error, likewise.
        temperature_lowest: of the cells; ``temperature_highest`` likewise.
        bounded: cells whose temperature or biases reached their bound.
    """

    nll_before: Amount
    ece_before: Amount
    temperature_lowest: Amount
    temperature_highest: Amount
    bounded: Count


def measure_calibration(row: Row) -> CalibrationRecord | None:
    """Return what calibration did to a row; None where its cells did not calibrate."""
    if row.baseline or row.pooled is None:
        return None
    cells = [cell.measures.calibration for cell in row.cells if cell.ok]
    fitted = [scaling for scaling in cells if scaling]
    if not fitted:
        return None
    before = row.pooled.probabilities.astype(np.float64)
    for place, scaling in enumerate(cells):
        if scaling:
            own = row.pooled.cell == place
            before[own] = unscale(before[own], scaling.temperature, scaling.biases)
    nll, ece = (
        float(score_seeds(STANDARD[name], row.pooled.labels, before, row.pooled.training).mean())
        for name in ("nll", "ece")
    )
    temperatures = [scaling.temperature for scaling in fitted]
    return CalibrationRecord(
        nll_before=nll,
        ece_before=ece,
        temperature_lowest=min(temperatures),
        temperature_highest=max(temperatures),
        bounded=sum(scaling.bounded for scaling in fitted),
    )


def fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of how far probabilities can be believed; where a row is calibrated, also of before."""
    records = {id(row): measure_calibration(row) for row in board}

    def score(name: str) -> Field[Row]:
        column = Column(STANDARD[name].title, "number", "lower")
        return column, lambda row: number(row.scores[name].mean if name in row.scores else None, ".3f")

    def before(name: str) -> Field[Row]:
        column = Column(f"{name.upper()} before", "number", "lower")
        return column, show(records, lambda record: number(getattr(record, f"{name}_before"), ".3f"))

    def temperature(record: CalibrationRecord) -> Cell:
        low, high = f"{record.temperature_lowest:.2f}", f"{record.temperature_highest:.2f}"
        return Shown(low if low == high else f"{low} to {high}", record.temperature_lowest)

    if not any(records.values()):
        return [score(name) for name in ("nll", "brier", "ece", "adaptive_ece")]
    return [
        before("nll"),
        score("nll"),
        before("ece"),
        score("ece"),
        (Column("temperature", "number"), show(records, temperature)),
        score("brier"),
        score("adaptive_ece"),
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """Return a line for each row of which a temperature or a bias reached its bound."""
    lines: list[str] = []
    for row in rows:
        scalings = None if row.baseline else [cell.measures.calibration for cell in row.cells if cell.ok]
        if bounded := [each.temperature for each in scalings or () if each and each.bounded]:
            lines.append(
                f"{row.dataset} / {row.method}: in {len(bounded)} of {row.ok} cells the calibration stopped at its "
                f"bound (temperature {min(bounded):.2f} to {max(bounded):.2f}), since the validation part has no error "
                "or the answers say nothing of it."
            )
    return lines
