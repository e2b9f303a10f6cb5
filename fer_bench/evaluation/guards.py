"""Guards of the gate: a class that is lost while others gain, and small drops that add up over releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.noninferiority import NonInferiority, Verdict, judge_estimates

SHARE = 0.2
"""Of alpha, what each guard may spend on false FAILs; the metric has the rest."""
METRIC_POWER = 0.95
"""With which the metric passes at the number of units that is needed; all tests together pass with 0.9."""
CLASS_POWER = 0.99
"""Likewise of each class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What one method said.

    Attributes:
        true: (r,) int labels.
        probabilities: (r, c) float.
        seeds: (r,) int, the training of each row.
        splits: (r,) int, the folds on which it trained.
        units: (r,) codes of the subjects, or of the samples where no subject is known.
    """

    true: Array
    probabilities: Array
    seeds: Array
    splits: Array
    units: Array


def judge_classes(before: Answers, after: Answers, *, margin: float, alpha: float) -> dict[int, NonInferiority]:
    """Return for each class that two units or more have the test of its recall.

    The recall of a class is the accuracy on its samples. All must show that a drop of ``margin`` is excluded for a
    PASS, each at ``alpha``: with all of them required, a PASS is wrong in no more cases (R. L. Berger, "Multiparameter
    hypothesis testing and acceptance sampling", Technometrics 24, 1982). For a FAIL they share ``SHARE`` of alpha.

    Args:
        before: of the first method; ``after`` of the second, with the same units.
        after: likewise.
        margin: above 0, of a recall.
        alpha: above 0 and below 0.5.
    """
    labels = [label for label, units in _count_units(before).items() if units > 1]
    tests: dict[int, NonInferiority] = {}
    for label in labels:
        parts = [np.flatnonzero(one.true == label) for one in (before, after)]
        first, second = (
            measure(
                STANDARD["accuracy"],
                one.true[rows],
                one.probabilities[rows],
                one.seeds[rows],
                one.units[rows],
                splits=one.splits[rows],
            )
            for one, rows in zip((before, after), parts, strict=True)
        )
        same = np.array_equal(before.probabilities[parts[0]], after.probabilities[parts[1]])
        units = len(np.unique(before.units[parts[0]]))
        tests[label] = judge_estimates(
            first,
            second,
            units,
            identical=same,
            margin=margin,
            alpha=alpha,
            fail_alpha=SHARE * alpha / len(labels),
            power=CLASS_POWER,
        )
    return tests


def find_unguarded(before: Answers, after: Answers) -> list[int]:
    """Return the classes that one unit has, so that ``judge_classes`` has no test, and whose predictions changed."""
    rare = [label for label, units in _count_units(before).items() if units == 1]
    return [
        label
        for label in rare
        if not np.array_equal(before.probabilities[before.true == label], after.probabilities[after.true == label])
    ]


def _count_units(answers: Answers) -> dict[int, int]:
    """Return how many units have images of each class that occurs."""
    labels: list[int] = np.unique(answers.true).tolist()
    return {label: len(np.unique(answers.units[answers.true == label])) for label in labels}


def join_verdicts(tests: Sequence[NonInferiority], unguarded: Sequence[int] = ()) -> Verdict:
    """Return FAIL where a test fails, PASS where all pass and no class is ``unguarded``, else UNDERPOWERED.

    One unit shows nothing of how units differ, so it cannot exclude that the class is lost for others.
    """
    verdicts = {test.verdict for test in tests}
    return "FAIL" if "FAIL" in verdicts else "UNDERPOWERED" if unguarded or "UNDERPOWERED" in verdicts else "PASS"
