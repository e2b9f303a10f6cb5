"""The leaderboard as figures for print, as SVG, PDF or PNG: the same runs give the same bytes."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves the types of its keywords open.

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.classification import recall_of
from fer_bench.foreign import visible
from fer_bench.reports import boards
from fer_bench.reports.charts import confusion_of, find_front
from fer_bench.reports.pairwise import compare_all, find_ranked
from fer_bench.reports.row import Row
from fer_bench.reports.standing import scale_of, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

WIDTH = 6.3
"""Inches: the text of an A4 page."""

COLOUR, GREY = "#00695c", "#757575"


def draw(rows: Sequence[Row], kind: str, suffix: str) -> bytes:
    """Return a figure with a part for each board.

    Args:
        rows: of the leaderboard, in its order.
        kind: one of ``KINDS``.
        suffix: one of ``formats.FIGURES``.

    Raises:
        FerBenchError: no row has what the figure shows.
    """
    ranked_boards = [
        (title, members)
        for title, board in boards.boards(rows)
        if (members := [row for row in board if row.pooled is not None and (row.interval or kind != "intervals")])
    ]
    if kind == "pairs":
        ranked_boards = [(title, ranked) for title, board in ranked_boards if len(ranked := find_ranked(board)) > 1]
    if not ranked_boards:
        raise FerBenchError(f"No board has rows that the figure {kind!r} can show: it needs stored predictions.")
    height, paint = KINDS[kind]
    heights = [height(board) for _, board in ranked_boards]
    # matplotlib takes a second to import, which only figures need.
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(ranked_boards), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, (title, board) in zip(parts, ranked_boards, strict=True):
            part.suptitle(_wrap(title, 85), fontsize=8)
            paint(part, board)
        return save(figure, suffix)


def style(size: float = 7) -> AbstractContextManager[None]:
    """Return the settings of figures: small type in points, text that stays text, and no random names in the file."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.size": size,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "fer-bench",
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
        }
    )


def save(figure: Figure, suffix: str) -> bytes:
    """Return a figure as a file of one of ``formats.FIGURES``, without the date."""
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    stream = io.BytesIO()
    figure.savefig(stream, format=suffix[1:], dpi=200, metadata=dates.get(suffix))
    return stream.getvalue()


def name(row: Row) -> str:
    """Return how a figure names a row."""
    return plain(", ".join(filter(None, (row.backbone, row.strategy, row.trained_on, row.variant))))


def plain(text: str) -> str:
    """Return a text that matplotlib does not read as mathematics."""
    return visible(text).replace("$", r"\$")


def _wrap(text: str, width: int) -> str:
    """Return a title on lines of about ``width`` signs."""
    lines = [""]
    for word in plain(text).split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _draw_intervals(figure: FigureBase, board: Sequence[Row]) -> None:
    """Draw the score of each row with its interval, the best on top; full where no row is shown to be better."""
    axes: Axes = figure.subplots()
    for place, row in enumerate(board):
        scale, colour = scale_of(row.metric), GREY if row.baseline else COLOUR
        best = row.standing is not None and row.standing.may_be_best
        if row.interval:
            axes.plot(
                [scale * row.interval.low, scale * row.interval.high], [place, place], color=colour, linewidth=1.5
            )
        axes.plot(
            scale * row.score, place, "o", color=colour, markersize=5, markerfacecolor=colour if best else "white"
        )
        if row.baseline:
            axes.axvline(scale * row.score, color=GREY, linewidth=0.8, linestyle=":")
        axes.annotate(row.tier, (1.01, place), xycoords=("axes fraction", "data"), va="center", color=colour)
    axes.set_yticks(range(len(board)), [name(row) for row in board])
    axes.set(
        ylim=(len(board) - 0.5, -0.5),
        xlabel=f"{title_of(board[0].metric)} with 95 % interval; full: no row is shown to be better; right: tier",
    )
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)


def _draw_cost(figure: FigureBase, board: Sequence[Row]) -> None:
    """Draw score against seconds; a line joins the rows that no other row beats in both."""
    axes: Axes = figure.subplots()
    methods = [row for row in board if row.seconds]
    for row in board:
        if row.baseline:
            axes.axhline(
                scale_of(row.metric) * row.score, color=GREY, linewidth=0.8, linestyle=":", label="majority class"
            )
    for number, row in enumerate(methods, 1):
        point = float(row.seconds or 0), scale_of(row.metric) * row.score
        if row.interval:
            ends = [scale_of(row.metric) * row.interval.low, scale_of(row.metric) * row.interval.high]
            axes.plot([point[0]] * 2, ends, color=COLOUR, linewidth=0.8, alpha=0.5)
        axes.plot(*point, "o", color=COLOUR, markersize=4, label=f"{number}  {name(row)}")
        axes.annotate(str(number), point, xytext=(4, 3), textcoords="offset points")
    seconds = [float(row.seconds or 0) for row in methods]
    front = find_front([*zip(seconds, [row.score for row in methods], strict=True)], board[0].metric.higher_is_better)
    scores = [scale_of(methods[i].metric) * methods[i].score for i in front]
    costs = [seconds[i] for i in front]
    axes.plot(costs, scores, color=COLOUR, linewidth=0.8, linestyle="--", label="not beaten in both")
    if methods and max(seconds) > 5 * min(seconds):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="seconds with an empty cache", ylabel=title_of(board[0].metric))
    axes.grid(linewidth=0.4, alpha=0.5)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, handlelength=1.5)


def _methods(board: Sequence[Row]) -> list[Row]:
    return [row for row in board if not row.baseline]


def _draw_confusion(figure: FigureBase, board: Sequence[Row]) -> None:
    """Draw the confusion matrix of each method as shares of the true class."""
    methods = _methods(board)
    axes = np.atleast_2d(figure.subplots(math.ceil(len(methods) / 2), 2, squeeze=False))
    for axis in axes.flat[len(methods) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, methods, strict=False):
        counts = confusion_of(row)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        _heat(axis, 100 * shares, row.class_names, row.class_names, 0, 100, "Blues", "{:.0f}")
        axis.set(title=_wrap(name(row), 45), xlabel="predicted", ylabel="true (% of the class)")


def _draw_classes(figure: FigureBase, board: Sequence[Row]) -> None:
    """Draw the recall of each class under each method."""
    methods = _methods(board)
    recalls = np.array([recall_of(confusion_of(row)) for row in methods])
    axes: Axes = figure.subplots()
    _heat(axes, 100 * recalls, [name(row) for row in methods], methods[0].class_names, 0, 100, "Blues", "{:.0f}")
    axes.set(xlabel="recall of each class, %")


def _draw_pairs(figure: FigureBase, board: Sequence[Row]) -> None:
    """Draw the paired difference of every two rows, left minus below; a star where it is told from 0."""
    gaps = np.zeros((len(board), len(board)))
    marks = np.full(gaps.shape, "", dtype=object)
    for (i, j), pair in compare_all(board).items():
        value = scale_of(board[0].metric) * pair.difference.value
        gaps[i, j], gaps[j, i] = value, -value
        marks[i, j] = marks[j, i] = "*" if pair.apart else ""
    reach = float(np.abs(gaps).max()) or 1.0
    names = [f"{number}  {name(row)}" for number, row in enumerate(board, 1)]
    numbers = [str(number) for number in range(1, len(board) + 1)]
    axes: Axes = figure.subplots()
    digits = "{:+z.1f}" if scale_of(board[0].metric) > 1 else "{:+z.3f}"
    _heat(axes, gaps, names, numbers, -reach, reach, "RdBu", digits, marks)
    axes.set(xlabel=f"{title_of(board[0].metric)}: row minus column; * where told apart (all pairs together, 5 %)")


def _heat(
    axes: Axes, values: Array, rows: Sequence[str], columns: Sequence[str], low: float, high: float, colours: str,
    form: str, marks: Array | None = None,
) -> None:  # fmt: skip
    """Draw (r, c) values as colours with their numbers; NaN stays empty."""
    image = axes.imshow(values, vmin=low, vmax=high, cmap=colours, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if not math.isnan(value) and not (marks is not None and i == j):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = form.format(value) + (str(marks[i, j]) if marks is not None else "")
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), [visible(text) for text in columns], rotation=30 if marks is None else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


KINDS: dict[str, tuple[Callable[[Sequence[Row]], float], Callable[[FigureBase, Sequence[Row]], None]]] = {
    "intervals": (lambda board: 0.9 + 0.22 * len(board), _draw_intervals),
    "cost": (lambda board: 3.0 + 0.08 * len(board), _draw_cost),
    "confusion": (lambda board: 0.4 + 2.9 * math.ceil(len(_methods(board)) / 2), _draw_confusion),
    "classes": (lambda board: 1.1 + 0.22 * len(_methods(board)), _draw_classes),
    "pairs": (lambda board: 1.0 + 0.25 * len(board), _draw_pairs),
}
"""What a figure shows: its height in inches for a board, and who draws it."""
