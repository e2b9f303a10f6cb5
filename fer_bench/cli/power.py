"""``fer-bench power``: how many subjects, seeds and data sets tell two rows apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli.output import print_json, print_tables
from fer_bench.cli.rows import ALL_ROWS, MetricName, RunsDir, with_filters
from fer_bench.errors import FerBenchError
from fer_bench.results.filters import Filters

if TYPE_CHECKING:
    from fer_bench.evaluation.metrics import Metric

EXAMPLES = """\b
Examples:
  fer-bench power linear-probe finetune --difference 0.03
  fer-bench power finetune --seed-sd 0.02
  fer-bench power --units 40 --images 20 --seed-sd 0.02
"""


@with_filters
def power(
    first: Annotated[
        str | None,
        typer.Argument(metavar="A", help="A row, as in 'compare'; words of its names mean several data sets."),
    ] = None,
    second: Annotated[str | None, typer.Argument(metavar="B", help="Another; none: a method like A.")] = None,
    runs_dir: RunsDir = Path("runs"),
    metric: MetricName = "uar",
    difference: Annotated[
        float, typer.Option(help="Difference to show, in the metric's unit; 0.05 is 5 points.")
    ] = 0.05,
    wanted: Annotated[float, typer.Option("--power", help="Probability with which it is shown.")] = 0.8,
    units: Annotated[
        int | None, typer.Option(min=2, help="Subjects of the planned data.  [default: as in A, else 40]")
    ] = None,
    seed_sd: Annotated[
        float | None, typer.Option(min=0, help="Standard deviation over trainings.  [default: measured, else 0.02]")
    ] = None,
    data_set_sd: Annotated[
        float | None, typer.Option(min=0, help="Standard deviation between data sets.  [default: measured, else 0.03]")
    ] = None,
    together: Annotated[
        float, typer.Option(min=0, max=1, help="Without B: correlation of what a subject adds to two rows.")
    ] = 0.5,
    images: Annotated[float, typer.Option(min=1, help="Without A: images of a subject.")] = 20,
    recall: Annotated[float, typer.Option(min=0, max=1, help="Without A: of the rows.")] = 0.7,
    alike: Annotated[
        float, typer.Option(min=0, max=1, help="Without A: intra-class correlation of a subject's answers.")
    ] = 0.3,
    filters: Filters = ALL_ROWS,
    form: Annotated[Literal["terminal", "md", "json"], typer.Option("--format", help="How to print it.")] = "terminal",
) -> None:
    """Print how many subjects, seeds and data sets show a difference of two rows, from stored rows or assumptions.

    Each number has an upper limit, which includes the uncertainty of the stored rows.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.reports import power as report
    from fer_bench.reports.formats import markdown
    from fer_bench.results.find import find_row, find_rows
    from fer_bench.results.store import Store

    by, store = find_metric(metric), Store(runs_dir)
    _check(wanted, difference, by)
    if first is not None and second is not None:
        basis = report.measure_pairs(find_rows(store, first, filters), find_rows(store, second, filters), by)
    elif first is not None:
        basis = report.measure_one(find_row(store, first, filters), by, together)
    else:
        basis = report.assume(by, images, recall, alike, together)
    basis = report.complete(basis, units, seed_sd, data_set_sd)
    if form == "json":
        print_json(report.record(basis, difference, wanted))
    elif form == "md":
        console.write(markdown.write(report.to_tables(basis, difference, wanted), "Power"))
    else:
        print_tables(*report.to_tables(basis, difference, wanted))


def _check(power: float, difference: float, by: Metric) -> None:
    """Refuse a power or a difference that cannot be.

    Raises:
        FerBenchError: the power is not between 0 and 1, or no two rows differ by so much.
    """
    if not (0 < power < 1 and 0 < difference < float("inf")):
        raise FerBenchError(
            f"--power {power:g} and --difference {difference:g}: expected a power between 0 and 1, such as 0.8, and a "
            "difference above 0, such as 0.05 (5 points)."
        )
    if difference >= by.highest - by.lowest:
        raise FerBenchError(
            f"--difference {difference:g}: {by.title} lies between {by.lowest:g} and {by.highest:g}; 5 points are 0.05."
        )
