"""From the repeated runs of several programs to one table: medians, ratios of pairs, accuracy with its interval."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.evaluation.intervals import bootstrap_interval, difference_interval
from fer_bench.evaluation.metrics import STANDARD

ACCURACY = STANDARD["accuracy"]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of one program.

    Attributes:
        program: as the table names it.
        seconds: of the whole work, the program's start included.
        scaled: whether the seconds were measured on one epoch of one fold and multiplied.
        predictions: (n,) int, the class predicted for each image in the fold that tests it; None where unknown.
    """

    program: str
    seconds: float
    scaled: bool
    predictions: np.ndarray | None


def median_ratio(rounds: Sequence[dict[str, Run]], program: str, ours: str) -> float:
    """Return the median over rounds of seconds of ``program`` / seconds of ``ours`` in the same round."""
    return statistics.median(runs[program].seconds / runs[ours].seconds for runs in rounds)


def to_markdown(
    work: str, rounds: Sequence[dict[str, Run]], ours: Sequence[str], labels: np.ndarray, groups: np.ndarray | None
) -> str:
    """Return the table of one piece of work.

    Args:
        work: its title.
        rounds: each holds a run of every program, made in turn; columns follow the order of the first.
        ours: programs that get a column of ratios; of the first, accuracies are compared with the others'.
        labels: (n,) int true classes.
        groups: (n,) names of subjects, which intervals resample; None resamples images.
    """
    lines = [
        f"| {work} | seconds | "
        + " | ".join(f"x {name}" for name in ours)
        + " | accuracy % | 95 % interval | minus ours, points |",
        "| --- |" + " ---: |" * (len(ours) + 4),
    ]
    reference = rounds[0][ours[0]].predictions
    for program, first in rounds[0].items():
        seconds = statistics.median(runs[program].seconds for runs in rounds)
        cells = [program, f"{'~' if first.scaled else ''}{seconds:.1f}"]
        cells += [f"{median_ratio(rounds, program, name):.2f}" for name in ours]
        cells += _accuracies(first.predictions, reference if program not in ours else None, labels, groups)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _accuracies(
    predictions: np.ndarray | None, reference: np.ndarray | None, labels: np.ndarray, groups: np.ndarray | None
) -> list[str]:
    if predictions is None:
        return ["-", "-", "-"]
    classes = int(labels.max()) + 1
    votes = np.eye(classes)[predictions]
    own = bootstrap_interval(ACCURACY, labels, votes, groups)
    cells = [f"{100 * own.estimate:.1f}", f"{100 * own.low:.1f} to {100 * own.high:.1f}"]
    if reference is None:
        return [*cells, "-"]
    difference = difference_interval(ACCURACY, labels, votes, np.eye(classes)[reference], groups)
    return [*cells, f"{100 * difference.estimate:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"]
