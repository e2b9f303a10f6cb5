"""Two rows, or two cells, side by side: paired differences of every metric, and what else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.evaluation.classification import measure_hits
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.equivalence import Equivalence, weigh_equivalence
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.paired import McNemarTest, mcnemar_test
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.planned import JudgedPlan
from fer_bench.results.canonical import to_json
from fer_bench.results.predictions import Predictions, pair_trainings
from fer_bench.results.records import DatasetRecord
from fer_bench.results.rows import MethodRow
from fer_bench.results.versions import differences, explain_by_provenance
from fer_bench.sizes import number_of


@dataclass(frozen=True)
class Compared:
    """A metric of two rows.

    Attributes:
        metric: which.
        first: of the first row, on the samples that both tested, or on its own where nothing is paired.
        second: of the second row.
        difference: second minus first with its test, not corrected for the number of metrics; None where nothing is
            paired, and of metrics that have no test.
        equivalence: how probable it is that they differ by more than a margin; None likewise, and of too few units.
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
        samples: predictions that were paired, of the row with fewer; 0 if none. They are of ``images``.
        unit: what was resampled and swapped, such as ``subjects``, ``units`` of them.
        only: predictions that only the first row or only the second row has.
        trainings: how many of each row were paired: one by one where ``matched``.
        matched: whether both rows have the same seeds on the same folds in what was paired.
        unpaired: why nothing is paired; else empty.
        metrics: one line a metric.
        faults: messages of the metrics of plugins that failed.
        answers: McNemar's test of who was right; None where nothing is paired.
        spec: (dotted name, first, second) of what differs between the specs.
        provenance: likewise, between the provenance of the first cells.
        judged: a plan that was frozen before the rows ran; None without any.
    """

    first: MethodRow
    second: MethodRow
    only: tuple[int, int]
    metrics: tuple[Compared, ...]
    faults: tuple[str, ...]
    spec: tuple[tuple[str, object, object], ...]
    provenance: tuple[tuple[str, object, object], ...]
    unpaired: str = ""
    samples: int = 0
    images: int = 0
    unit: str = ""
    units: int = 0
    trainings: tuple[int, int] = (0, 0)
    matched: bool = False
    answers: McNemarTest | None = None
    judged: JudgedPlan | None = None


def compare(
    first: MethodRow,
    second: MethodRow,
    metrics: Sequence[Metric] = tuple(STANDARD.values()),
    rope: float = 0.01,
) -> Pair:
    """Compare two rows, or two cells as rows of one cell each.

    Predictions on the same folds are paired by sample, and by seed too where both rows have the same seeds; other seeds
    count as several trainings of each. Rows without folds in common are paired by sample. See `compare_estimates` for
    the test.

    Args:
        first: a row.
        second: the other.
        metrics: to compare.
        rope: differences up to it do not matter, in the unit of each metric.
    """
    a, b = first.predictions, second.predictions
    unpaired, both = pair_rows(first, second)
    make = partial(
        Pair,
        spec=tuple(differences(_spec(first), _spec(second))),
        provenance=tuple(explain_by_provenance(first.cells[0].provenance, second.cells[0].provenance)),
        first=first,
        second=second,
    )
    if both is None:
        scorable = [metric for metric in metrics if all(one is None or one.extra.has(metric.wants) for one in (a, b))]
        lines, faults = _each(scorable, lambda metric: _alone(metric, a, b))
        return make(
            only=(0 if a is None else len(a), 0 if b is None else len(b)),
            metrics=lines,
            faults=faults,
            unpaired=unpaired,
        )
    assert a is not None
    assert b is not None
    left, right = both
    scorable = [metric for metric in metrics if left.extra.has(metric.wants)]
    lines, faults = _each(scorable, lambda metric: _compare(metric, left, right, rope))
    return make(
        samples=min(len(left), len(right)),
        images=left.n_samples,
        unit=left.unit_word,
        units=left.n_units,
        only=(len(a) - len(left), len(b) - len(right)),
        trainings=(len(np.unique(left.training)), len(np.unique(right.training))),
        matched=np.array_equal(left.training, right.training),
        metrics=lines,
        faults=faults,
        answers=mcnemar_test(*(_mean_hits(one) for one in (left, right))),
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
    first, second = (None if one is None else measure_row(metric, one).value for one in (a, b))
    return Compared(metric, first, second)


def _compare(metric: Metric, left: Predictions, right: Predictions, rope: float) -> Compared:
    first, second = (measure_row(metric, one) for one in (left, right))
    if metric.biased:
        return Compared(metric, first.value, second.value)
    difference = compare_estimates(first, second)
    equivalence = weigh_equivalence(difference, left.n_units, rope)
    return Compared(metric, first.value, second.value, difference, equivalence)


def _mean_hits(one: Predictions) -> Array:
    """Return how often each sample was labelled right, (samples,) float, in the order of their ids."""
    samples, place = np.unique(one.sample, return_inverse=True)
    hits = measure_hits(one.labels, one.probabilities)
    return np.bincount(place, weights=hits, minlength=len(samples)) / np.bincount(place)


def pair_rows(first: MethodRow, second: MethodRow) -> tuple[str, tuple[Predictions, Predictions] | None]:
    """Return why the predictions of two rows cannot be paired, or nothing and what both have, in one order."""
    for row in (first, second):
        if row.predictions is None:
            why = [*row.damaged, *(cell.error for cell in row.failed)]
            return f"{row.name} has no predictions: {why[0]}", None
    assert first.predictions is not None
    assert second.predictions is not None
    return pair_predictions(
        (first.experiment.dataset, first.predictions), (second.experiment.dataset, second.predictions)
    )


def pair_predictions(
    first: tuple[DatasetRecord, Predictions], second: tuple[DatasetRecord, Predictions]
) -> tuple[str, tuple[Predictions, Predictions] | None]:
    """Return what `pair_rows` does, of predictions and the data sets that they are of."""
    (one, before), (other, after) = first, second
    if one.classes != other.classes:
        return f"other classes: {', '.join(one.classes)} and {', '.join(other.classes)}", None
    if one.fingerprint != other.fingerprint:
        return "other data", None
    left, right = pair_trainings(before, after)
    if not len(left):
        return "no images were tested by both", None
    labels = np.zeros(int(left.sample.max()) + 1, np.int32)
    labels[left.sample] = left.labels
    if changed := len(np.unique(right.sample[labels[right.sample] != right.labels])):
        return f"{number_of(changed, 'image has', 'images have')} another label in the second", None
    return "", (left, right)


def _spec(row: MethodRow) -> dict[str, object]:
    """Return what is asked of a row, with fold and seed where it is one cell."""
    settings: dict[str, object] = {
        **to_json(row.experiment),
        "splits": {str(seed): digest for seed, digest in row.splits.items()},
    }
    record = row.cells[0].record
    if len(row.cells) > 1:
        return {**settings, "seeds": sorted({cell.record.seed for cell in row.cells})}
    return {**settings, "split_seed": record.dealt_by, "seed": record.seed, "fold": record.fold}
