"""How a metric differs between groups of samples, and how much of the data was predicted at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_predictions, factorize
from fer_bench.evaluation.metrics import Metric, evaluate_parts
from fer_bench.sizes import number_of

Name = TypeVar("Name")


def score_groups(
    metric: Metric, true: Array, probabilities: Array, groups: Array, *, min_samples: int = 1
) -> dict[Any, float]:
    """Return group -> value of the metric on its samples, in the order of first appearance.

    Args:
        metric: any.
        true: (n,) int labels.
        probabilities: (n, c) float.
        groups: (n,) names, such as a subject, sex or source; samples without one (None, NaN) are left out.
        min_samples: smaller groups are left out, since their values are mostly noise.

    Raises:
        ValueError: the predictions are not valid, or no group is left.
    """
    true, probabilities = check_predictions(true, probabilities)
    if len(groups) != len(true):
        raise ValueError(
            f"got {number_of(len(groups), 'group')} and {number_of(len(true), 'sample')}; expected as many"
        )
    codes, names = factorize(groups)
    large = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)) >= min_samples)
    if not len(large):
        raise ValueError(
            f"no group has {number_of(min_samples, 'sample')} or more, of {number_of(len(names), 'group')}"
        )
    part = np.full(len(names) + 1, -1)  # the last is that of a sample without a group
    part[large] = np.arange(len(large))
    rows = np.flatnonzero(part[codes] >= 0)
    scores = evaluate_parts(true[rows], probabilities[rows], part[codes[rows]], [metric])[metric.name]
    return dict(zip([names[code] for code in large], scores.tolist(), strict=True))


def pick_alike(true: Array, groups: Array) -> tuple[Array, int]:
    """Return which samples can be compared between groups, (n,) bool, and how many groups that leaves.

    A group of neutral faces only is neither better nor worse than one of all expressions: another question. So groups
    are compared on the classes that more than half of them hold, and those that lack one of these are left out.
    Nothing is left where that leaves fewer than two groups or two classes.

    Args:
        true: (n,) int labels.
        groups: (n,) int codes.
    """
    names, code = np.unique(groups, return_inverse=True)
    holds = np.zeros((len(names), int(true.max()) + 1), bool)
    holds[code, true] = True
    common = holds.mean(axis=0) > 0.5
    alike = np.all(holds[:, common], axis=1)
    if common.sum() < 2 or alike.sum() < 2:
        return np.zeros(len(true), bool), 0
    return np.take(alike, code) & np.take(common, true), int(alike.sum())


def find_worst_group(metric: Metric, values: Mapping[Name, float]) -> tuple[Name, float]:
    """Return the group that the metric calls worst, and its value; of equals, the first.

    Args:
        metric: says which way is worse.
        values: as ``score_groups`` returns them.
    """
    worst = (min if metric.higher_is_better else max)(values, key=lambda name: values[name])
    return worst, values[worst]


def measure_gap(values: Mapping[Any, float]) -> float:
    """Return the largest difference between two groups, 0 or more, in the metric's unit."""
    return max(values.values()) - min(values.values())
