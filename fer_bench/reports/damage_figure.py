"""The figure of the damage report: a part for each kind of corruption, score against severity."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the types of its keywords open.

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from fer_bench.reports.damaged import DamagedRow
from fer_bench.reports.figures import WIDTH, plain, save, style
from fer_bench.reports.standing import scale_of, title_of

COLUMNS = 5
COLOURS = ("#00695c", "#c2410c", "#1d4ed8", "#a21caf", "#4d7c0f", "#475569")
"""Of the rows of a board, over and over."""


def draw(rows: Sequence[DamagedRow], suffix: str) -> bytes:
    """Return a figure with a part for each board: a line with its 95 % band for each row, from the clean image on.

    Args:
        rows: from `fer_bench.reports.damaged.find_rows`.
        suffix: one of ``formats.FIGURES``.
    """
    from matplotlib.figure import Figure

    boards = [list(group) for _, group in itertools.groupby(rows, key=lambda one: one.board)]
    lines = [math.ceil(len(board[0].robustness.kinds) / COLUMNS) for board in boards]
    heights = [1.35 * count + 0.5 + 0.13 * len(board) for count, board in zip(lines, boards, strict=True)]
    with style():
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(boards), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, board, count in zip(parts, boards, lines, strict=True):
            metric = board[0].robustness.mean.metric
            scale = scale_of(metric)
            part.suptitle(plain(board[0].board), fontsize=8)
            part.supylabel(title_of(metric), fontsize=7)
            axes = part.subplots(count, min(COLUMNS, len(board[0].robustness.kinds)), sharey=True, squeeze=False).flat
            for axis, kind in itertools.zip_longest(axes, board[0].robustness.kinds):
                if kind is None:
                    axis.set_axis_off()
                    continue
                for row, colour in zip(board, itertools.cycle(COLOURS), strict=False):
                    estimates = {0: row.robustness.clean} | {
                        one.severity: estimate for one, estimate in row.scores.items() if one.series == kind
                    }
                    at = sorted(estimates)
                    ends = [row.robustness.interval(estimates[severity]) for severity in at]
                    low, high = ([scale * getattr(end, side) for end in ends] for side in ("low", "high"))
                    axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
                    values = [scale * estimates[severity].value for severity in at]
                    axis.plot(at, values, color=colour, linewidth=1, marker="o", markersize=2, label=plain(row.name))
                axis.set_title(kind, fontsize=7)
                axis.set_xticks(range(6))
                axis.grid(axis="y", linewidth=0.4, alpha=0.5)
            handles, labels = part.axes[0].get_legend_handles_labels()
            # The label of the axes below is the legend's title: matplotlib lays a label of the figure over the legend.
            part.legend(
                handles, labels, loc="outside lower center", ncols=2, frameon=False, handlelength=1.5,
                title="severity; 0: the clean image", title_fontsize=7,
            )  # fmt: skip
        return save(figure, suffix)
