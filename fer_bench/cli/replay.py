"""``fer-bench replay``: repeat a stored cell and say how near the repetition comes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli import options
from fer_bench.cli.output import print_json
from fer_bench.cli.show import Cell, RunsDir
from fer_bench.errors import FerBenchError

EXAMPLES = """\b
Examples:
  fer-bench replay 3f2a
  fer-bench replay 3f2a --require bit-identical
  fer-bench replay 3f2a --precision bfloat16 --json

Answers, from the best: bit-identical, numerically equal, statistically equivalent, different.
Exit codes: 0 as good as --require or better, 1 worse, 2 cannot be repeated here.
"""
SHOWN = 12
TOLERANCE = 1e-3
"""Of probabilities, for ``numerically equal``: another order of float32 sums moves those of a linear probe by 1e-4."""


def replay(
    context: typer.Context,
    cell: Cell,
    runs_dir: RunsDir = Path("runs"),
    require: Annotated[
        Literal["bit-identical", "numerically-equal", "statistically-equivalent"],
        typer.Option(help="The least answer that ends in exit code 0."),
    ] = "statistically-equivalent",
    tolerance: Annotated[
        float, typer.Option(help="Largest difference of a probability that is numerically equal.")
    ] = TOLERANCE,
    metric: Annotated[str, typer.Option(help="Metric whose equivalence is tested.")] = "uar",
    margin: Annotated[float, typer.Option(help="Smallest difference that matters; 0.02 is 2 points.")] = 0.02,
    alpha: Annotated[float, typer.Option(help="Error rate of each of the two one-sided tests.")] = 0.05,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16, instead of the cell's own.")] = None,
    reuse_cache: Annotated[
        bool, typer.Option("--reuse-cache", help="Read features from the cache instead of computing them again.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open the files that the cell names, and let its plugins download weights.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the answer and warnings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Repeat a cell from its own record in a temporary folder, and compare the predictions.

    Data are read from the data folder, and features are computed again. The runs folder is not changed. A
    cell may come from a stranger: if it names files of this machine, or weights that a plugin downloads, these are
    listed, and nothing runs without --trust.
    """
    from fer_bench.evaluation.installed import find_metric
    from fer_bench.executors.progress import TerminalReporter
    from fer_bench.executors.replay import ANSWERS, Terms
    from fer_bench.executors.replay import replay as repeat
    from fer_bench.registry import Registry
    from fer_bench.results.find import find_cell
    from fer_bench.results.store import Store

    if not (tolerance >= 0 and 0 < margin < float("inf") and 0 < alpha < 0.5):
        raise FerBenchError(
            f"--tolerance {tolerance:g}, --margin {margin:g} and --alpha {alpha:g}: expected a tolerance from 0, a "
            "margin above 0, such as 0.02 (2 points), and alpha between 0 and 0.5."
        )
    terms = Terms(tolerance=tolerance, metric=find_metric(metric), margin=margin, alpha=alpha)
    stored = find_cell(Store(runs_dir), cell)
    (config,) = options.make_config(context)
    cache = config.cache_folder if reuse_cache else None
    with TerminalReporter(quiet) as reporter:
        registry = Registry.load()
        done = repeat(stored, registry, config.data_folder, cache, terms, reporter, precision, trusted=trust)
    if as_json:
        print_json({"schema": 1, "id": stored.id, **done.record(), "tolerance": tolerance})
    else:
        console.echo(f"{stored.record}\n{done.answer}: {done.why}")
        for line in difference_lines(done.differences):
            console.echo(line)
    if ANSWERS.index(done.answer) > [answer.replace(" ", "-") for answer in ANSWERS].index(require):
        raise typer.Exit(1)


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
    return f"{name}: {_short(then)} then, {_short(now)} now"


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
