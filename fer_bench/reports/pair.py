"""Two rows, or two cells, side by side: paired differences of every metric, and what else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fer_bench.errors import PluginError
from fer_bench.evaluation.intervals import Interval, difference_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.paired import McNemarTest, mcnemar_test, permutation_test
from fer_bench.evaluation.ranking import compare_resampled
from fer_bench.evaluation.resampling import resample_metric
from fer_bench.results.predictions import Predictions, pair
from fer_bench.results.records import to_json
from fer_bench.results.rows import MethodRow, differences

PROVENANCE = ("code", "python", "jax", "device", "cpu", "platform", "xla_flags", "environment", "distributions")
"""What may explain a difference; command, settings and seeds are said by the cells."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of two rows.

    Attributes:
        metric: which.
        first: of the first row, on the samples that both tested, or on its own where nothing is paired.
        second: of the second row.
        interval: 95 % bootstrap interval of second minus first; None where nothing is paired.
        p_value: two-sided, not corrected for the number of metrics; None where nothing is paired.
        test: ``permutation`` or ``bootstrap``.
    """

    metric: Metric
    first: float | None
    second: float | None
    interval: Interval | None
    p_value: float | None
    test: Literal["permutation", "bootstrap"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rows side by side.

    Attributes:
        first: a row; likewise ``second``.
        samples: predictions that were paired; 0 if none.
        unit: what was resampled and swapped: ``subjects`` or ``samples``, ``units`` of them.
        only: predictions that the first row or the second row alone has.
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
    unpaired: str
    metrics: tuple[Difference, ...]
    faults: tuple[str, ...]
    answers: McNemarTest | None
    spec: tuple[tuple[str, object, object], ...]
    provenance: tuple[tuple[str, object, object], ...]


def compare(first: MethodRow, second: MethodRow, metrics: Sequence[Metric] = tuple(STANDARD.values())) -> Pair:
    """Compare two rows, or two cells as rows of one cell each.

    Predictions are paired by seed and sample; of single cells by sample alone. Accuracy and UAR are tested by paired
    permutations of subjects, or of samples where no subject is known, the other metrics by their bootstrap.
    """
    a, b = first.predictions, second.predictions
    unpaired, both = _pair(first, second)
    origin = [_origin(row) for row in (first, second)]
    rest = {
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
            unpaired=unpaired,
            metrics=lines,
            faults=faults,
            answers=None,
        )
    assert a is not None
    assert b is not None
    left, right = both
    known = [metric for metric in metrics if left.extra.has(metric.wants)]
    lines, faults = _each(known, lambda metric: _difference(metric, left, right))
    return Pair(
        **rest,
        samples=len(left),
        unit=left.unit_word,
        units=left.n_units,
        only=(len(a) - len(left), len(b) - len(left)),
        unpaired="",
        metrics=lines,
        faults=faults,
        answers=mcnemar_test(left.labels, left.answers, right.answers),
    )


def _each(
    metrics: Sequence[Metric], measure: Callable[[Metric], Difference]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Return the difference of each metric, and messages of those that failed."""
    lines: list[Difference] = []
    faults: list[str] = []
    for metric in metrics:
        try:
            lines.append(measure(metric))
        except PluginError as error:
            faults.append(str(error))
    return tuple(lines), tuple(faults)


def _alone(metric: Metric, a: Predictions | None, b: Predictions | None) -> Difference:
    first, second = (None if one is None else metric.score(one.labels, one.probabilities, one.extra) for one in (a, b))
    return Difference(metric=metric, first=first, second=second, interval=None, p_value=None, test="bootstrap")


def _difference(metric: Metric, left: Predictions, right: Predictions) -> Difference:
    true, p, q, units, extra = left.labels, left.probabilities, right.probabilities, left.units, left.extra
    first, second = metric.score(true, p, extra), metric.score(true, q, extra)
    interval, p_value, test = None, None, "bootstrap"
    if left.n_units > 1:
        interval = difference_interval(metric, true, q, p, units, extra=extra)
        if metric.name in ("accuracy", "uar"):
            test = "permutation"
            name: Literal["accuracy", "uar"] = "accuracy" if metric.name == "accuracy" else "uar"
            found = permutation_test(true, right.answers, left.answers, units, metric=name)
            p_value = found.p_value
        else:
            values = resample_metric(metric, true, [p, q], units, extra=extra)
            p_value = float(compare_resampled(np.array([first, second]), values, left.n_units)[0, 1])
    return Difference(metric=metric, first=first, second=second, interval=interval, p_value=p_value, test=test)


def _pair(first: MethodRow, second: MethodRow) -> tuple[str, tuple[Predictions, Predictions] | None]:
    """Return why the predictions cannot be paired, or nothing and what both have, in one order."""
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
    left, right = pair(first.predictions, second.predictions, by_seed=not single)
    if not len(left):
        return f"no {'samples' if single else 'samples of one seed'} were tested by both", None
    if changed := int((left.labels != right.labels).sum()):
        return f"{changed} samples have another label in the second", None
    return "", (left, right)


def _origin(row: MethodRow) -> dict[str, Any]:
    """Return the provenance of the first cell, as far as it may explain a difference."""
    known = to_json(row.cells[0].provenance)
    return {part: known.get(part) for part in PROVENANCE}


def _spec(row: MethodRow) -> dict[str, object]:
    """Return what is asked of a row, with fold and seed where it is one cell."""
    asked = {**to_json(row.experiment), "splits": {str(seed): digest for seed, digest in row.splits.items()}}
    record = row.cells[0].record
    return {**asked, "seed": record.seed, "fold": record.fold} if len(row.cells) == 1 else asked
