"""Run a strategy's plan over all pending folds and seeds of a data set and backbone."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pandas as pd
from jax.stages import Lowered

from fer_bench.arrays import Array
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning import convex, prediction, rules
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.lowered import Sample, lower
from fer_bench.learning.material import Learned, Material, Outcome, Predictor
from fer_bench.learning.state import LOW_RANK, Model, changed
from fer_bench.learning.training import Progress, Training, copied, is_random_state
from fer_bench.networks import answers, devices
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import Table, divide
from fer_bench.sizes import number_of
from fer_bench.specs import AnswerPhase, ConvexPhase, GradientPhase, Plan, ReadoutPhase, resolve
from fer_bench.tasks.folds import Fold


def run_plan(
    plan: Plan, material: Material, folds: Sequence[Fold], seeds: Sequence[int]
) -> list[Callable[[Checkpoint], Outcome]]:
    """Return one call a fold, which trains on its training part and predicts its test part.

    What folds share (a convex head of all of them, a compiled step) is made by the first call that needs it. A call may
    raise anything; the others still work. It is given where a killed run left off and where this one is kept.

    Args:
        plan: from `fer_bench.learning.plans.make_plan`, fitting the backbone.
        material: what it works on.
        folds: one an outcome.
        seeds: of each.
    """
    first = plan.phases[0]
    if isinstance(first, ReadoutPhase):
        begin = functools.cache(functools.partial(_begin_to_read_out, plan, material, folds))
        return [functools.partial(_read_out, plan, first, material, fold, begin) for fold in folds]
    if isinstance(first, AnswerPhase):
        return [functools.partial(_answer, plan, material, fold) for fold in folds]

    @functools.cache
    def heads() -> tuple[convex.Heads, float]:
        assert isinstance(first, ConvexPhase)
        features, start = material.features(), time.perf_counter()
        train = np.stack([fold.train for fold in folds])
        material.begin(f"head of {number_of(len(folds), 'fold')}", 100)
        with devices.memory_errors_named(lambda: convex.too_much(len(folds), material.classes, features.shape[0])):
            fitted = convex.fit(features, material.labels, train, material.classes, first, material.advance)
        return fitted, (time.perf_counter() - start) / len(folds)

    def read_head(i: int, phase: ConvexPhase, _: Checkpoint) -> Outcome:
        return _convex_outcome(plan, phase, material, folds[i], i, *heads())

    if isinstance(first, ConvexPhase) and len(plan.phases) == 1:
        return [functools.partial(read_head, i, first) for i in range(len(folds))]

    @functools.cache
    def trainers() -> list[Trainer]:
        backbone = material.backbone(None if plan.pretrained else 0)
        shapes = Model.first(backbone, material.classes).shapes
        return [Trainer(backbone, phase, shapes) for phase in plan.phases if isinstance(phase, GradientPhase)]

    def programs(sample: Sample) -> Iterator[Lowered]:
        return lower(trainers(), Model.first(material.backbone(None), material.classes), sample, folds[0])

    # Random weights are drawn by a plugin, which only one thread at a time can contain.
    ready = material.early(programs) if plan.pretrained else lambda: None

    def train(i: int, checkpoint: Checkpoint) -> Outcome:
        backbone = material.backbone(None if plan.pretrained else seeds[i])
        begun = Progress(Model.first(backbone, material.classes))
        if isinstance(first, ConvexPhase):
            begun = _with_head(begun, i, *heads())
        ready()
        return _train_fold(plan, trainers(), begun, material, folds[i], seeds[i], checkpoint)

    return [functools.partial(train, i) for i in range(len(folds))]


def _train_fold(
    plan: Plan,
    trainers: Sequence[Trainer],
    begun: Progress,
    material: Material,
    fold: Fold,
    seed: int,
    checkpoint: Checkpoint,
) -> Outcome:
    """Train on the training part of a fold, phase after phase, and predict its test part."""
    now = checkpoint.load(functools.partial(begun.at, trainers)) or begun

    def keep(now: Progress) -> None:
        if checkpoint.due:
            checkpoint.save(now.facts(), copied(now.arrays(trainers)))

    for number, trainer in enumerate(trainers[now.phase :], now.phase):
        phase = trainer.phase
        inputs, targets = material.inputs(trainer.start, phase.flip), material.targets(phase.labels)
        where = f"{phase.name}, seed {seed}, fold {fold.number}"
        material.begin(where, phase.epochs * int(fold.train.sum()))
        # Two phases must not see the same order of samples, so each has a seed of its own.
        own_seed = seed * len(trainers) + number
        with devices.memory_errors_named(trainer.too_much):
            training = Training(trainer, inputs, targets, fold, own_seed, material.advance)
            now = training.run(now, keep, lambda: checkpoint.due)
    last, start = trainers[-1], time.perf_counter()
    model = now.model
    predictor = by_images(plan, last, model)
    with devices.memory_errors_named(last.too_much):
        probabilities, scaling = material.answer(plan, fold, predictor(material))
    head = sum(begun.model.parameters[name].size for name in rules.HEAD)
    trained = max(trainer.trained(begun.model) for trainer in trainers)
    seconds = now.seconds + time.perf_counter() - start
    learned = functools.partial(_changed_from, material.backbone, model, last.start, now.factors)
    return Outcome(probabilities, trained, head, True, seconds, pd.DataFrame(now.history), learned, predictor, scaling)


def by_images(plan: Plan, last: Trainer, model: Model) -> Predictor:
    """Return `Outcome.predictor` of a model that was trained by gradients, in a last phase of this trainer."""

    def predict(inputs: Inputs, rows: Array) -> Array:
        probabilities = np.exp(last.predict(model, inputs, rows))
        if not np.isfinite(probabilities).all():
            raise FloatingPointError("the trained model predicts values that are not finite")
        return probabilities

    return lambda material: material.average_views(
        plan, lambda windowed, mirrored: windowed.inputs(last.start, last.phase.flip or mirrored), predict
    )


def _changed_from(
    backbone: Callable[[None], Backbone], model: Model, start: int, factors: Mapping[str, tuple[jax.Array, jax.Array]]
) -> Learned:
    """Return the numbers of a model that are not those of the backbone with its weights, and the head.

    A matrix that differs by the product of ``factors`` is kept as these, where they have fewer numbers.
    """
    before: Table = {}
    for part in divide(backbone(None)):
        before |= part
    differing: dict[str, Array] = {}
    for name, leaf in {**model.parameters, **model.others}.items():
        if is_random_state(leaf) or (name in before and np.array_equal(np.asarray(leaf), np.asarray(before[name]))):
            continue
        pair = factors.get(name, ())
        small = bool(pair) and sum(factor.size for factor in pair) < leaf.size
        if small and np.allclose(changed(before[name], *pair), leaf, rtol=1e-5, atol=1e-7):
            differing |= {f"{name}{end}": np.asarray(factor) for end, factor in zip(LOW_RANK, pair, strict=True)}
        else:
            differing[name] = np.asarray(leaf)
    return Learned(start, differing)


def _with_head(begun: Progress, i: int, heads: convex.Heads, seconds: float) -> Progress:
    """Return a progress whose model has the fitted head ``i``, as a function of features as they are."""
    _check_head(heads, i)
    head = jax.device_put(heads.of_features(i))
    model = replace(begun.model, parameters=begun.model.parameters | head)
    return replace(begun, model=model, history=(_convex_row(heads, i),), seconds=seconds)


def _check_head(heads: convex.Heads, i: int) -> None:
    if not (np.isfinite(heads.loss[i]) and np.isfinite(heads.weights[:, i]).all()):
        raise FloatingPointError(
            f"the head's loss is {heads.loss[i]} after {number_of(heads.iterations[i], 'iteration')}"
        )


def _convex_row(heads: convex.Heads, i: int) -> dict[str, Any]:
    return {
        "phase": "head",
        "iterations": int(heads.iterations[i]),
        "loss": float(heads.loss[i]),
        "largest_gradient": float(heads.gradient[i]),
    }


def _convex_outcome(
    plan: Plan, phase: ConvexPhase, material: Material, fold: Fold, i: int, heads: convex.Heads, seconds: float
) -> Outcome:
    _check_head(heads, i)

    def predict(features: Inputs, rows: Array) -> Array:
        return np.exp(heads.log_probabilities(i, features, rows))

    predictor = _by_features(plan, predict)
    probabilities, scaling = material.answer(plan, fold, predictor(material))
    # float32 cannot always reach the tolerance; ten times it still agrees with float64 to 1e-3 in loss.
    converged = bool(heads.gradient[i] <= 10 * phase.tolerance)
    size = heads.weights[:, i].size + heads.bias[i].size
    history = pd.DataFrame([_convex_row(heads, i)])

    def learned() -> Learned:
        return Learned(None, heads.of_features(i))

    return Outcome(probabilities, size, size, converged, seconds, history, learned, predictor, scaling)


def _begin_to_read_out(plan: Plan, material: Material, folds: Sequence[Fold]) -> None:
    material.begin(f"readout of {number_of(len(folds), 'fold')}", sum(prediction.count(plan, fold) for fold in folds))


def _read_out(
    plan: Plan, phase: ReadoutPhase, material: Material, fold: Fold, begin: Callable[[], None], _: Checkpoint
) -> Outcome:
    rows = np.flatnonzero(fold.train)
    start = time.perf_counter()
    estimator = resolve(phase.estimator)(**phase.options)
    features, labels = material.features().take(rows), material.labels[rows]
    begin()
    estimator.fit(features, labels)

    predict = functools.partial(prediction.read_out, estimator, material.classes)
    predictor = _by_features(plan, predict)
    reporting = _by_features(plan, functools.partial(predict, tell=material.advance))
    probabilities, scaling = material.answer(plan, fold, reporting(material))
    history = pd.DataFrame({"phase": ["readout"], "samples": [len(rows)]})
    learned = Learned(None, {"readout/features": features, "readout/labels": labels})
    seconds = time.perf_counter() - start
    return Outcome(probabilities, 0, 0, True, seconds, history, lambda: learned, predictor, scaling)


def _answer(plan: Plan, material: Material, fold: Fold, _: Checkpoint) -> Outcome:
    start, classes, names = time.perf_counter(), material.answers, material.class_names

    def predict(features: Inputs, rows: Array) -> Array:
        return answers.take(features.take(rows), classes, names)

    predictor = _by_features(plan, predict)
    probabilities, scaling = material.answer(plan, fold, predictor(material))
    history = pd.DataFrame({"phase": ["as it is"], "samples": [0]})
    seconds = time.perf_counter() - start
    return Outcome(probabilities, 0, 0, True, seconds, history, lambda: Learned(None, {}), predictor, scaling)


def _by_features(plan: Plan, predict: Callable[[Inputs, Array], Array]) -> Predictor:
    """Return `Outcome.predictor` of a model that predicts from features."""
    return lambda material: material.average_views(plan, lambda windowed, mirrored: windowed.features(), predict)
