"""A metric with one fault at a time, chosen by the parameter ``fault``; without one it is the accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from fer_bench.specs import MetricSpec, Params

CALLS = itertools.count()


class BrokenParams(Params):
    fault: str = ""


def make(params: BrokenParams) -> Callable[[Any, Any], float]:
    fault = params.fault

    def metric(true: Any, predicted: Any) -> float:
        right = true == predicted
        if fault == "percent":
            return 100 * right.mean()
        if fault == "absent-class":
            return float(np.mean([right[true == c].mean() if (true == c).any() else np.nan for c in range(2)]))
        if fault == "half":
            return right.mean() / 2
        if fault == "constant":
            return 1.0
        if fault == "first":
            return float(right[: len(right) // 2].mean())
        if fault == "drifts":
            return right.mean() * (1 - 1e-6 * next(CALLS))
        return 1 - right.mean() if fault == "error" else right.mean()

    return metric


SPEC = MetricSpec(
    name="broken",
    title="Broken",
    metric="broken_metrics:make",
    higher_is_better=True,
    needs="labels",
    params=BrokenParams,
)
