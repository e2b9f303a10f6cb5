"""Two rows, or two cells, side by side: paired differences of every metric, and what else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.evaluation.difference import Difference, Equivalence, compare_estimates, weigh_equivalence
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.extra import NOTHING
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.paired import McNemarTest, mcnemar_test
from fer_bench.results.predictions import Predictions, pair
from fer_bench.results.records import to_json
from fer_bench.results.rows import MethodRow
from fer_bench.results.versions import differences

PROVENANCE = ("code", "python", "jax", "device", "cpu", "platform", "xla_flags", "environment", "distributions")
"""What may explain a difference; command, settings and seeds are said by the cells."""


@dataclass(frozen=True)
class Compared:
    """A metric of two rows.

    Attributes:
        metric: which.
        first: of the first row, on the samples that both tested, or on its own where nothing is paired.
        second: of the second row.
        difference: second minus first with its test, not corrected for the number of metrics; None where nothing is
            paired.
        equivalence: how probable it is that they differ by more than a margin; None likewise.
    """

    metric: Metric
    first: float | None
    second: float | None
    difference: Difference | None = None
    equivalence: Equivalence | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rows side by side.

    Attributes:
        first: a row; likewise ``second``.
        samples: predictions that were paired; 0 if none.
        unit: what was resampled and swapped: ``subjects`` or ``samples``, ``units`` of them.
        only: predictions that the first row or the second row alone has.
        by_seed: whether the two rows have the same seeds in what was paired.
        unpaired: why nothing is paired; else empty.
        metrics: one line a metric.
        faults: messages of the metrics of plugins that failed.
        answers: McNemar's test of who was right; None where nothing is paired.
        spec: (dotted name, first, second) of what differs between the specs.
        provenance: likewise, between the provenance of the first cells.
    """

    first: MethodRow
    second: MethodRow
    samples: int
    unit: str
    units: int
    only: tuple[int, int]
    by_seed: bool
    unpaired: str
    metrics: tuple[Compared, ...]
    faults: tuple[str, ...]
    answers: McNemarTest | None
    spec: tuple[tuple[str, object, object], ...]
    provenance: tuple[tuple[str, object, object], ...]


def compare(
    first: MethodRow,
    second: MethodRow,
    metrics: Sequence[Metric] = tuple(STANDARD.values()),
    rope: float = 0.01,
) -> Pair:
    """Compare two rows, or two cells as rows of one cell each.

    Predictions are paired by seed and sample; by sample only for single cells, and for rows that have no seed in
    common, whose seeds then count as so many trainings of each. See `compare_estimates` for the test.

    Args:
        first: a row.
        second: the other.
        metrics: to compare.
        rope: differences up to it do not matter, in the unit of each metric.
    """
    a, b = first.predictions, second.predictions
    unpaired, both = pair_rows(first, second)
    origin = [_origin(row) for row in (first, second)]
    rest: dict[str, Any] = {
        "spec": tuple(differences(_spec(first), _spec(second))),
        "provenance": tuple(differences(*origin)),
        "first": first,
        "second": second,
    }
    if both is None:
        known = [metric for metric in metrics if all(one is None or one.extra.has(metric.wants) for one in (a, b))]
        lines, faults = _each(known, lambda metric: _alone(metric, a, b))
        return Pair(
            **rest,
            samples=0,
            unit="",
            units=0,
            only=(0 if a is None else len(a), 0 if b is None else len(b)),
            by_seed=False,
            unpaired=unpaired,
            metrics=lines,
            faults=faults,
            answers=None,
        )
    assert a is not None
    assert b is not None
    left, right = both
    known = [metric for metric in metrics if left.extra.has(metric.wants)]
    lines, faults = _each(known, lambda metric: _compare(metric, left, right, rope))
    return Pair(
        **rest,
        samples=len(left),
        unit=left.unit_word,
        units=left.n_units,
        only=(len(a) - len(left), len(b) - len(left)),
        by_seed=bool((left.seed == right.seed).all()),
        unpaired="",
        metrics=lines,
        faults=faults,
        answers=mcnemar_test(left.labels, left.answers, right.answers),
    )


def _each(
    metrics: Sequence[Metric], measure: Callable[[Metric], Compared]
) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Return the difference of each metric, and messages of those that failed."""
    lines: list[Compared] = []
    faults: list[str] = []
    for metric in metrics:
        try:
            lines.append(measure(metric))
        except PluginError as error:
            faults.append(str(error))
    return tuple(lines), tuple(faults)


def _alone(metric: Metric, a: Predictions | None, b: Predictions | None) -> Compared:
    first, second = (None if one is None else estimate(metric, one, one.units).value for one in (a, b))
    return Compared(metric, first, second)


def _compare(metric: Metric, left: Predictions, right: Predictions, rope: float) -> Compared:
    first, second = (estimate(metric, one, left.units) for one in (left, right))
    difference = compare_estimates(first, second)
    equivalence = weigh_equivalence(difference, rope) if difference.units > 1 else None
    return Compared(metric, first.value, second.value, difference, equivalence)


def estimate(metric: Metric, one: Predictions, units: Array | None) -> Estimate:
    """Return a metric of some predictions, with what each of their units adds to it."""
    extra = one.extra if metric.wants else NOTHING
    return measure(metric, one.labels, one.probabilities, one.seed, units, extra)


def pair_rows(first: MethodRow, second: MethodRow) -> tuple[str, tuple[Predictions, Predictions] | None]:
    """Return why the predictions of two rows cannot be paired, or nothing and what both have, in one order."""
    for row in (first, second):
        if row.predictions is None:
            why = [*row.damaged, *(cell.error for cell in row.failed)]
            return f"{row.name} has no predictions: {why[0]}", None
    assert first.predictions is not None
    assert second.predictions is not None
    one, other = first.experiment.dataset, second.experiment.dataset
    if one.classes != other.classes:
        return f"other classes: {', '.join(one.classes)} and {', '.join(other.classes)}", None
    if one.fingerprint != other.fingerprint:
        return "other data", None
    single = len(first.cells) == len(second.cells) == 1
    by_seed = not single and bool({*first.splits} & {*second.splits})
    left, right = pair(first.predictions, second.predictions, by_seed=by_seed)
    if not len(left):
        return f"no {'samples of one seed' if by_seed else 'samples'} were tested by both", None
    if changed := int((left.labels != right.labels).sum()):
        return f"{changed} samples have another label in the second", None
    return "", (left, right)


def _origin(row: MethodRow) -> dict[str, Any]:
    """Return the provenance of the first cell, as far as it may explain a difference."""
    known = to_json(row.cells[0].provenance)
    return {part: known.get(part) for part in PROVENANCE}


def _spec(row: MethodRow) -> dict[str, object]:
    """Return what is asked of a row, with fold and seed where it is one cell."""
    asked: dict[str, object] = {
        **to_json(row.experiment),
        "splits": {str(seed): digest for seed, digest in row.splits.items()},
    }
    record = row.cells[0].record
    return {**asked, "seed": record.seed, "fold": record.fold} if len(row.cells) == 1 else asked
