"""Run a strategy's plan over all pending folds and seeds of a data set and backbone."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from fer_bench.learning import convex
from fer_bench.learning.gradient import Model, Trainer
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.resumable import Run, train_fold
from fer_bench.networks import answers
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import divide
from fer_bench.specs import AnswerPhase, ConvexPhase, GradientPhase, Plan, ReadoutPhase, resolve
from fer_bench.tasks.protocols import Fold

Array = np.ndarray[Any, Any]


def run_plan(
    plan: Plan, material: Material, folds: Sequence[Fold], seeds: Sequence[int]
) -> list[Callable[[], Outcome]]:
    """Return one call a fold, which trains on its training part and predicts its test part.

    What folds share (a convex head of all of them, a compiled step) is made by the first call that needs it. A call may
    raise anything; the others still work.

    Args:
        plan: from `make_plan`, fitting the backbone.
        material: what it works on.
        folds: one an outcome.
        seeds: of each.
    """

    @functools.cache
    def heads() -> tuple[convex.Heads, float]:
        phase, features = plan.phases[0], material.features()
        assert isinstance(phase, ConvexPhase)
        start = time.perf_counter()
        train = np.stack([fold.train for fold in folds])
        found = convex.fit(features, material.labels, train, material.classes, phase)
        return found, (time.perf_counter() - start) / len(folds)

    first = plan.phases[0]
    if isinstance(first, ReadoutPhase):
        return [functools.partial(_read_out, first, material, fold) for fold in folds]

    if isinstance(first, AnswerPhase):
        return [functools.partial(_answer, material, fold) for fold in folds]

    def read_head(i: int) -> Outcome:
        assert isinstance(first, ConvexPhase)
        return _convex_outcome(first, material, folds[i], i, *heads())

    if len(plan.phases) == 1 and isinstance(first, ConvexPhase):
        return [functools.partial(read_head, i) for i in range(len(folds))]

    @functools.cache
    def trainers(pretrained: bool) -> list[Trainer]:
        backbone = material.backbone(None if pretrained else 0)
        shapes = {name: leaf.shape for name, leaf in _model(backbone, material).parameters.items()}
        phases = [phase for phase in plan.phases if isinstance(phase, GradientPhase)]
        return [Trainer(backbone, phase, material.classes, shapes) for phase in phases]

    def train(i: int) -> Outcome:
        model = _model(material.backbone(None if plan.pretrained else seeds[i]), material)
        shared, history = 0.0, []
        if isinstance(plan.phases[0], ConvexPhase):
            found, shared = heads()
            _check_head(found, i)
            model = replace(model, parameters=model.parameters | _raw_head(found, i))
            history = [_convex_row(found, i)]
        with material.checkpoint(i) as checkpoint:
            begun = Run(0, model, None, history, shared)
            return train_fold(trainers(plan.pretrained), begun, material, folds[i], seeds[i], checkpoint)

    return [functools.partial(train, i) for i in range(len(folds))]


def _model(backbone: Backbone, material: Material) -> Model:
    """Return the numbers of a backbone and of a head that begins at 0."""
    parameters, others = divide(backbone)
    head = {
        "head/kernel": jnp.zeros((backbone.feature_size, material.classes)),
        "head/bias": jnp.zeros(material.classes),
    }
    return Model(parameters | head, others)


def _raw_head(heads: convex.Heads, i: int) -> dict[str, jax.Array]:
    """Return head ``i`` as a function of features as they are."""
    kernel = heads.weights[:, i] / heads.spread[:, None]
    bias = heads.bias[i] - heads.centre @ kernel
    return {"head/kernel": jnp.asarray(kernel), "head/bias": jnp.asarray(bias)}


def _check_head(heads: convex.Heads, i: int) -> None:
    if not (np.isfinite(heads.loss[i]) and np.isfinite(heads.weights[:, i]).all()):
        raise FloatingPointError(f"the head's loss is {heads.loss[i]} after {heads.iterations[i]} iterations")


def _convex_row(heads: convex.Heads, i: int) -> dict[str, Any]:
    return {
        "phase": "head",
        "iterations": int(heads.iterations[i]),
        "loss": float(heads.loss[i]),
        "largest_gradient": float(heads.gradient[i]),
    }


def _convex_outcome(
    phase: ConvexPhase, material: Material, fold: Fold, i: int, heads: convex.Heads, seconds: float
) -> Outcome:
    _check_head(heads, i)
    with material.meter.count("evaluate"):
        probabilities = np.exp(heads.log_probabilities(i, material.features(), np.flatnonzero(fold.test)))
    # float32 cannot always reach the tolerance; ten times it still agrees with float64 to 1e-3 in loss.
    converged = bool(heads.gradient[i] <= 10 * phase.tolerance)
    size = heads.weights[:, i].size + heads.bias[i].size
    return Outcome(probabilities, size, size, converged, seconds, pd.DataFrame([_convex_row(heads, i)]))


def _read_out(phase: ReadoutPhase, material: Material, fold: Fold) -> Outcome:
    features, rows = material.features(), np.flatnonzero(fold.train)
    start = time.perf_counter()
    estimator = resolve(phase.estimator)(**phase.options)
    estimator.fit(features.take(rows), material.labels[rows])
    with material.meter.count("evaluate"):
        said = estimator.predict_proba(features.take(np.flatnonzero(fold.test)))
    probabilities = np.zeros((len(said), material.classes), np.float32)
    probabilities[:, np.asarray(estimator.classes_)] = said
    history = pd.DataFrame({"phase": ["readout"], "samples": [len(rows)]})
    return Outcome(probabilities, 0, 0, True, time.perf_counter() - start, history)


def _answer(material: Material, fold: Fold) -> Outcome:
    start = time.perf_counter()
    given = material.features().take(np.flatnonzero(fold.test))
    probabilities = answers.take(given, material.answers, material.class_names)
    history = pd.DataFrame({"phase": ["as it is"], "samples": [0]})
    return Outcome(probabilities, 0, 0, True, time.perf_counter() - start, history)
