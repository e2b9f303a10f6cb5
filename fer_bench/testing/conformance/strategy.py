"""Rules for strategies: on a backbone of a few hundred numbers and pictures that are easy to distinguish."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import jax
import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Inputs, Outputs
from fer_bench.learning.engine import run_plan
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.plans import check, make_plan
from fer_bench.learning.state import Model
from fer_bench.learning.training import Progress, Training
from fer_bench.networks import backbone as backbones
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.identity import BACKBONE_SEED
from fer_bench.networks.shapes import trace
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneSpec, GradientPhase, Plan, StrategySpec
from fer_bench.tasks.folds import Fold
from fer_bench.testing.conformance.rules import ConformanceRule, NotApplicable, rule
from fer_bench.testing.conformance.spec import add_pickle_rule
from fer_bench.testing.tiny import tiny_backbone

SAMPLES = 96
SIDE = 8


class StrategySubject:
    """A strategy whose plan is run on small problems, each once for all rules.

    Args:
        component: with the parameters to be checked.
    """

    def __init__(self, component: Component[StrategySpec]):
        self.component, self.spec = component, component.spec

    @cached_property
    def plan(self) -> Plan:
        """The plan, as the host makes it."""
        return make_plan(self.component)

    @cached_property
    def large(self) -> Problem:
        """Eight classes in colour."""
        return Problem(self.plan, 8, 3)

    @cached_property
    def small(self) -> Problem:
        """Two classes in grey, one channel."""
        return Problem(self.plan, 2, 1)


class Problem:
    """Pictures of some classes, each of a colour of its own, and what a plan makes of them.

    Args:
        plan: of the strategy.
        classes: number of classes.
        channels: of the pictures and of the backbone's input.
    """

    def __init__(self, plan: Plan, classes: int, channels: Literal[1, 3]):
        self.plan, self.classes = plan, classes
        self.component: Component[BackboneSpec] = tiny_backbone(channels)
        self.labels = np.arange(SAMPLES) % classes
        # The corners of the colour cube: what the mirrored picture and the mean over space still tell apart.
        colours = np.array([[(label >> channel) % 2 for channel in range(channels)] for label in range(classes)])
        noise = np.random.default_rng(0).integers(-20, 21, (SAMPLES, SIDE, SIDE, channels))
        self.images = (50 + 150 * colours[self.labels][:, None, None] + noise).astype(np.uint8)
        self.built: dict[int | None, Backbone] = {}

    def backbone(self, seed: int | None) -> Backbone:
        """Return the tiny backbone: always the same without a seed."""
        if seed not in self.built:
            self.built[seed] = backbones.build(self.component, "float32", BACKBONE_SEED if seed is None else seed + 1)
        return self.built[seed]

    @cached_property
    def fold(self) -> Fold:
        """A fold that trains and tests on the same samples, so that what was learned shows; some validate if wanted."""
        valid = np.arange(SAMPLES) < round(self.plan.validation * SAMPLES)
        return Fold(0, ~valid, ~valid, valid)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """What training gives for the seeds 0 and 0 again."""
        return [
            train(Checkpoint(None)) for train in run_plan(self.plan, self.material(), [self.fold, self.fold], [0, 0])
        ]

    def material(self) -> Material:
        """Return what the engine works on."""

        def outputs(stop: int, variants: int) -> Outputs:
            built = self.backbone(None)
            run = jax.jit(partial(built.prefix, stop=stop))
            pictures = (self.images, self.images[:, :, ::-1])[:variants]
            return Outputs([np.stack([np.asarray(run(built.state, x)) for x in pictures], axis=1)])

        def inputs(stop: int, flip: bool) -> Inputs:
            return _Pictures(self.images) if stop == 0 else outputs(stop, 1 + flip)

        stages = len(self.component.spec.stages)
        return Material(
            labels=self.labels,
            classes=self.classes,
            features=lambda: outputs(stages, 1),
            inputs=inputs,
            backbone=self.backbone,
            begin=lambda phase, samples: None,
            advance=lambda samples: None,
        )


@dataclass(frozen=True, eq=False)
class _Pictures:
    images: Array

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        batch = self.images[rows]
        mirrored = np.broadcast_to(np.asarray(variant), np.shape(rows)) == 1
        batch[mirrored] = batch[mirrored, :, ::-1]
        return batch


RULES: list[ConformanceRule[StrategySubject]] = []


add_pickle_rule(RULES, lambda subject: subject.component)


@rule(
    RULES,
    expected="the plan is a Plan that the engine can run, and the same parameters give the same plan",
    fix="return fer_bench.specs.Plan from a function of only the parameters",
)
def plans(subject: StrategySubject) -> Iterator[str]:
    """Yield what is wrong with the plan; making it raises where it cannot run."""
    if make_plan(subject.component) != subject.plan:
        yield "the same parameters give another plan"


@rule(
    RULES,
    needs=["plans"],
    expected="in every gradient phase exactly one rule matches each parameter of backbone and head, and one learns",
    fix="close the gaps between rules (stop of one is start of the next) and give the head a rule with head=True",
)
def covers_every_parameter(subject: StrategySubject) -> Iterator[str]:
    """Yield each parameter that no rule or several match."""
    if not any(isinstance(phase, GradientPhase) for phase in subject.plan.phases):
        raise NotApplicable("the strategy has no gradient phase")
    try:
        check(subject.plan, str(subject.component), subject.large.component, partial(trace, subject.large.component))
    except PluginError as error:
        yield str(error)


@rule(
    RULES,
    needs=["covers-every-parameter"],
    expected="parameters whose rule has rate 0 are the same to the bit after training, as are BatchNorm statistics "
    "that the phase freezes",
    fix="this is the engine's promise: report it to fer-bench with your plan",
)
def frozen_leaves_stay(subject: StrategySubject) -> Iterator[str]:
    """Yield each frozen leaf that changed."""
    yield from frozen_faults(subject.large)


@rule(
    RULES,
    needs=["plans"],
    expected="on pictures that are easy to classify the cross-entropy falls below that of guessing, ln(classes), and "
    "within each phase of several epochs",
    fix="raise the learning rate or the epochs, or shorten the warm-up: 96 pictures must be enough to learn something",
)
def learns(subject: StrategySubject) -> Iterator[str]:
    """Yield how little was learned."""
    for problem in (subject.large, subject.small):
        probabilities = problem.outcomes[0].probabilities
        labels = problem.labels[problem.fold.test]
        loss = float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
        guessing = math.log(problem.classes)
        if not loss < guessing:
            yield (
                f"{number_of(problem.classes, 'class', 'classes')}: cross-entropy {loss:.3f} after "
                f"training, {guessing:.3f} by guessing"
            )
        history = problem.outcomes[0].history
        if "loss" not in history or "epoch" not in history:
            continue
        for phase, rows in history.dropna(subset=["epoch"]).groupby("phase", sort=False):
            first, last = rows["loss"].iloc[0], rows["loss"].iloc[-1]
            if len(rows) > 1 and not last < first:
                yield (
                    f"{number_of(problem.classes, 'class', 'classes')}: the loss of phase {phase!r} "
                    f"goes from {first:.3f} to {last:.3f}"
                )


@rule(
    RULES,
    needs=["plans"],
    expected="the same seed gives the same predictions to the bit",
    fix="give every scikit-learn estimator a fixed random_state, and draw nothing from global random states",
)
def same_seed_same_result(subject: StrategySubject) -> Iterator[str]:
    """Yield how far two trainings of one seed are apart."""
    one, two = (outcome.probabilities for outcome in subject.large.outcomes)
    if not np.array_equal(one, two):
        yield f"probabilities differ by up to {np.abs(one - two).max():.3g}"


@rule(
    RULES,
    needs=["plans"],
    expected="2 and 8 classes, in colour and in grey, give a probability for each class, from 0 to 1, that sum to 1",
    fix="let nothing in the plan depend on a number of classes or channels; an estimator needs predict_proba for any",
)
def classes_and_channels(subject: StrategySubject) -> Iterator[str]:
    """Yield what is wrong with the predictions of each problem."""
    for problem in (subject.large, subject.small):
        where = number_of(problem.classes, "class", "classes")
        try:
            probabilities = problem.outcomes[0].probabilities
        except Exception as error:
            yield f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            continue
        if probabilities.shape != (int(problem.fold.test.sum()), problem.classes):
            yield f"{where}: probabilities {probabilities.shape}"
        elif not (
            np.isfinite(probabilities).all()
            and (probabilities >= 0).all()
            and np.allclose(probabilities.sum(1), 1, atol=1e-4)
        ):
            yield f"{where}: probabilities are not finite, below 0 or do not sum to 1"


def frozen_faults(problem: Problem) -> Iterator[str]:
    """Yield each leaf that a plan's gradient phases freeze and that is another after them."""
    material, built = problem.material(), problem.backbone(None)
    model, targets = Model.first(built, problem.classes), material.targets("hard")
    for phase in problem.plan.phases:
        if not isinstance(phase, GradientPhase):
            continue
        trainer = Trainer(built, phase, model.shapes)
        inputs = material.inputs(trainer.start, phase.flip)
        training = Training(trainer, inputs, targets, problem.fold, 0, material.advance)
        after = training.run(Progress(model)).model
        for name, rule_of in trainer.rules.items():
            if rule_of.rate == 0 and not np.array_equal(model.parameters[name], after.parameters[name]):
                yield f"phase {phase.name!r} changes {name}, whose rate is 0"
        if phase.batch_norm == "frozen":
            for name, value in model.others.items():
                if not np.array_equal(value, after.others[name]):
                    yield f"phase {phase.name!r} changes {name}, with batch_norm='frozen'"
        model = after
