"""How well what is trained on one data set does on another: a table, and a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_bench.reports.figures import plain, save, style
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Table, numbers, percent, texts, words

NOTE = (
    "UAR in percent, mean over folds and seeds. A row is what trains, a column what is tested. The diagonal is K-fold "
    "within the data set, subjects kept apart where they are known; off the diagonal all images of the row train and "
    "all of the column are tested, but for images that both share."
)

PAIR = (
    *("trained_on", "tested_on", "protocol", "n", "uar", "accuracy", "macro_f1"),
    *("uar_low", "uar_high", "cells_ok", "cells_failed"),
)
"""What the formats for programs hold of each pair of data sets."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Scores of one method.

    Attributes:
        backbone: as the user typed it; likewise ``strategy``.
        labels: the common label set.
        datasets: names of rows and columns.
        rows: (trained, tested) -> the leaderboard's row; a pair without one failed before it began.
    """

    backbone: str
    strategy: str
    labels: str
    datasets: tuple[str, ...]
    rows: dict[tuple[str, str], Row]

    def score(self, trained: str, tested: str, metric: str = "uar") -> float | None:
        """Return the mean of a metric, 0 to 1, or None where no cell is ok."""
        row = self.rows.get((trained, tested))
        return None if row is None or metric not in row.scores else row.scores[metric].mean

    @property
    def method(self) -> str:
        """Backbone and strategy."""
        return f"{self.backbone}, {self.strategy}"

    @property
    def title(self) -> str:
        """What is in it, in words."""
        return f"{self.method}, labels {self.labels}"


def build(rows: Sequence[Row], datasets: Sequence[str]) -> list[Matrix]:
    """Return a matrix for each backbone and strategy.

    Args:
        rows: of a leaderboard that holds K-fold rows of each data set and cross rows of each pair.
        datasets: in the order of rows and columns.
    """
    methods: dict[tuple[str, str, str], dict[tuple[str, str], Row]] = {}
    for row in rows:
        trained = row.trained_on or row.dataset
        if not row.baseline and trained in datasets and row.dataset in datasets:
            methods.setdefault((row.backbone, row.strategy, row.labels), {})[trained, row.dataset] = row
    return [
        Matrix(backbone=backbone, strategy=strategy, labels=labels, datasets=tuple(datasets), rows=found)
        for (backbone, strategy, labels), found in sorted(methods.items())
    ]


def record(matrices: Sequence[Matrix]) -> dict[str, Any]:
    """Return ``{"schema": 1, "matrices": […]}`` as plain values; scores lie in 0 to 1."""
    records = [
        {
            "backbone": matrix.backbone,
            "strategy": matrix.strategy,
            "labels": matrix.labels,
            "datasets": list(matrix.datasets),
            "cells": [dict(zip(PAIR, cells, strict=True)) for cells in _pairs(matrix)],
        }
        for matrix in matrices
    ]
    return {"schema": 1, "matrices": records}


def to_flat_table(matrices: Sequence[Matrix]) -> Table:
    """Return a row for each pair of data sets; scores lie in 0 to 1."""
    rows = [
        (matrix.backbone, matrix.strategy, matrix.labels, *cells) for matrix in matrices for cells in _pairs(matrix)
    ]
    return Table("", texts("backbone", "strategy", "labels", *PAIR), tuple(rows))


def to_tables(matrices: Sequence[Matrix]) -> list[Table]:
    """Return a table for each method, what trains in rows and what is tested in columns."""
    tables = [
        Table(
            matrix.title,
            (Column("trained on"), *numbers(*matrix.datasets)),
            tuple((a, *(percent(matrix.score(a, b)) for b in matrix.datasets)) for a in matrix.datasets),
        )
        for matrix in matrices
    ]
    return [*tables, Table(notes=(NOTE,))]


def draw(matrices: Sequence[Matrix], suffix: str) -> bytes:
    """Return a heat map of each method, side by side, as a file of one of `formats.FIGURES`."""
    # matplotlib takes a second to import, which only this needs.
    from matplotlib.figure import Figure

    size = 1.2 + 1.1 * len(matrices[0].datasets)
    with style(9):
        figure = Figure(figsize=((size + 1.8) * len(matrices), size + 1.2), layout="constrained")
        axes = figure.subplots(1, len(matrices), squeeze=False)[0]
        for axis, matrix in zip(axes, matrices, strict=True):
            names = matrix.datasets
            values = [[matrix.score(a, b) for b in names] for a in names]
            image = axis.imshow(
                [[float("nan") if v is None else 100 * v for v in row] for row in values],
                vmin=0,
                vmax=100,
                cmap="cividis",
            )
            for i, row in enumerate(values):
                for j, value in enumerate(row):
                    colour = (
                        "black" if value is not None and value > 0.55 else "white" if value is not None else "black"
                    )
                    axis.text(j, i, words(percent(value)), ha="center", va="center", color=colour)
            axis.set_xticks(range(len(names)), [_wrap(name) for name in names], rotation=30, ha="right")
            axis.set_yticks(range(len(names)), [_wrap(name) for name in names])
            axis.set(xlabel="tested on", ylabel="trained on", title=_wrap(matrix.title))
            axis.figure.colorbar(image, ax=axis, label="UAR %", shrink=0.8)
        return save(figure, suffix)


def _pairs(matrix: Matrix) -> list[tuple[str | int | float | None, ...]]:
    """Return for each pair of data sets what ``PAIR`` names."""
    lines: list[tuple[str | int | float | None, ...]] = []
    for trained in matrix.datasets:
        for tested in matrix.datasets:
            row = matrix.rows.get((trained, tested))
            scores = [matrix.score(trained, tested, name) for name in ("uar", "accuracy", "macro_f1")]
            interval = row.interval if row else None
            ends = (interval.low, interval.high) if interval else (None, None)
            counts = (row.ok, row.failed) if row else (0, 0)
            lines.append((trained, tested, row.protocol if row else None, row.n if row else 0, *scores, *ends, *counts))
    return lines


def _wrap(text: str) -> str:
    """Return a name on two lines where its parameters begin."""
    return plain(text).replace("[", "\n[", 1)
