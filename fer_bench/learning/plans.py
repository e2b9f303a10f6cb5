"""The plan of a strategy: checked before any work, and what it will ask of a backbone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from fer_bench.errors import PluginError, bullet_list
from fer_bench.learning import augment, rules
from fer_bench.networks.shapes import Shapes
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import (
    AnswerPhase,
    BackboneSpec,
    ConvexPhase,
    GradientPhase,
    Plan,
    ReadoutPhase,
    StrategyParams,
    StrategySpec,
)
from fer_bench.specs.strategies import own_params
from fer_bench.tasks.view import View
from fer_bench.tasks.windows import WINDOWS

CALIBRATION_SHARE = 0.2
"""Share of the training part of a fold that calibrates where a strategy has no validation part of its own."""


def make_plan(strategy: Component[StrategySpec]) -> Plan:
    """Return the plan of a strategy, checked, with what its users ask of every strategy.

    Raises:
        PluginError: the plugin raised, or returned something that the engine cannot run.
    """
    where = f"Strategy {str(strategy)!r} of plugin {strategy.plugin.name!r}"
    function = strategy.resolve(strategy.spec.plan)
    plan = strategy.call(f"make the plan of strategy {str(strategy)!r}", function, own_params(strategy.params))
    if not isinstance(plan, Plan):
        raise PluginError(f"{where} returned {type(plan).__name__}; expected fer_bench.specs.Plan.")
    first, further = plan.phases[:1], plan.phases[1:]
    is_phase = all(isinstance(phase, ConvexPhase | ReadoutPhase | GradientPhase | AnswerPhase) for phase in first)
    if not first or not is_phase or not all(isinstance(phase, GradientPhase) for phase in further):
        kinds = [type(phase).__name__ for phase in plan.phases]
        raise PluginError(
            f"{where} plans the phases {kinds}; expected one phase, or a ConvexPhase or GradientPhase followed by "
            "GradientPhases."
        )
    faults = _faults(plan)
    if further and isinstance(first[0], ReadoutPhase | AnswerPhase):
        faults.append(f"{type(first[0]).__name__} leaves no head that other phases could go on with")
    if faults:
        raise PluginError(f"{where} has a plan that cannot run:\n{bullet_list(faults, len(faults))}")
    params = strategy.params
    assert isinstance(params, StrategyParams), "the spec of every strategy adds them"
    share = plan.validation or (CALIBRATION_SHARE if params.calibrate != "none" else 0.0)
    return replace(plan, **params.model_dump(include=set(StrategyParams.model_fields)), validation=share)


def _faults(plan: Plan) -> list[str]:
    """Return what of a plan's numbers makes no sense with any backbone."""
    reserved = [name for name, field in StrategyParams.model_fields.items() if getattr(plan, name) != field.default]
    faults = [f"it sets {name}, which users set as a parameter of every strategy" for name in reserved]
    for phase in (phase for phase in plan.phases if isinstance(phase, GradientPhase)):
        where = f"phase {phase.name!r}"
        if phase.epochs < 1 or phase.batch < 1:
            faults.append(
                f"{where} has {number_of(phase.epochs, 'epoch')} of batches of {phase.batch}; both must be at least 1"
            )
        if not (phase.learning_rate > 0 and math.isfinite(phase.learning_rate)):
            faults.append(f"{where} has the learning rate {phase.learning_rate}; it must be above 0")
        for name in ("warmup", "label_smoothing", "dropout"):
            if not 0 <= getattr(phase, name) < 1:
                faults.append(f"{where} has {name} {getattr(phase, name)}; it must be from 0 to below 1")
        unknown = [name for name in phase.augment if name not in ("affine", "colour", "erase")]
        if unknown:
            faults.append(f"{where} has the augmentations {unknown}; there are affine, colour and erase")
        for name in ("mixup", "cutmix"):
            if not (getattr(phase, name) >= 0 and math.isfinite(getattr(phase, name))):
                faults.append(f"{where} has {name} {getattr(phase, name)}; it must be 0 or above")
        if phase.mixup and phase.cutmix:
            faults.append(f"{where} has mixup and cutmix; only one of them may be above 0")
        if phase.patience and not plan.validation:
            faults.append(f"{where} stops early, which needs a validation part; set Plan.validation")
    return faults


def check(plan: Plan, strategy: str, backbone: Component[BackboneSpec], shapes: Callable[[], Shapes]) -> None:
    """Check a plan against a backbone without computing anything: its parameters are traced, not drawn or loaded.

    A backbone that cannot even be traced is left to fail in its cells.

    Args:
        plan: from `make_plan`.
        strategy: as the user typed it.
        backbone: that it will train.
        shapes: returns the shapes of its parameters; asked only if a phase takes steps.

    Raises:
        PluginError: the rules of a phase do not cover each parameter exactly once, or train nothing; an AnswerPhase
            meets a backbone that is no finished classifier, or a GradientPhase one that is frozen-only.
    """
    if any(isinstance(phase, AnswerPhase) for phase in plan.phases) and not backbone.spec.answers:
        raise PluginError(
            f"Strategy {strategy!r} fits nothing, so it needs a finished classifier; backbone {str(backbone)!r} gives "
            "features. Use another strategy, such as linear-probe."
        )
    phases = [phase for phase in plan.phases if isinstance(phase, GradientPhase)]
    if not phases:
        return
    if backbone.spec.frozen_only:
        raise PluginError(
            f"Strategy {strategy!r} trains by gradients, and backbone {str(backbone)!r} is frozen-only: its features "
            "are computed outside of JAX. Use a strategy that trains a classifier on them, such as linear-probe, or "
            "leave this backbone out."
        )
    if (by_stage := _trace(shapes)) is None:
        return
    for phase in phases:
        try:
            rules.assign(phase, backbone.spec.stages, by_stage)
        except (ValueError, re.error) as error:
            raise PluginError(f"Strategy {strategy!r} does not fit backbone {str(backbone)!r}: {error}") from None


def _trace(shapes: Callable[[], Shapes]) -> Shapes | None:
    """Return the shapes; None of a backbone that cannot even be traced, which fails in its cells."""
    try:
        return shapes()
    except KeyboardInterrupt:
        raise
    except BaseException:  # a panic of native code is no Exception
        return None


@dataclass(frozen=True)
class Demand:
    """What a plan asks for.

    Attributes:
        outputs: (stages that run, variants of each image) whose outputs are computed once and kept.
        steps: (name of the phase, position of the first stage that every step runs, epochs) of each gradient phase;
            position 0 is the image, for which nothing is kept.
        windows: stages whose outputs are computed and kept of each window of an image, too.
    """

    outputs: frozenset[tuple[int, int]]
    steps: tuple[tuple[str, int, int], ...]
    windows: frozenset[int] = frozenset()


def demand(plan: Plan, backbone: Component[BackboneSpec], shapes: Callable[[], Shapes]) -> Demand:
    """Return what ``plan`` asks of ``backbone``, which it fits; arguments as of `check`."""
    stages = backbone.spec.stages
    phases = [phase for phase in plan.phases if isinstance(phase, GradientPhase)]
    frozen = any(isinstance(phase, ConvexPhase | ReadoutPhase | AnswerPhase) for phase in plan.phases)
    outputs = {(len(stages), 1)} if frozen else set[tuple[int, int]]()
    steps: list[tuple[str, int, int]] = []
    if (by_stage := _trace(shapes) if phases else {}) is None:
        return Demand(frozenset(outputs), ())
    last = len(stages)
    for phase in phases:
        start = rules.boundary(rules.assign(phase, stages, by_stage), stages, by_stage)
        last = start = 0 if augment.needs_images(phase) else start
        steps.append((phase.name, start, phase.epochs))
        if start:
            outputs.add((start, 1 + phase.flip))
    if last and plan.views == "mirror":
        outputs.add((last, 2))
    return Demand(frozenset(outputs), tuple(steps), frozenset({last} if last and plan.views == "crops" else ()))


def unite(demands: Iterable[Demand]) -> Demand:
    """Return what several plans ask for, of which each may be trained; the steps are those of the first."""
    several = list(demands)
    return Demand(
        frozenset[tuple[int, int]]().union(*(one.outputs for one in several)),
        several[0].steps,
        frozenset[int]().union(*(one.windows for one in several)),
    )


def together(demands: Iterable[Demand]) -> dict[int, int]:
    """Return stop -> variants of the outputs that serve all of some demands: two variants serve who wants one."""
    return dict(sorted(set[tuple[int, int]]().union(*(one.outputs for one in demands))))


def by_view(demands: Collection[Demand], view: View) -> list[tuple[View, dict[int, int]]]:
    """Return what some demands ask of the images of a view, as `together` does, and of each of their windows."""
    windows = dict.fromkeys(sorted(frozenset[int]().union(*(one.windows for one in demands))), 1)
    cut = [(replace(view, window=window), windows) for window in WINDOWS] if windows else []
    return [(view, together(demands)), *cut]
