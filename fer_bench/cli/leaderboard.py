"""``fer-bench leaderboard``: the table of a runs folder, only from stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench import atomic, console, paths
from fer_bench.cli.command import keep_all
from fer_bench.cli.data_options import DataDir
from fer_bench.cli.output import PIPE_WIDTH, terminal_text, write_file
from fer_bench.cli.rows import ALL_ROWS, FigureFile, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters
from fer_bench.sizes import number_of

if TYPE_CHECKING:
    from fer_bench.reports.gallery import Gallery
    from fer_bench.reports.planned import JudgedPlan
    from fer_bench.reports.row import Row

EXAMPLES = """\b
Examples:
  fer-bench leaderboard
  fer-bench leaderboard --format md --output LEADERBOARD.md
  fer-bench leaderboard --format html --output leaderboard.html
  fer-bench leaderboard --format html --output mine.html --gallery 3
  fer-bench leaderboard --metric macro_f1 --format latex
  fer-bench leaderboard --format latex --columns paper --output board.tex
  fer-bench leaderboard --columns cost
  fer-bench leaderboard --columns groups
  fer-bench leaderboard --columns damage
  fer-bench leaderboard --all-versions
  fer-bench leaderboard --dataset fer2013 --backbone xception
  fer-bench leaderboard --figure board.pdf
  fer-bench leaderboard --plan plan.json
  fer-bench leaderboard --figure cost.svg --figure-kind cost
"""

Form = Literal["terminal", "md", "csv", "json", "latex", "html"]
Columns = Literal["scores", "paper", "cost", "groups", "soft", "variance", "calibration", "search", "damage"]

Plan = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What 'plan --freeze' wrote: show its comparisons, call others exploratory."),
]


@with_filters
def leaderboard(
    context: typer.Context,
    data_dir: DataDir,
    runs_dir: Annotated[Path, typer.Option(help="Folder of results.")] = Path("runs"),
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = "terminal",
    metric: Annotated[str, typer.Option(help="Metric that orders, ranks and compares the rows.")] = "uar",
    rope: Annotated[
        float, typer.Option(min=0, help="Differences up to this do not matter, in the metric's unit; 0.01 is a point.")
    ] = 0.01,
    columns: Annotated[Columns, typer.Option(help="What tables show; CSV and JSON hold all.")] = "scores",
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Also show older rows that differ from a newer row only in code.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the terminal.")] = None,
    title: Annotated[str, typer.Option(help="Heading of the page and of Markdown.")] = "Leaderboard",
    authors: Annotated[str, typer.Option(metavar="NAMES", help="Who made the results, below the page's heading.")] = "",
    gallery: Annotated[
        int, typer.Option(min=0, max=20, help="Pictures of the most confident errors of each class on the page.")
    ] = 0,
    figure: FigureFile = None,
    figure_kind: Annotated[
        Literal["intervals", "cost", "confusion", "classes", "pairs"], typer.Option(help="What the figure shows.")
    ] = "intervals",
    plan: Plan = None,
    filters: Filters = ALL_ROWS,
) -> None:
    """Print the leaderboard of everything in a runs folder. The same runs give the same bytes."""
    if gallery and form != "html":
        raise FerBenchError(f"--gallery {gallery} is for the page: add --format html.")
    details = columns in ("groups", "soft") or form in ("csv", "json", "html")
    rows, damaged = read_board(context, runs_dir, metric, rope, all_versions, filters, details=details)
    judged = None if plan is None else read_plan(plan, runs_dir)
    rows = judged.mark(rows) if judged else rows
    if form == "html":
        shots = _draw_gallery(rows, gallery, data_dir) if gallery else None
        from fer_bench.reports.page import to_html

        text = to_html(rows, damaged, columns, title, authors, shots, judged=judged)
    else:
        text = _write(form, rows, damaged, judged, columns, title, to_file=output is not None)
    if figure is not None:
        from fer_bench.reports import figures

        write_file(figure, figures.draw(rows, figure_kind, figure.suffix), "the figure")
    if output is None:
        console.write(text)
    else:
        atomic.write_file(output, text, "the leaderboard")
        console.warn(f"{number_of(len(rows), 'row')} in {output}.")


def read_board(
    context: typer.Context,
    runs_dir: Path,
    metric: str,
    rope: float = 0.01,
    all_versions: bool = False,
    filters: Filters | None = None,
    *,
    details: bool,
) -> tuple[list[Row], list[str]]:
    """Return the rows of a runs folder and a message for each cell that was left out; what is amiss is printed as well.

    Args:
        context: of the command.
        runs_dir: the folder.
        metric: name of the metric that orders the rows.
        rope: as `fer_bench.reports.leaderboard.build` takes it, likewise ``all_versions``.
        all_versions: whether rows that differ from newer ones only in code are among them.
        filters: which rows are taken; None takes all.
        details: as `build` takes it.

    Raises:
        FerBenchError: the folder holds no intact cells, or there is no such metric.
    """
    keep_all(context)
    from fer_bench.evaluation.installed import find_metric, load_metrics
    from fer_bench.registry import Registry
    from fer_bench.reports.leaderboard import build
    from fer_bench.results.rows import no_cells
    from fer_bench.results.store import Store

    registry = Registry.load()
    installed, faults = load_metrics(registry)
    by = find_metric(metric, lambda: registry)
    cells, damaged = Store(runs_dir).cells()
    if not cells:
        raise no_cells(runs_dir, damaged)
    cells = filters.keep(cells, lambda cell: cell.record.experiment) if filters else cells
    metrics, cache_dir = tuple({**installed, by.name: by}.values()), paths.cache_dir()
    rows = build(cells, metrics, by, damaged.append, rope, all_versions, cache_dir, details=details)
    if not rows:  # none of them has sound predictions
        raise no_cells(runs_dir, damaged)
    for message in damaged:
        console.warn(f"fer-bench: left out: {message}")
    for message in faults:
        console.warn(f"fer-bench: {message}")
    return rows, damaged


def read_plan(plan: Path, runs_dir: Path) -> JudgedPlan:
    """Return a frozen plan with what the rows of a runs folder answer.

    Raises:
        FerBenchError: the file is no plan, or was changed, or the rows are not those that were planned.
    """
    from fer_bench.reports.planned import read_judged

    return read_judged(plan, runs_dir)


def _draw_gallery(rows: Sequence[Row], most: int, data_dir: Path) -> dict[str, Gallery]:
    """Return the errors of each row as pictures, and warn of what they are."""
    from fer_bench.registry import Registry
    from fer_bench.reports.gallery import draw

    shots = draw(rows, most, Registry.load(), data_dir)
    console.warn("fer-bench: the page holds pictures of faces, which are personal data: keep it to yourself.")
    return shots


def _write(
    form: Form,
    rows: Sequence[Row],
    damaged: Sequence[str],
    judged: JudgedPlan | None,
    columns: Columns,
    title: str,
    *,
    to_file: bool,
) -> str:
    """Return a board in one format; a terminal's width and encoding count only where it is not written to a file."""
    from fer_bench.reports import board_records, boards
    from fer_bench.reports.formats import csv, json, latex, markdown, terminal

    if form == "csv":
        return csv.write(board_records.to_flat_table(rows))
    if form == "json":
        return json.write(board_records.record(rows, damaged, judged))
    tables = boards.to_tables(rows, damaged, columns, judged)
    if form == "md":
        return markdown.write(tables, title)
    if form == "latex":
        return latex.write(tables, narrow=columns == "paper")
    return terminal.write(tables, PIPE_WIDTH) if to_file else terminal_text(tables)
