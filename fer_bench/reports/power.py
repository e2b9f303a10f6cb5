"""What stored rows, or assumptions, say of the subjects, seeds and data sets that a comparison needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.power import Design, count_datasets, count_seeds, count_units, find_difference
from fer_bench.evaluation.variances import Variance, Variances, assume_variances, foresee_variances, measure_variances
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.pair import pair_rows
from fer_bench.reports.standing import PERCENT
from fer_bench.reports.table import Cell, Shown, Table, numbers
from fer_bench.results.rows import MethodRow

SEEDS = (1, 2, 3, 5, 10)
"""Numbers of seeds that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a forecast rests on.

    Attributes:
        metric: which.
        variances: of the difference of two methods.
        design: what is there: units of a data set on average, seeds of the row with fewer, data sets.
        unit: what the units are, in the plural.
        origin: where the variances come from, in words.
    """

    metric: Metric
    variances: Variances
    design: Design
    unit: str
    origin: str


def measure_pairs(first: Sequence[MethodRow], second: Sequence[MethodRow], metric: Metric) -> Basis:
    """Return what two methods show, each with a row on the same data sets.

    Raises:
        FerBenchError: two rows cannot be paired, or have one subject.
    """
    others = {row.experiment.dataset.fingerprint: row for row in second}
    pairs = [(row, other) for row in first if (other := others.get(row.experiment.dataset.fingerprint)) is not None]
    if not pairs:
        raise FerBenchError(f"{first[0].name} and {second[0].name} have no data set in common; name two that do.")
    estimates: list[tuple[Estimate, Estimate]] = []
    units: list[int] = []
    unit = ""
    for row, other in pairs:
        why, both = pair_rows(row, other)
        if both is None or both[0].n_units < 2:
            raise FerBenchError(f"{row.name} and {other.name} cannot be compared: {why or 'one subject only'}.")
        estimates.append((measure_row(metric, both[0]), measure_row(metric, both[1])))
        units.append(both[0].n_units)
        unit = both[0].unit_word
    seeds = min(len(one.series) for pair in estimates for one in pair)
    return Basis(
        metric=metric,
        variances=measure_variances(estimates, units),
        design=Design(units=round(float(np.mean(units))), seeds=seeds, datasets=len(pairs)),
        unit=unit,
        origin=f"measured on {pairs[0][0].name} and {pairs[0][1].name}"
        + (f" and on {len(pairs) - 1} more data sets" if len(pairs) > 1 else ""),
    )


def measure_one(row: MethodRow, metric: Metric, together: float) -> Basis:
    """Return what one row shows of its comparison with a method that is not there.

    Raises:
        FerBenchError: it has no predictions, or one subject.
    """
    pooled = row.predictions
    if pooled is None or pooled.n_units < 2:
        raise FerBenchError(f"{row.name} has {'no predictions' if pooled is None else 'one subject'}: nothing to see.")
    one = measure_row(metric, pooled)
    return Basis(
        metric=metric,
        variances=foresee_variances(one, pooled.n_units, together),
        design=Design(units=pooled.n_units, seeds=len(one.series)),
        unit=pooled.unit_word,
        origin=f"measured on {row.name}; assumed: a method whose scores go together with its own by {together:g}",
    )


def assume(metric: Metric, images: float, recall: float, alike: float, together: float) -> Basis:
    """Return what assumptions say of two rows; the arguments are those of `assume_variances`."""
    return Basis(
        metric=metric,
        variances=assume_variances(images, recall, alike, together),
        design=Design(units=40),
        unit="subjects",
        origin=f"assumed: {images:g} images a subject, recalls of {recall:g}, answers of a subject alike by {alike:g}, "
        f"rows together by {together:g}",
    )


def complete(basis: Basis, units: int | None, seed_sd: float | None, data_set_sd: float | None) -> Basis:
    """Return a basis with what the user plans and assumes; what was measured stays.

    Args:
        basis: measured or assumed.
        units: of the planned data; None: as many as there are.
        seed_sd: standard deviation of a score over trainings, for where it is not measured.
        data_set_sd: likewise of the true difference over data sets.
    """
    known = basis.variances
    if seed_sd is not None and known.seed is None:
        known = replace(known, seed=Variance(value=2 * seed_sd**2, most=2 * seed_sd**2))
    if data_set_sd is not None and known.dataset is None:
        known = replace(known, dataset=Variance(value=data_set_sd**2, most=data_set_sd**2))
    return replace(basis, variances=known, design=replace(basis.design, units=units or basis.design.units))


def to_tables(basis: Basis, difference: float, power: float) -> list[Table]:
    """Return what shows a difference with a power, by numbers of seeds, with what is not known in notes."""
    known = record(basis, difference, power)
    lines = known["seeds"]
    n, apart = f"{basis.design.units:,} {basis.unit}", _points(basis.metric, difference)
    titles = (f"{basis.unit} needed", "at most", f"{n} tell apart", "at most")
    rows = [
        (
            f"{line['seeds']} (these trained models only)" if line["seeds"] == 1 else line["seeds"],
            *map(_count, line["units"]),
            *(_points(basis.metric, value) for value in line["difference"]),
        )
        for line in lines
    ]
    title = f"Two rows that differ by {apart}: what tells them apart in {100 * power:g} % of cases"
    tables = [Table(title, numbers("seeds", *titles), tuple(rows), tuple(_explain(basis, known["seeds_needed"])))]
    if basis.variances.dataset is not None:
        rows = [(line["seeds"], *map(_count, line["datasets"])) for line in lines]
        columns = numbers("seeds", "data sets needed", "at most")
        tables.append(Table(f"On other data sets of this kind, each of {n}", columns, tuple(rows)))
    return tables


def record(basis: Basis, difference: float, power: float) -> dict[str, Any]:
    """Return the forecast as plain JSON; lists hold an estimate and its upper limit, None where nothing will do."""
    both = basis.variances, basis.variances.raise_to_limits()
    noisy = basis.variances.seed is not None and basis.variances.seed.value > 0
    return {
        "schema": 1,
        "metric": basis.metric.name,
        "difference": difference,
        "power": power,
        "origin": basis.origin,
        "unit": basis.unit,
        **asdict(basis.design),
        "variances": asdict(basis.variances),
        "seeds_needed": [count_seeds(one, basis.design, difference, power) for one in both] if noisy else None,
        "seeds": [
            {
                "seeds": seeds,
                "units": [count_units(one, design, difference, power) for one in both],
                "difference": [_finite(find_difference(one, design, power)) for one in both],
                "datasets": [count_datasets(one, design, difference, power) for one in both],
            }
            for seeds in (sorted({*SEEDS, basis.design.seeds}) if noisy else (1,))
            for design in [replace(basis.design, seeds=seeds, datasets=1)]
        ],
    }


def _explain(basis: Basis, seeds: list[int | None] | None) -> list[str]:
    """Return where the numbers come from and what they do not know."""
    said = [f"Variances {basis.origin}. At most: with each variance at its 95 % limit."]
    if basis.variances.seed is None:
        said.append(
            "How much another training would change is not known from one seed: the numbers are of these trained "
            "models only. Run more seeds, or say it by --seed-sd."
        )
    elif basis.variances.seed.value == 0:
        said.append("All seeds agree: nothing here is random, and more seeds change nothing.")
    if seeds is not None:
        least, most = ("no number of" if number is None else f"{number:,}" for number in seeds)
        said.append(f"With {basis.design.units:,} {basis.unit} that takes {least} seeds, {most} at most.")
    if basis.variances.dataset is None:
        said.append("How methods differ between data sets is not known from one of them; say it by --data-set-sd.")
    return said


def _count(number: int | None) -> Cell:
    return Shown("no number", math.inf) if number is None else number


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _points(metric: Metric, value: float | None) -> str:
    if value is None:
        return "nothing"
    return f"{100 * value:.1f} points" if metric.name in PERCENT else f"{value:.4f}"
