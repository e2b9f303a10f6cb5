"""Learning curves: what each method scores by the size of its training part, and what more data would bring."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the types of its keywords open.

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fer_bench.errors import FerBenchError
from fer_bench.evaluation.learning_curve import LearningCurve, fit_learning_curve
from fer_bench.evaluation.metrics import Metric
from fer_bench.reports.comparison import interval, measure_row
from fer_bench.reports.figures import COLOUR, WIDTH, plain, save, style
from fer_bench.reports.standing import scale_of, title_of
from fer_bench.reports.table import Cell, Column, Field, Table, percent, tabulate
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import Experiment
from fer_bench.results.rows import MethodRow
from fer_bench.sizes import number_of

_SHARE = re.compile(r"\[train=[^,\]]*\]|,train=[^,\]]*")
NOTES = (
    "Error: 100 % minus the score. Fitted: a power law of the number of training images, with 95 % intervals for other "
    "people to test and, as far as several seeds show them, other trainings. With one seed the curve is of these "
    "training images only.",
    "A power law holds until the error comes near what the labels allow: do not read it far beyond the largest size.",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A method on several shares of the training part.

    Attributes:
        dataset: as the user typed it; likewise ``protocol``, ``backbone`` and ``strategy``.
        law: the power law.
        intervals: the ends of the 95 % interval of each measured score, for other people.
    """

    dataset: str
    protocol: str
    backbone: str
    strategy: str
    law: LearningCurve
    intervals: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        """The method and where it was tested."""
        return f"{self.backbone}, {self.strategy} on {self.dataset} ({self.protocol})"


def find_curves(rows: Sequence[MethodRow], metric: Metric) -> list[Curve]:
    """Return the curve of each method that was trained on two shares of the training part or more.

    Args:
        rows: any; those without predictions do not count.
        metric: that is drawn.

    Raises:
        FerBenchError: no method was, or its shares tested other images.
    """
    groups: dict[Experiment, list[tuple[float, Predictions]]] = defaultdict(list)
    for row in rows:
        if (predictions := row.predictions) is not None:
            protocol = row.experiment.protocol
            whole = replace(protocol, text=_SHARE.sub("", protocol.text))
            sizes = [sum(cell.measures.train_counts) for cell in row.done]
            groups[replace(row.experiment, protocol=whole)].append((float(np.mean(sizes)), predictions))
    curves: list[Curve] = []
    for experiment, points in groups.items():
        if len({size for size, _ in points}) > 1:
            points.sort(key=lambda point: point[0])
            curves.append(_fit(experiment, points, metric))
    if not curves:
        raise FerBenchError(
            "No method of these rows was trained on two shares of its training part. "
            "Run it with '--train-fraction 0.25,0.5,1' first."
        )
    return sorted(curves, key=lambda curve: curve.name)


def _fit(experiment: Experiment, points: Sequence[tuple[float, Predictions]], metric: Metric) -> Curve:
    first = points[0][1]
    for size, predictions in points:
        if not (predictions.ids.equals(first.ids) and predictions.unit_names.equals(first.unit_names)):
            raise FerBenchError(
                f"{experiment.backbone.text}, {experiment.strategy.text}: the row of {size:,.0f} training images "
                f"tested {number_of(predictions.n_samples, 'image')}, another {first.n_samples:,}: cells "
                "failed or are missing."
            )
    if first.n_units < 2:
        raise FerBenchError(f"{experiment.dataset.text!r} was tested on a single subject, which shows no spread.")
    law = fit_learning_curve([size for size, _ in points], [measure_row(metric, part) for _, part in points])
    crossed = experiment.protocol.folds > 1
    intervals = [interval(metric, part, size if crossed else None) for size, part in points]
    return Curve(
        **experiment.texts,
        law=law,
        intervals=tuple((one.low, one.high) for one in intervals if one),
    )


def to_tables(curves: Sequence[Curve]) -> list[Table]:
    """Return a table for each curve."""
    return [_table(curve, NOTES if curve is curves[-1] else ()) for curve in curves]


def _table(curve: Curve, notes: Sequence[str]) -> Table:
    law, scale = curve.law, scale_of(curve.law.metric)
    low, high = law.slope_interval()
    largest = float(law.sizes[-1])
    gain, least, most = (scale * value for value in law.gain(largest))
    unit = "points" if scale == 100 else law.metric.title
    gained = (
        f"Twice as many training images ({2 * largest:,.0f}) would lower the error by {gain:.1f} {unit} "
        f"({least:.1f} to {most:.1f})."
    )
    title = f"{curve.name}: error falls as images^{law.fit[1]:.2f} ({low:.2f} to {high:.2f})"

    def score(place: int) -> Cell:
        return percent(float(law.scores[place]), curve.intervals[place], scale=scale)

    def fitted(place: int) -> Cell:
        value, low, high = law.predict(float(law.sizes[place]))
        return percent(value, (low, high), scale=scale)

    fields: tuple[Field[int], ...] = (
        (Column("training images", "number"), lambda place: round(float(law.sizes[place]))),
        (Column(title_of(law.metric), "number"), score),
        (Column("fitted", "number"), fitted),
    )
    return tabulate(range(len(law.sizes)), fields, title, [gained, *notes])


def record(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return the curves as plain JSON."""
    return [
        {
            **{name: getattr(curve, name) for name in ("dataset", "protocol", "backbone", "strategy")},
            "metric": curve.law.metric.name,
            "points": [
                {
                    "training_images": size,
                    "score": score,
                    "interval": list(ends),
                    "fitted": list(curve.law.predict(size)),
                }
                for size, score, ends in zip(
                    curve.law.sizes.tolist(), curve.law.scores.tolist(), curve.intervals, strict=True
                )
            ],
            "slope": [float(curve.law.fit[1]), *curve.law.slope_interval()],
            "doubling": list(curve.law.gain(float(curve.law.sizes[-1]))),
        }
        for curve in curves
    ]


def draw(curves: Sequence[Curve], suffix: str) -> bytes:
    """Return a figure with a part for each curve, from the smallest size to twice the largest.

    All parts have one axis of scores.

    Args:
        curves: from `find_curves`.
        suffix: one of ``formats.FIGURES``.
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(WIDTH, 2.2 * len(curves)), layout="constrained")
        parts = figure.subplots(len(curves), 1, sharey=True, squeeze=False)[:, 0]
        for axes, curve in zip(parts, curves, strict=True):
            law, scale = curve.law, scale_of(curve.law.metric)
            smallest, largest = float(law.sizes[0]), 2 * float(law.sizes[-1])
            sizes = [smallest * (largest / smallest) ** (step / 59) for step in range(60)]
            bands = scale * np.array([law.predict(size) for size in sizes])
            axes.fill_between(sizes, bands[:, 1], bands[:, 2], color=COLOUR, alpha=0.15, linewidth=0)
            axes.plot(sizes, bands[:, 0], color=COLOUR, linewidth=1)
            axes.plot(law.sizes, scale * law.scores, "o", color=COLOUR, markersize=4)
            axes.set_xscale("log")
            ticks = [*law.sizes.tolist(), largest]
            axes.set_xticks(ticks, labels=[f"{size:,.0f}" for size in ticks])
            axes.minorticks_off()
            axes.set_title(plain(curve.name), fontsize=8)
            axes.set_xlabel("training images")
            axes.set_ylabel(title_of(law.metric))
        return save(figure, suffix)
