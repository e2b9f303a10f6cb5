"""Two rows, or two cells, side by side: paired differences of every metric, and what else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer_bench.errors import PluginError
from fer_bench.evaluation.checks import group_codes
from fer_bench.evaluation.extra import Extra
from fer_bench.evaluation.intervals import Interval, difference_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.paired import McNemarTest, mcnemar_test, permutation_test
from fer_bench.evaluation.ranking import compare_resampled
from fer_bench.evaluation.resampling import resample_metric
from fer_bench.results.rows import MethodRow, arrays, differences, know

Array = np.ndarray[Any, Any]

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
    a, b = first.samples, second.samples
    alone = len(first.cells) == len(second.cells) == 1
    keys = ["id"] if alone else ["seed", "id"]
    unpaired, both = _pair(first, second, a, b, keys)
    origin = [{part: row.cells[0].provenance().get(part) for part in PROVENANCE} for row in (first, second)]
    rest = {
        "spec": tuple(differences(_spec(first), _spec(second))),
        "provenance": tuple(differences(*origin)),
        "first": first,
        "second": second,
    }
    if unpaired:
        known = [metric for metric in metrics if all(know(table).has(metric.wants) for table in (a, b))]
        lines, faults = _each(known, lambda metric: _alone(metric, a, b))
        only = len(a), len(b)
        return Pair(
            **rest,
            samples=0,
            unit="",
            units=0,
            only=only,
            unpaired=unpaired,
            metrics=lines,
            faults=faults,
            answers=None,
        )
    left, right = both
    true, p, units = arrays(left)
    _, q, _ = arrays(right)
    count = group_codes(units, len(true))[1]
    extra = know(left)
    known = [metric for metric in metrics if extra.has(metric.wants)]
    lines, faults = _each(known, lambda metric: _difference(metric, true, p, q, units, count, extra))
    return Pair(
        **rest,
        samples=len(true),
        unit="subjects" if all(left["group"]) else "samples",
        units=count,
        only=(len(a) - len(true), len(b) - len(true)),
        unpaired="",
        metrics=lines,
        faults=faults,
        answers=mcnemar_test(true, p.argmax(axis=1), q.argmax(axis=1)),
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


def _alone(metric: Metric, a: pd.DataFrame, b: pd.DataFrame) -> Difference:
    first, second = _score(metric, a), _score(metric, b)
    return Difference(metric=metric, first=first, second=second, interval=None, p_value=None, test="bootstrap")


def _difference(
    metric: Metric, true: Array, p: Array, q: Array, units: Array | None, count: int, extra: Extra
) -> Difference:
    first, second = metric.score(true, p, extra), metric.score(true, q, extra)
    interval, p_value, test = None, None, "bootstrap"
    if count > 1:
        interval = difference_interval(metric, true, q, p, units, extra=extra)
        if metric.name in ("accuracy", "uar"):
            test = "permutation"
            name: Literal["accuracy", "uar"] = "accuracy" if metric.name == "accuracy" else "uar"
            found = permutation_test(true, q.argmax(axis=1), p.argmax(axis=1), units, metric=name)
            p_value = found.p_value
        else:
            values = resample_metric(metric, true, [p, q], units, extra=extra)
            p_value = float(compare_resampled(np.array([first, second]), values, count)[0, 1])
    return Difference(metric=metric, first=first, second=second, interval=interval, p_value=p_value, test=test)


def _pair(
    first: MethodRow, second: MethodRow, a: pd.DataFrame, b: pd.DataFrame, keys: list[str]
) -> tuple[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Return why the predictions cannot be paired, or nothing and what both have, in one order."""
    nothing = a.iloc[:0], b.iloc[:0]
    for row, table in ((first, a), (second, b)):
        if table.empty:
            return f"{row.name} has no predictions: {row.failed[0].error}", nothing
    classes = [row.shared["dataset"]["classes"] for row in (first, second)]
    if classes[0] != classes[1]:
        return f"other classes: {', '.join(classes[0])} and {', '.join(classes[1])}", nothing
    fingerprints = [row.shared["dataset"].get("fingerprint") for row in (first, second)]
    if fingerprints[0] != fingerprints[1]:
        return "other data", nothing
    common = a[keys].merge(b[keys], on=keys)
    if common.empty:
        what = "samples" if keys == ["id"] else "samples of one seed"
        return f"no {what} were tested by both", nothing
    left, right = (common.merge(table, on=keys) for table in (a, b))
    if changed := int((left["label"].to_numpy() != right["label"].to_numpy()).sum()):
        return f"{changed} samples have another label in the second", nothing
    return "", (left, right)


def _score(metric: Metric, table: pd.DataFrame) -> float | None:
    if table.empty:
        return None
    true, probabilities, _ = arrays(table)
    return metric.score(true, probabilities, know(table))


def _spec(row: MethodRow) -> dict[str, object]:
    """Return what is asked of a row, with fold and seed where it is one cell."""
    shared = {**row.shared, "splits": {str(seed): digest for seed, digest in row.splits.items()}}
    record = row.cells[0].record
    return {**shared, "seed": record["seed"], "fold": record["fold"]} if len(row.cells) == 1 else shared
