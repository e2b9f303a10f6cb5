"""The table of metrics: what each is called, which way is up, how it is computed from a cell's predictions.

To add one is to write a ``Metric``; intervals, groups and tables take it from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.evaluation.calibration import (
    adaptive_ece,
    brier,
    ece,
    nll,
    part_adaptive_ece,
    part_ece,
    sample_brier,
    sample_nll,
)
from fer_bench.evaluation.checks import check_predictions, find_distinct
from fer_bench.evaluation.classification import (
    accuracy_of,
    accuracy_per_hit,
    count_answers,
    kappa_of,
    macro_f1_of,
    uar_of,
    uar_per_hit,
)
from fer_bench.evaluation.extra import NOTHING, Extra, Kind


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number for the predictions of one cell.

    Attributes:
        name: how it is asked for, an identifier such as ``macro_f1``.
        title: how tables print it.
        compute: from true labels (n,) int and probabilities (n, c) float to a number; what it ``wants`` by keyword.
        higher_is_better: its direction.
        lowest: the least it can be; likewise ``highest``. Either may be infinite.
        from_confusion: the same metric from (…, c, c) confusion matrices, rows true, to (…); None if it needs more
            than counts. It may assume nothing but non-negative counts and is what makes the bootstrap fast.
        per_hit: for a metric that only counts right answers: what one adds in each class, (c,), from (c,) images of
            each class; None for others.
        per_sample: the same metric as the mean of one number a sample, (n,); None if it is not a mean.
        per_part: the same metric of each part of the rows, from labels, probabilities and (n,) int parts from 0, to
            (p,); None to compute it part by part.
        biased: why it has no interval, test or order, with what to take instead; empty for what has them.
        origin: the plugin that brings it; empty for the core.
        wants: what it needs beside labels and probabilities; such a metric has only ``compute``.

    Example:
        >>> Metric(name="hits", title="Hits", higher_is_better=True, lowest=0, highest=1,
        ...        compute=lambda true, p: float((p.argmax(1) == true).mean())).name
        'hits'
    """

    name: str
    title: str
    compute: Callable[..., float]
    higher_is_better: bool
    lowest: float
    highest: float
    from_confusion: Callable[[Array], Array] | None = None
    per_hit: Callable[[Array], Array] | None = None
    per_sample: Callable[[Array, Array], Array] | None = None
    per_part: Callable[[Array, Array, Array], Array] | None = None
    biased: str = ""
    origin: str = ""
    wants: tuple[Kind, ...] = ()

    def score(self, true: Array, probabilities: Array, extra: Extra = NOTHING) -> float:
        """Return the metric of some predictions.

        Raises:
            PluginError: it fails, or wants what ``extra`` does not hold.
        """
        if not self.wants:
            return self.compute(true, probabilities)
        if not extra.has(self.wants):
            wanted = " and ".join(kind.replace("_", " ") for kind in self.wants)
            raise PluginError(
                f"Metric {self.name!r} of plugin {self.origin!r} needs {wanted}, which are not known of these "
                "predictions; choose another metric."
            )
        return self.compute(true, probabilities, **extra.pick(self.wants))

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"metric name {self.name!r} is not an identifier; expected one such as 'macro_f1'")
        if not self.lowest < self.highest:
            raise ValueError(
                f"metric {self.name!r} ranges from {self.lowest} to {self.highest}; expected lowest < highest"
            )


def _counted(
    name: str,
    title: str,
    tables: Callable[[Array], Array],
    lowest: float = 0.0,
    per_hit: Callable[[Array], Array] | None = None,
) -> Metric:
    def compute(true: Array, probabilities: Array) -> float:
        return float(tables(count_answers(true, probabilities))[0])

    return Metric(
        name=name,
        title=title,
        compute=compute,
        higher_is_better=True,
        lowest=lowest,
        highest=1.0,
        from_confusion=tables,
        per_hit=per_hit,
    )


def _loss(
    name: str,
    title: str,
    compute: Callable[[Array, Array], float],
    highest: float,
    per_sample: Callable[[Array, Array], Array] | None = None,
    per_part: Callable[[Array, Array, Array], Array] | None = None,
    biased: str = "",
) -> Metric:
    return Metric(
        name=name,
        title=title,
        compute=compute,
        higher_is_better=False,
        lowest=0.0,
        highest=highest,
        per_sample=per_sample,
        per_part=per_part,
        biased=biased,
    )


BINNED = (
    "noise in its bins makes it larger than it is, the more the fewer images there are, and no interval of it held for "
    "calibrated models in simulations; take nll or brier, which are proper scores and see calibration too. "
    "'leaderboard --columns calibration' shows it"
)
"""Of calibration errors: R. Roelofs et al., "Mitigating bias in calibration error estimation" (AISTATS 2022)."""

STANDARD: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _counted("accuracy", "Accuracy", accuracy_of, per_hit=accuracy_per_hit),
        _counted("uar", "UAR", uar_of, per_hit=uar_per_hit),
        _counted("macro_f1", "Macro-F1", macro_f1_of),
        _counted("kappa", "Cohen's kappa", kappa_of, lowest=-1.0),
        _loss("nll", "NLL (nats)", nll, math.inf, sample_nll),
        _loss("brier", "Brier", brier, 2.0, sample_brier),
        _loss("ece", "ECE", ece, 1.0, per_part=part_ece, biased=BINNED),
        _loss("adaptive_ece", "ECE (equal mass)", adaptive_ece, 1.0, per_part=part_adaptive_ece, biased=BINNED),
    )
}
"""Every metric of the core, by name. It is not changed at run time: those of plugins are handed to ``evaluate``."""


def evaluate(
    true: Array, probabilities: Array, metrics: Iterable[Metric] = tuple(STANDARD.values())
) -> dict[str, float]:
    """Return name -> value of each metric for one cell.

    Args:
        true: (n,) int labels from 0.
        probabilities: (n, c) float, rows sum to 1.
        metrics: which; all of the core if not given.

    Raises:
        ValueError: the predictions are not valid, or a metric returned what lies outside its declared range.
    """
    whole = np.zeros(len(probabilities), np.int64)
    return {name: float(values[0]) for name, values in evaluate_parts(true, probabilities, whole, metrics).items()}


def score_seeds(
    metric: Metric, true: Array, probabilities: Array, seeds: Array | None = None, extra: Extra = NOTHING
) -> Array:
    """Return the metric of all predictions of each seed, (k,) float, seeds in order; without seeds, all are of one.

    Their mean is the score of a method: all folds of a seed are pooled, since a fold need not hold every class.

    Args:
        metric: any.
        true: (n,) int labels.
        probabilities: (n, c) float.
        seeds: (n,) int, the seed of each row.
        extra: what is known of the rows beside.
    """
    run = np.zeros(len(true), np.int64) if seeds is None else find_distinct(seeds)[2]
    return evaluate_parts(true, probabilities, run, [metric], extra)[metric.name]


def evaluate_parts(
    true: Array,
    probabilities: Array,
    part: Array,
    metrics: Iterable[Metric] = tuple(STANDARD.values()),
    extra: Extra = NOTHING,
) -> dict[str, Array]:
    """Return name -> value of each metric for each part of the rows, such as the cells of a leaderboard's row.

    Thousands of small parts cost little more than their rows together, but for metrics with none of
    ``from_confusion``, ``per_sample`` and ``per_part``.

    Args:
        true: (n,) int labels from 0.
        probabilities: (n, c) float, rows sum to 1.
        part: (n,) int, from 0 to p - 1; no part is empty.
        metrics: which; all of the core if not given.
        extra: what is known of the rows beside.

    Returns:
        Arrays (p,) float64.

    Raises:
        ValueError: the predictions are not valid, or a metric returned what lies outside its declared range.
    """
    true, probabilities = check_predictions(true, probabilities)
    sizes, tables = np.bincount(part), count_answers(true, probabilities, part)
    values: dict[str, Array] = {}
    for metric in metrics:
        if metric.from_confusion is not None:
            scores = metric.from_confusion(tables)
        elif metric.per_sample is not None:
            scores = np.bincount(part, weights=metric.per_sample(true, probabilities)) / sizes
        elif metric.per_part is not None:
            scores = metric.per_part(true, probabilities, part)
        else:
            slices = np.split(np.argsort(part, kind="stable"), np.cumsum(sizes)[:-1])
            scores = np.array([metric.score(true[rows], probabilities[rows], extra.take(rows)) for rows in slices])
        outside = ~((scores >= metric.lowest - 1e-9) & (scores <= metric.highest + 1e-9))
        if outside.any():
            raise ValueError(
                f"metric {metric.name!r} returned {scores[outside][0]}; it declares {metric.lowest} to {metric.highest}"
            )
        values[metric.name] = scores
    return values
