"""``fer-bench replay``: repeat stored cells and say how near the repetitions come."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.output import print_json
from fer_bench.cli.rows import ALL_ROWS, HELP, FilesIn, RunsDir, chosen, with_filters
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.results.filters import Filters
from fer_bench.sizes import parse_points

if TYPE_CHECKING:
    from fer_bench.executors.replay import Replay, Terms
    from fer_bench.results.store import StoredCell
    from fer_bench.tasks.view import View

EXAMPLES = """\b
Examples:
  fer-bench replay 3f2a
  fer-bench replay 'xception, linear-probe' --dataset fer2013
  fer-bench replay --all
  fer-bench replay 3f2a --require bit-identical
  fer-bench replay 3f2a --precision bfloat16 --json

Answers, from the best: bit-identical, numerically equal, statistically equivalent, different.
Exit codes: 0 as good as --require or better, 1 worse, 2 cannot be repeated here.
"""
SHOWN = 12
TOLERANCE = 1e-3
"""Of probabilities, for ``numerically equal``: another order of float32 sums moves those of a linear probe by 1e-4."""

Require = Annotated[
    Literal["bit-identical", "numerically-equal", "statistically-equivalent"],
    typer.Option(help="The least answer that ends in exit code 0."),
]
Tolerance = Annotated[float, typer.Option(help="Largest difference of a probability that is numerically equal.")]
ReuseCache = Annotated[
    bool, typer.Option("--reuse-cache", help="Read features from the cache instead of computing them again.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Open the files that the cell names, and let its plugins download weights.")
]


@with_filters
def replay(
    context: typer.Context,
    rows: Annotated[list[str] | None, typer.Argument(metavar="ROW", help=HELP)] = None,
    runs_dir: RunsDir = Path("runs"),
    filters: Filters = ALL_ROWS,
    everything: Annotated[bool, typer.Option("--all", help="Repeat every cell of the runs folder.")] = False,
    require: Require = "statistically-equivalent",
    tolerance: Tolerance = TOLERANCE,
    metric: Annotated[str, typer.Option(help="Metric whose equivalence is tested.")] = "uar",
    margin: Annotated[
        str, typer.Option(metavar="X|Npt", help="Smallest difference that matters; 2pt (2 points) is 0.02.")
    ] = "2pt",
    alpha: Annotated[float, typer.Option(help="Error rate of each of the two one-sided tests.")] = 0.05,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16, instead of the cell's own.")] = None,
    reuse_cache: ReuseCache = False,
    trust: Trust = False,
    files_in: FilesIn = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the answer and warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Repeat a cell, or all cells of rows, from its own record in a temporary folder, and compare the predictions.

    Data are read from the data folder, and features are computed again. The runs folder is not changed. A
    cell may come from somebody unknown: if it names files of this machine, or weights that a plugin downloads, these
    are listed, and nothing runs without --trust.
    """
    from fer_bench.executors.progress import TerminalReporter
    from fer_bench.executors.replay import ANSWERS
    from fer_bench.executors.replay import replay as repeat
    from fer_bench.registry import Registry
    from fer_bench.results.store import Store

    terms = _terms(tolerance, metric, margin, alpha)
    cells = chosen(Store(runs_dir), rows, filters, everything, "--all")
    (config,) = options.make_config(context)
    with TerminalReporter(quiet) as reporter, tempfile.TemporaryDirectory(prefix="fer-bench-features-") as shared:
        registry = Registry.load()
        # Cells of one row need the same features: they are computed once.
        cache = config.cache_folder if reuse_cache else Path(shared)
        views: dict[tuple[Any, ...], View] = {}

        def one(cell: StoredCell) -> Replay:
            return repeat(
                cell, registry, config.data_folder, cache, terms, reporter, precision, trusted=trust,
                files_in=files_in or (), views=views,
            )  # fmt: skip

        replays, faults = _each(cells, one)
    if as_json:
        records = [{"id": cell.id, **replayed.record(), "tolerance": tolerance} for cell, replayed in replays]
        print_json({"schema": 1, **(records[0] if len(cells) == 1 else {"cells": records, "not_repeated": faults})})
    else:
        _print(replays, faults)
    if faults:
        raise typer.Exit(2)
    worst = max(ANSWERS.index(replayed.answer) for _, replayed in replays)
    if worst > [answer.replace(" ", "-") for answer in ANSWERS].index(require):
        raise typer.Exit(1)


def _terms(tolerance: float, metric: str, margin: str, alpha: float) -> Terms:
    """Return when two cells count as alike.

    Raises:
        FerBenchError: there is no such metric, or a number is not allowed.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.executors.replay import Terms
    from fer_bench.reports.gate import check_margin

    terms = Terms(tolerance=tolerance, metric=find_metric(metric), margin=parse_points(margin, "--margin"), alpha=alpha)
    faults = check_margin(terms.metric, terms.margin, alpha)
    if not tolerance >= 0:
        faults.append(f"--tolerance {tolerance:g}: expected a number from 0, such as 0.001")
    if faults:
        raise FerBenchError(f"The predictions cannot be compared by these options:\n{bullet_list(faults)}")
    return terms


def _each(
    cells: Sequence[StoredCell], repeat: Callable[[StoredCell], Replay]
) -> tuple[list[tuple[StoredCell, Replay]], dict[str, str]]:
    """Return each cell with its repetition, and id -> why of each that cannot be repeated.

    Raises:
        FerBenchError: there is one cell, and it cannot be repeated.
    """
    replays: list[tuple[StoredCell, Replay]] = []
    faults: dict[str, str] = {}
    for cell in cells:
        try:
            replays.append((cell, repeat(cell)))
        except FerBenchError as error:
            if len(cells) == 1:
                raise
            faults[cell.id] = str(error)
    return replays, faults


def _print(replays: Sequence[tuple[StoredCell, Replay]], faults: Mapping[str, str]) -> None:
    for cell, replayed in replays:
        console.echo(f"{cell.record}\n{replayed.answer}: {replayed.why}")
        for line in difference_lines(replayed.differences):
            console.echo(line)
    if len(replays) + len(faults) > 1:
        counts = Counter(replayed.answer for _, replayed in replays)
        console.echo(", ".join(f"{number} {answer}" for answer, number in counts.items()))
    for fault in faults.values():
        console.warn(f"fer-bench: {fault}")


def difference_lines(differences: tuple[tuple[str, object, object], ...]) -> list[str]:
    """Return what differs in lines, the first of them by itself."""
    if not differences:
        return ["Cell and provenance are the same in every field but command and memory."]
    lines = [f"first difference: {_line(*differences[0])}"]
    lines += [f"                  {_line(*difference)}" for difference in differences[1:SHOWN]]
    return (
        [*lines, f"                  and {len(differences) - SHOWN} more; see --json"]
        if len(differences) > SHOWN
        else lines
    )


def _line(name: str, then: object, now: object) -> str:
    from fer_bench.results.versions import SHOWN, write_value

    return f"{name}: {write_value(then, SHOWN)} then, {write_value(now, SHOWN)} now"
