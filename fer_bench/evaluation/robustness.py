"""How well a method scores on corrupted images: on all kinds together, on the worst kind, and how often answers flip.

D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations" (ICLR
2019, arXiv:1903.12261), section 4.1: the mean corruption error is the mean over kinds of the mean over severities, and
the flip probability is how often the answer changes from one image of a sequence to the next. Their errors are divided
by those of one network; here they are not, since no network is a standard for faces.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.estimate import Estimate, measure_values
from fer_bench.evaluation.groups import find_worst_group
from fer_bench.evaluation.intervals import Interval, algorithm_interval
from fer_bench.evaluation.metrics import Metric

LEVEL = 0.95


def _refuse(true: Array, probabilities: Array) -> float:
    raise ValueError(
        f"flips of {len(true)} predictions {probabilities.shape} need those of corrupted images; see measure_flips"
    )


FLIPS = Metric(
    name="flips",
    title="Flips",
    compute=_refuse,
    higher_is_better=False,
    lowest=0.0,
    highest=5.0,
)
"""Changes of the answer from each severity to the next, beginning with the clean image; the mean over kinds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Robustness:
    """What a method scores on corrupted images.

    Attributes:
        clean: the score of clean images.
        kinds: series of corruptions, such as ``jpeg`` -> the mean score over its severities.
        mean: the mean over kinds.
        flips: changes of an image's answer along the severities of a kind, the mean over kinds.
        crossed: the folds, as for `algorithm_interval`; None where they do not train on each other.
    """

    clean: Estimate
    kinds: Mapping[str, Estimate]
    mean: Estimate
    flips: Estimate
    crossed: CrossValidation | None

    @property
    def worst(self) -> str:
        """The kind with the worst score; of equals the first."""
        return find_worst_group(self.mean.metric, {kind: one.value for kind, one in self.kinds.items()})[0]

    def interval(self, estimate: Estimate, level: float = LEVEL) -> Interval:
        """Return the interval of one of the attributes, for other people and other seeds."""
        return algorithm_interval(estimate, self.crossed, level=level)

    def worst_interval(self) -> Interval:
        """Return the interval of the score on the kind that is truly the worst; nobody knows which it is.

        Each kind has an interval at a level that holds for all kinds at once (Bonferroni); where all of them hold, the
        worst score lies between the worst of the lower and of the upper ends.
        """
        level = 1 - (1 - LEVEL) / len(self.kinds)
        each = [self.interval(estimate, level) for estimate in self.kinds.values()]
        pick = min if self.mean.metric.higher_is_better else max
        return replace(
            self.interval(self.kinds[self.worst]),
            low=pick(one.low for one in each),
            high=pick(one.high for one in each),
        )


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Return the estimate of the mean of several scores of one method, of the same metric, units, seeds and splits."""
    first, tables = estimates[0], [one.tables for one in estimates if one.tables is not None]
    return replace(
        first,
        scores=np.mean([one.scores for one in estimates], axis=0),
        influences=np.mean([one.influences for one in estimates], axis=0),
        tables=np.mean(tables, axis=0) if tables else None,
    )


def count_flips(answers: Sequence[Array]) -> Array:
    """Return how often the answer to each image changes from one severity to the next, (n,) int.

    Args:
        answers: of the clean image, then of each severity in order, (n, c) bool: the classes of the largest
            probability.
    """
    return np.sum([(a != b).any(axis=1) for a, b in itertools.pairwise(answers)], axis=0)


def measure_flips(
    flips: Array, seeds: Array | None = None, units: Array | None = None, splits: Array | None = None
) -> Estimate:
    """Return the estimate of the mean number of flips.

    Args:
        flips: (r,) float, of each prediction, the mean over kinds.
        seeds: as for `measure`.
        units: likewise.
        splits: likewise.
    """
    return measure_values(FLIPS, flips, seeds, units, splits)
