"""From the runs of several programs in several rounds to one table: medians, ratios of pairs, accuracies."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD

ACCURACY = STANDARD["accuracy"]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of one program.

    Attributes:
        program: as the table names it.
        seconds: of the whole work, the program's start included; None if it failed, or was run only for its accuracy.
        timed: how many images were timed where the seconds are extrapolated from them; 0 where all were done.
        predictions: (n,) int, the class predicted for each image in the fold that tests it; None where unknown.
        note: about this run: why it failed, or what its accuracy is of.
    """

    program: str
    seconds: float | None
    timed: int
    predictions: np.ndarray | None
    note: str = ""


Round = dict[str, Run]


def run_of(answer: dict[str, Any], title: str, elapsed: float) -> Run:
    """Return the run that a program's answer describes.

    Where all was done, its seconds are those of the process. Else they are the start of the process and each phase at
    the pace of its sample; compilation and warming up are left out.
    """
    phases = answer["phases"]
    whole = all(phase["images"] == phase["whole_images"] for phase in phases)
    pace = [phase["seconds"] / phase["images"] * phase["whole_images"] for phase in phases]
    predictions = answer["predictions"]
    # Nobody starts a process only to compute features.
    start = 0.0 if phases[0]["name"] == "forward" else answer["start_s"]
    return Run(
        program=f"{title} ({answer['program']})",
        seconds=elapsed if predictions is not None else start + sum(pace),
        timed=0 if whole else sum(phase["images"] for phase in phases),
        predictions=None if predictions is None else np.asarray(predictions),
    )


def median_ratio(rounds: Sequence[Round], program: str, ours: str) -> float | None:
    """Return the median over rounds of seconds of ``program`` / seconds of ``ours`` in the same round; None without."""
    pairs = [(runs[program].seconds, runs[ours].seconds) for runs in rounds if {program, ours} <= set(runs)]
    ratios = [theirs / own for theirs, own in pairs if theirs is not None and own is not None]
    return statistics.median(ratios) if ratios else None


def to_markdown(
    work: str, rounds: Sequence[Round], ours: Sequence[str], labels: np.ndarray, groups: np.ndarray | None
) -> str:
    """Return the table of one piece of work, and its notes.

    Args:
        work: its title.
        rounds: each holds a run of every program; one that failed or is missing does not count.
        ours: programs that get a column of ratios; with the first, accuracies are compared.
        labels: (n,) int true classes.
        groups: (n,) names of subjects, which intervals resample; None resamples images.
    """
    programs = list(dict.fromkeys(name for runs in rounds for name in runs))
    ours = [name for name in ours if name in programs]
    lines = [
        f"| {work} | seconds | "
        + " | ".join(f"x {name}" for name in ours)
        + " | rounds | accuracy % | 95 % interval | minus ours, points |",
        "| --- |" + " ---: |" * (len(ours) + 5),
    ]
    notes = []
    for program in programs:
        runs = [by_program[program] for by_program in rounds if program in by_program]
        good = [run for run in runs if run.seconds is not None]
        seconds = statistics.median(run.seconds for run in good if run.seconds is not None) if good else None
        timed = max((run.timed for run in good), default=0)
        lost = "-" if any(run.predictions is not None for run in runs) else "failed"
        cells = [program, lost if seconds is None else f"{'~' if timed else ''}{seconds:.1f}"]
        ratios = [median_ratio(rounds, program, name) for name in ours]
        cells += ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        cells += [str(len(good))]
        cells += _accuracies(rounds, program, ours[0] if ours and program not in ours else None, labels, groups)
        lines.append("| " + " | ".join(cells) + " |")
        if timed:
            notes.append(f"~ {program}: extrapolated from {timed} images, compilation left out.")
        notes += [f"{program}: {run.note}" for run in runs if run.note]
    return "\n".join([*lines, "", *dict.fromkeys(notes)]).rstrip() + "\n"


def _accuracies(
    rounds: Sequence[Round], program: str, ours: str | None, labels: np.ndarray, groups: np.ndarray | None
) -> list[str]:
    """Return accuracy over all rounds, its interval, and the difference from ours in the rounds that have both.

    An image's answers in several rounds are resampled together.
    """
    votes, reference = _votes(rounds, program, labels), _votes(rounds, ours, labels)
    if not votes:
        return ["-", "-", "-"]
    units = np.arange(len(labels)).astype(str) if groups is None else groups
    own = bootstrap_interval(
        ACCURACY, np.tile(labels, len(votes)), np.concatenate(list(votes.values())), np.tile(units, len(votes))
    )
    cells = [f"{100 * own.estimate:.1f}", f"{100 * own.low:.1f} to {100 * own.high:.1f}"]
    both = [number for number in votes if number in reference]
    if not both:
        return [*cells, "-"]
    true, people = np.tile(labels, len(both)), np.tile(units, len(both))
    base, peer = (
        measure(ACCURACY, true, np.concatenate([answers[number] for number in both]), units=people)
        for answers in (reference, votes)
    )
    difference = compare_estimates(base, peer)
    return [*cells, f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"]


def _votes(rounds: Sequence[Round], program: str | None, labels: np.ndarray) -> dict[int, np.ndarray]:
    """Return number of the round -> (n, c) one-hot answers of a program, where it gave any."""
    predicted = {number: runs[program].predictions for number, runs in enumerate(rounds) if program in runs}
    return {number: np.eye(int(labels.max()) + 1)[p] for number, p in predicted.items() if p is not None}
