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
from fer_bench.evaluation.variances import (
    DATA_SET_SD,
    SEED_SD,
    Variance,
    Variances,
    assume_noise,
    assume_variances,
    foresee_variances,
    measure_variances,
)
from fer_bench.reports.across import find_blocks, say_unnamed
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.pair import pair_rows
from fer_bench.reports.standing import PERCENT
from fer_bench.reports.table import Cell, Shown, Table, numbers
from fer_bench.results.rows import MethodRow
from fer_bench.sizes import number_of

SEEDS = (1, 2, 3, 5, 10)
"""Numbers of seeds that are looked at."""
ENOUGH_SEEDS = 5
"""With which the answer in short is given: two or three show little of their noise."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a forecast rests on.

    Attributes:
        metric: which.
        variances: of the difference of two methods.
        design: what is there: units of a data set on average, seeds of the row with fewer, data sets.
        unit: what the units are, in the plural.
        origin: where the variances come from, in words.
        notes: what is assumed of seeds and data sets, or not known.
    """

    metric: Metric
    variances: Variances
    design: Design
    unit: str
    origin: str
    notes: tuple[str, ...] = ()


def measure_pairs(first: Sequence[MethodRow], second: Sequence[MethodRow], metric: Metric) -> Basis:
    """Return what two methods show, each with a row on the same data sets; of several boards of a data set, the first.

    Raises:
        FerBenchError: two rows cannot be paired, or have one subject.
    """
    others = {row.experiment.dataset.fingerprint: row for row in second}
    pairs = [(row, other) for row in first if (other := others.get(row.experiment.dataset.fingerprint)) is not None]
    blocks = find_blocks({index: row.experiment.dataset for index, (row, _) in enumerate(pairs)})
    unnamed = say_unnamed([row.experiment.dataset for row, _ in pairs])
    pairs = [pairs[min(block)] for block in blocks]
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
        + (f" and on {number_of(len(pairs) - 1, 'more data set')}" if len(pairs) > 1 else ""),
        notes=tuple(unnamed),
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

    Of a share, such as UAR, what nobody says is assumed, and its upper limit is twice as much.

    Args:
        basis: measured or assumed.
        units: of the planned data; None: as many as there are.
        seed_sd: standard deviation of a score over trainings, for where it is not measured.
        data_set_sd: likewise of the true difference over data sets.
    """
    variances, notes, share = basis.variances, list[str](), basis.metric.name in PERCENT
    if variances.random is False:
        notes.append("All seeds agree: nothing here is random, and more seeds change nothing.")
    if variances.seed is None and (seed_sd is not None or share):
        noise = assume_noise(math.sqrt(2) * SEED_SD) if seed_sd is None else _state(math.sqrt(2) * seed_sd)
        variances = replace(variances, seed=noise)
    if basis.variances.seed is None and seed_sd is None:
        notes.append(
            _explain_unknown("another training changes", SEED_SD if share else None, "--seed-sd", "more seeds")
        )
    if variances.dataset is None and (data_set_sd is not None or share):
        variances = replace(
            variances, dataset=assume_noise(DATA_SET_SD) if data_set_sd is None else _state(data_set_sd)
        )
    if basis.variances.dataset is None and data_set_sd is None:
        assumed = DATA_SET_SD if share else None
        notes.append(
            _explain_unknown("differences vary between data sets", assumed, "--data-set-sd", "on more data sets")
        )
    design = replace(basis.design, units=units or basis.design.units)
    return replace(basis, variances=variances, design=design, notes=(*basis.notes, *notes))


def _state(deviation: float) -> Variance:
    """Return a variance that a user states, which is its own limit."""
    return Variance(value=deviation**2, most=deviation**2)


def _explain_unknown(what: str, assumed: float | None, option: str, more: str) -> str:
    """Return what is not known from one seed or data set, and what is taken for it."""
    stated = (
        "nothing is said of others"
        if assumed is None
        else f"a standard deviation of {100 * assumed:g} points is assumed, {200 * assumed:g} at the most"
    )
    return f"How much {what} is not known: {stated}. Run {more}, or say it by {option}."


def to_tables(basis: Basis, difference: float, power: float) -> list[Table]:
    """Return what shows a difference with a power, by numbers of seeds, with what is not known in notes."""
    facts = record(basis, difference, power)
    lines = facts["seeds"]
    n, apart = f"{basis.design.units:,} {basis.unit}", _points(basis.metric, difference)
    titles = (f"{basis.unit} needed", "at most", f"{n} tell apart", "at most")
    rows = [
        (
            line["seeds"],
            *map(_count, line["units"]),
            *(_points(basis.metric, value) for value in line["difference"]),
        )
        for line in lines
    ]
    title = f"Two rows that differ by {apart}: what tells them apart in {100 * power:g} % of cases"
    tables = [Table(title, numbers("seeds", *titles), tuple(rows), tuple(_explain(basis, facts)))]
    if basis.variances.dataset is not None:
        rows = [(line["seeds"], *map(_count, line["datasets"])) for line in lines]
        columns = numbers("seeds", "data sets needed", "at most")
        tables.append(Table(f"On other data sets of this kind, each of {n}", columns, tuple(rows)))
    return tables


def record(basis: Basis, difference: float, power: float) -> dict[str, Any]:
    """Return the forecast as plain JSON; lists hold an estimate and its upper limit, None where nothing will do."""
    both = basis.variances, basis.variances.raise_to_limits()
    noisy = basis.variances.random is True
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


def _explain(basis: Basis, facts: dict[str, Any]) -> list[str]:
    """Return the answer in short, where the numbers come from, and what they do not know."""
    seeds = facts["seeds_needed"]
    line = next((line for line in facts["seeds"] if line["seeds"] == ENOUGH_SEEDS), facts["seeds"][-1])
    trained = number_of(line["seeds"], "seed") if seeds is not None else "one seed"
    lines = [f"In short, with {trained}: {_name(line['units'], basis.unit)}."]
    if basis.variances.dataset is not None:
        sets = _name(line["datasets"], f"of {basis.design.units:,} {basis.unit}", "data sets ")
        lines[0] = f"{lines[0][:-1]}; for other data sets of this kind {sets}."
    if seeds is not None:
        lines.append(f"With {basis.design.units:,} {basis.unit}: {_name(seeds, 'seeds')}.")
    if basis.variances.random is not False:
        lines.append("With one seed: for these trained models only.")
    return [*lines, f"Variances {basis.origin}. At most: with each variance at its 95 % limit.", *basis.notes]


def _name(numbers: list[int | None], unit: str, before: str = "") -> str:
    """Return an estimate and its upper limit in words."""
    least, most = numbers
    if least is None:
        return f"no number of {before}{unit} is enough"
    limit = "no number is enough" if most is None else f"{most:,}"
    return f"{least:,} {before}{unit} (at most: {limit})"


def _count(number: int | None) -> Cell:
    return Shown("no number", math.inf) if number is None else number


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _points(metric: Metric, value: float | None) -> str:
    if value is None or (metric.name in PERCENT and value > 1):
        return "nothing"
    return f"{100 * value:.1f} points" if metric.name in PERCENT else f"{value:.4f}"
