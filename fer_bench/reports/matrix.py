"""How well what is trained on one data set does on another: a table, and a heat map."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_bench.reports.leaderboard import Row

NOTE = (
    "UAR in percent, mean over folds and seeds. A row is what trains, a column what is tested. The diagonal is K-fold "
    "within the data set, subjects kept apart where they are known; off the diagonal all images of the row train and "
    "all of the column are tested, but for images that both share."
)


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
    def title(self) -> str:
        """What is in it, in words."""
        return f"{self.backbone}, {self.strategy}, labels {self.labels}"


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


def to_json(matrices: Sequence[Matrix]) -> str:
    """Return ``{"schema": 1, "matrices": […]}``; scores lie in 0 to 1."""
    records = [
        {
            "backbone": matrix.backbone,
            "strategy": matrix.strategy,
            "labels": matrix.labels,
            "datasets": list(matrix.datasets),
            "cells": _records(matrix),
        }
        for matrix in matrices
    ]
    return json.dumps({"schema": 1, "matrices": records}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(matrices: Sequence[Matrix]) -> str:
    """Return one line a pair of data sets; scores lie in 0 to 1."""
    text = io.StringIO(newline="")
    records = [
        {"backbone": matrix.backbone, "strategy": matrix.strategy, "labels": matrix.labels, **record}
        for matrix in matrices
        for record in _records(matrix)
    ]
    writer = csv.DictWriter(text, list(records[0]) if records else ["backbone"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def to_markdown(matrices: Sequence[Matrix]) -> str:
    """Return one markdown table a method."""
    parts = ["# Trained on rows, tested on columns\n"]
    for matrix in matrices:
        parts.append(f"## {_escape(matrix.title)}\n")
        parts.append("| " + " | ".join(["trained on", *map(_escape, matrix.datasets)]) + " |")
        parts.append("| --- |" + " ---: |" * len(matrix.datasets))
        for trained in matrix.datasets:
            scores = [_percent(matrix.score(trained, tested)) for tested in matrix.datasets]
            parts.append("| " + " | ".join([_escape(trained), *scores]) + " |")
        parts.append("")
    return "\n".join([*parts, NOTE]) + "\n"


def to_terminal(matrices: Sequence[Matrix], width: int | None = None) -> str:
    """Return the tables for a terminal, without colour."""
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    for matrix in matrices:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("trained on", overflow="fold")
        for tested in matrix.datasets:
            table.add_column(Text(tested), justify="right", overflow="fold")
        for trained in matrix.datasets:
            scores = [_percent(matrix.score(trained, tested)) for tested in matrix.datasets]
            table.add_row(Text(trained), *map(Text, scores))
        console.print(Text(matrix.title), table)
    console.print(Text(NOTE))
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def draw(matrices: Sequence[Matrix], file: Path) -> None:
    """Draw a heat map of each method, side by side, into an SVG or PNG file, as its name says."""
    # matplotlib takes a second to import, which only this needs.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    size = 1.2 + 1.1 * len(matrices[0].datasets)
    with mpl.rc_context({"svg.hashsalt": "fer-bench", "svg.fonttype": "none"}):
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
                    axis.text(j, i, _percent(value), ha="center", va="center", color=colour)
            axis.set_xticks(range(len(names)), [_wrap(name) for name in names], rotation=30, ha="right")
            axis.set_yticks(range(len(names)), [_wrap(name) for name in names])
            axis.set(xlabel="tested on", ylabel="trained on", title=_wrap(matrix.title))
            figure.colorbar(image, ax=axis, label="UAR %", shrink=0.8)
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, dpi=150, metadata=metadata)


def _records(matrix: Matrix) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for trained in matrix.datasets:
        for tested in matrix.datasets:
            row = matrix.rows.get((trained, tested))
            records.append(
                {
                    "trained_on": trained,
                    "tested_on": tested,
                    "protocol": row.protocol if row else None,
                    "n": row.n if row else 0,
                    **{name: matrix.score(trained, tested, name) for name in ("uar", "accuracy", "macro_f1")},
                    "uar_low": row.interval.low if row and row.interval else None,
                    "uar_high": row.interval.high if row and row.interval else None,
                    "cells_ok": row.ok if row else 0,
                    "cells_failed": row.failed if row else 0,
                }
            )
    return records


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _wrap(text: str) -> str:
    """Return a name on two lines where its parameters begin."""
    return text.replace("[", "\n[", 1)


def _escape(text: str) -> str:
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
