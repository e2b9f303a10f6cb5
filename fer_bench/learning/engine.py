"""Run a strategy's plan over all pending folds and seeds of a data set and backbone."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import numpy as np
import pandas as pd
from jax.stages import Lowered

from fer_bench.arrays import Array
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning import convex, prediction, rules
from fer_bench.learning.calibration import Scaling
from fer_bench.learning.gradient import LOW_RANK, Model, Trainer, changed
from fer_bench.learning.lowered import Sample, lower
from fer_bench.learning.prediction import Mirrored
from fer_bench.learning.training import Progress, Training, copied, is_random_state, memory_errors_named
from fer_bench.learning.trials import ChosenTrial
from fer_bench.networks import answers
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.meter import Meter
from fer_bench.networks.parameters import Table, divide
from fer_bench.sizes import number_of
from fer_bench.specs import AnswerPhase, ConvexPhase, GradientPhase, Plan, ReadoutPhase, resolve
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.windows import WINDOWS


@dataclass(frozen=True, eq=False)
class Learned:
    """What training on one fold gave beside probabilities: all that predicts other images, without the backbone.

    Attributes:
        start: position of the first stage that predicts from what `fer_bench.keeping.outputs.Inputs` gives; None where
            the features do.
        table: arrays by name. Of a head and stages ``head/kernel`` (f, c), ``head/bias`` (c,) and the parameters and
            statistics that differ from the backbone's, as ``stage/path``, or the factors of a low-rank difference, as
            ``stage/path/left`` (m, r) and ``stage/path/right`` (r, n); of an estimator ``readout/features`` (n, f)
            and ``readout/labels`` (n,), which it is fitted on; of a finished classifier nothing.
    """

    start: int | None
    table: dict[str, Array]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What training on one fold gave.

    Attributes:
        probabilities: (n_test, c), rows sum to 1; float32, or float64 where they are calibrated.
        trained_parameters: numbers that were trained.
        head_parameters: numbers of the head.
        converged: whether the stopping rule was met; a gradient phase has none and counts as converged.
        seconds: this fold's share of the time.
        history: one row a phase, or an epoch of it.
        learned: returns what predicts other images.
        said: from other images of the same samples to what the model says of some of them; see `Material.said`.
        scaling: how the probabilities were calibrated; None where they are as the model gives them.
        chosen: settings that a search chose, and how; None where nothing was searched.
    """

    probabilities: Array
    trained_parameters: int
    head_parameters: int
    converged: bool
    seconds: float
    history: pd.DataFrame
    learned: Callable[[], Learned]
    said: Said
    scaling: Scaling | None = None
    chosen: ChosenTrial | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """What a plan works on.

    Attributes:
        labels: (n,) int.
        classes: number of classes, c.
        features: gives the features of the frozen backbone, of mirrored images, too, if the plan predicts them;
            computed or read when they are needed.
        inputs: (stages that are frozen, whether mirrored images are needed) -> what the stages after them take.
        backbone: builds the backbone; None is with its weights, a seed draws new ones.
        begin: called with the name of a phase, and the samples that it will see at most; with 100 for heads.
        advance: called with the number of samples that a training step saw, or with percent of the way of heads.
        soft_labels: (n, c) float32, or None where the data set has none.
        class_names: of the task; only an AnswerPhase needs it, and the next.
        answers: expressions that the backbone knows itself; see `fer_bench.networks.answers`.
        meter: is told what predicting takes.
        sequences: (n,) int, equal for the images of a sequence, -1 for an image of none; needed by a plan that
            aggregates.
        early: is given what traces programs that are needed after the frozen stages; returns what waits for them.
        through: name of one of `WINDOWS` -> this, of images that are cut down to it; only a plan with crops needs it.
    """

    labels: Array
    classes: int
    features: Callable[[], Outputs]
    inputs: Callable[[int, bool], Inputs]
    backbone: Callable[[int | None], Backbone]
    begin: Callable[[str, int], None]
    advance: Callable[[int], None]
    soft_labels: Callable[[], Array | None] = lambda: None
    class_names: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    meter: Meter = field(default_factory=Meter)
    sequences: Callable[[], Array] | None = None
    through: Callable[[str], Material] | None = None
    early: Callable[[Callable[[Sample], Iterable[Lowered]]], Callable[[], None]] = lambda _: lambda: None

    def targets(self, kind: Literal["hard", "soft"]) -> Array:
        """Return the probability of each class, (n, c) float32: one-hot, or the soft labels.

        Raises:
            ValueError: there are no soft labels.
        """
        if kind == "hard":
            return np.eye(self.classes, dtype=np.float32)[self.labels]
        if (soft := self.soft_labels()) is None:
            raise ValueError("labels=soft needs a data set with soft labels")
        return soft

    def views(self, plan: Plan, inputs: Callable[[Material, bool], Inputs]) -> list[Inputs]:
        """Return the views of the images that a plan predicts.

        Args:
            plan: says which.
            inputs: returns what the model takes of a material's images, where asked for also mirrored.
        """
        if plan.views == "crops":
            assert self.through is not None, "windows need images"
            return [inputs(self.through(window), False) for window in WINDOWS]
        own = inputs(self, plan.views == "mirror")
        return [own, Mirrored(own)] if plan.views == "mirror" else [own]

    def said(
        self, plan: Plan, inputs: Callable[[Material, bool], Inputs], predict: Callable[[Inputs, Array], Array]
    ) -> Callable[[Array], Array]:
        """Return a function of samples, (k,) int, that gives the mean over views of their probabilities, (k, c).

        Args:
            plan: says which views.
            inputs: as for `views`.
            predict: returns the probabilities of some samples from one view, (k, c) float32.
        """
        views = self.views(plan, inputs)
        return lambda rows: prediction.mean_of([predict(view, rows) for view in views])

    def answer(self, plan: Plan, fold: Fold, said: Callable[[Array], Array]) -> tuple[Array, Scaling | None]:
        """Return what `fer_bench.learning.prediction.answer` makes of what a model said."""
        with self.meter.count("evaluate"):
            return prediction.answer(plan, said, fold, self.labels, self.sequence_codes())

    def sequence_codes(self) -> Array:
        """Return the sequence of each sample, (n,) int; -1 for all where sequences do not count."""
        return np.full(len(self.labels), -1) if self.sequences is None else self.sequences()


Said = Callable[[Material], Callable[[Array], Array]]
"""From images to a function of samples that gives what a model says of them; see `Material.said`."""


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
        material.begin(phase.name, phase.epochs * int(fold.train.sum()))
        # Two phases must not see the same order of samples, so each has a seed of its own.
        own_seed = seed * len(trainers) + number
        with memory_errors_named(trainer):
            now = Training(trainer, inputs, targets, fold, own_seed, material.advance).run(now, keep)
    last, start = trainers[-1], time.perf_counter()
    model = now.model
    said = by_images(plan, last, model)
    with memory_errors_named(last):
        probabilities, scaling = material.answer(plan, fold, said(material))
    head = sum(begun.model.parameters[name].size for name in rules.HEAD)
    trained = max(trainer.trained(begun.model) for trainer in trainers)
    seconds = now.seconds + time.perf_counter() - start
    learned = functools.partial(_changed_from, material.backbone, model, last.start, now.factors)
    return Outcome(probabilities, trained, head, True, seconds, pd.DataFrame(now.history), learned, said, scaling)


def by_images(plan: Plan, last: Trainer, model: Model) -> Said:
    """Return `Outcome.said` of a model that was trained by gradients, in a last phase of this trainer."""

    def predict(inputs: Inputs, rows: Array) -> Array:
        probabilities = np.exp(last.predict(model, inputs, rows))
        if not np.isfinite(probabilities).all():
            raise FloatingPointError("the trained model predicts values that are not finite")
        return probabilities

    return lambda seen: seen.said(
        plan, lambda one, mirrored: one.inputs(last.start, last.phase.flip or mirrored), predict
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
    kept: dict[str, Array] = {}
    for name, leaf in {**model.parameters, **model.others}.items():
        if is_random_state(leaf) or (name in before and np.array_equal(np.asarray(leaf), np.asarray(before[name]))):
            continue
        pair = factors.get(name, ())
        small = bool(pair) and sum(factor.size for factor in pair) < leaf.size
        if small and np.allclose(changed(before[name], *pair), leaf, rtol=1e-5, atol=1e-7):
            kept |= {f"{name}{end}": np.asarray(factor) for end, factor in zip(LOW_RANK, pair, strict=True)}
        else:
            kept[name] = np.asarray(leaf)
    return Learned(start, kept)


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

    said = _by_features(plan, predict)
    probabilities, scaling = material.answer(plan, fold, said(material))
    # float32 cannot always reach the tolerance; ten times it still agrees with float64 to 1e-3 in loss.
    converged = bool(heads.gradient[i] <= 10 * phase.tolerance)
    size = heads.weights[:, i].size + heads.bias[i].size
    history = pd.DataFrame([_convex_row(heads, i)])

    def learned() -> Learned:
        return Learned(None, heads.of_features(i))

    return Outcome(probabilities, size, size, converged, seconds, history, learned, said, scaling)


def _begin_to_read_out(plan: Plan, material: Material, folds: Sequence[Fold]) -> None:
    material.begin(f"readout of {number_of(len(folds), 'fold')}", sum(prediction.count(plan, fold) for fold in folds))


def _read_out(
    plan: Plan, phase: ReadoutPhase, material: Material, fold: Fold, begin: Callable[[], None], _: Checkpoint
) -> Outcome:
    rows = np.flatnonzero(fold.train)
    start = time.perf_counter()
    estimator = resolve(phase.estimator)(**phase.options)
    taken, labels = material.features().take(rows), material.labels[rows]
    begin()
    estimator.fit(taken, labels)

    predict = functools.partial(prediction.read_out, estimator, material.classes)
    said = _by_features(plan, predict)
    told = _by_features(plan, functools.partial(predict, tell=material.advance))
    probabilities, scaling = material.answer(plan, fold, told(material))
    history = pd.DataFrame({"phase": ["readout"], "samples": [len(rows)]})
    learned = Learned(None, {"readout/features": taken, "readout/labels": labels})
    seconds = time.perf_counter() - start
    return Outcome(probabilities, 0, 0, True, seconds, history, lambda: learned, said, scaling)


def _answer(plan: Plan, material: Material, fold: Fold, _: Checkpoint) -> Outcome:
    start, known, names = time.perf_counter(), material.answers, material.class_names

    def predict(features: Inputs, rows: Array) -> Array:
        return answers.take(features.take(rows), known, names)

    said = _by_features(plan, predict)
    probabilities, scaling = material.answer(plan, fold, said(material))
    history = pd.DataFrame({"phase": ["as it is"], "samples": [0]})
    seconds = time.perf_counter() - start
    return Outcome(probabilities, 0, 0, True, seconds, history, lambda: Learned(None, {}), said, scaling)


def _by_features(plan: Plan, predict: Callable[[Inputs, Array], Array]) -> Said:
    """Return `Outcome.said` of a model that predicts from features."""
    return lambda seen: seen.said(plan, lambda one, mirrored: one.features(), predict)
