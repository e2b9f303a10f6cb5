"""Run a strategy's plan over all pending folds and seeds of a data set and backbone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.data.protocols import Fold
from fer_bench.errors import PluginError
from fer_bench.registry import Component
from fer_bench.specs import ConvexPhase, Plan, StrategySpec
from fer_bench.training import convex
from fer_bench.training.outputs import Outputs

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What training on one fold gave.

    Attributes:
        probabilities: (n_test, c) float32, rows sum to 1.
        trained_parameters: numbers that were trained.
        converged: whether the stopping rule was met.
        seconds: this fold's share of the time.
        history: one row a phase.
    """

    probabilities: Array
    trained_parameters: int
    converged: bool
    seconds: float
    history: pd.DataFrame


def make_plan(strategy: Component[StrategySpec]) -> Plan:
    """Return the plan of a strategy, checked.

    Raises:
        PluginError: the plugin raised, or returned something that the engine cannot run.
    """
    where = f"Strategy {str(strategy)!r} of plugin {strategy.plugin.name!r}"
    function = strategy.resolve(strategy.spec.plan)
    try:
        plan = function(strategy.params)
    except Exception as error:
        raise PluginError(f"{where} failed to make its plan: {type(error).__name__}: {error}") from error
    if not isinstance(plan, Plan):
        raise PluginError(f"{where} returned {type(plan).__name__}; expected fer_bench.specs.Plan.")
    if len(plan.phases) != 1 or not isinstance(plan.phases[0], ConvexPhase):
        raise PluginError(
            f"{where} plans {len(plan.phases)} phases; this version of fer-bench runs exactly one ConvexPhase."
        )
    return plan


def run_plan(plan: Plan, features: Outputs, labels: Array, classes: int, folds: Sequence[Fold]) -> Iterator[Outcome]:
    """Train on the training part of each fold, all at once, and yield the predictions of its test part, one by one.

    Args:
        plan: from `make_plan`.
        features: (f,) each, of the frozen backbone.
        labels: (n,) int.
        classes: number of classes, c.
        folds: one an outcome.

    Raises:
        FloatingPointError: a head ended in values that are not finite.
    """
    start = time.perf_counter()
    (phase,) = plan.phases
    heads = convex.fit(features, labels, np.stack([fold.train for fold in folds]), classes, phase)
    seconds = (time.perf_counter() - start) / len(folds)
    for i, fold in enumerate(folds):
        probabilities = np.exp(heads.log_probabilities(i, features, np.flatnonzero(fold.test)))
        if not (np.isfinite(probabilities).all() and np.isfinite(heads.loss[i])):
            raise FloatingPointError(f"the head's loss is {heads.loss[i]} after {heads.iterations[i]} iterations")
        history = pd.DataFrame(
            {
                "phase": ["head"],
                "iterations": [int(heads.iterations[i])],
                "loss": [float(heads.loss[i])],
                "largest_gradient": [float(heads.gradient[i])],
            }
        )
        # float32 cannot always reach the tolerance; ten times it still agrees with float64 to 1e-3 in loss.
        converged = bool(heads.gradient[i] <= 10 * phase.tolerance)
        yield Outcome(probabilities, classes * (features.shape[0] + 1), converged, seconds, history)
