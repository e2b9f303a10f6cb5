"""What a plan will ask of a backbone, told without computing anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fer_bench.learning import augment, rules
from fer_bench.registry import Component
from fer_bench.specs import AnswerPhase, BackboneSpec, ConvexPhase, GradientPhase, Plan, ReadoutPhase


@dataclass(frozen=True)
class Demand:
    """What a plan asks for.

    Attributes:
        outputs: (stages that run, variants of each image) whose outputs are computed once and kept.
        steps: (name of the phase, position of the first stage that every step runs, epochs) of each gradient phase;
            position 0 is the image, for which nothing is kept.
    """

    outputs: frozenset[tuple[int, int]]
    steps: tuple[tuple[str, int, int], ...]


def together(demands: Iterable[Demand]) -> dict[int, int]:
    """Return stop -> variants of the outputs that serve all of some demands: two variants serve who wants one."""
    return dict(sorted(set[tuple[int, int]]().union(*(one.outputs for one in demands))))


def demand(plan: Plan, backbone: Component[BackboneSpec]) -> Demand:
    """Return what ``plan`` asks of ``backbone``, which it fits (`fer_bench.learning.rules.check`)."""
    stages = backbone.spec.stages
    phases = [phase for phase in plan.phases if isinstance(phase, GradientPhase)]
    frozen = any(isinstance(phase, ConvexPhase | ReadoutPhase | AnswerPhase) for phase in plan.phases)
    outputs = {(len(stages), 1)} if frozen else set[tuple[int, int]]()
    steps: list[tuple[str, int, int]] = []
    try:
        shapes = rules.shapes_of(backbone) if phases else {}
    except KeyboardInterrupt:
        raise
    except BaseException:  # a panic of native code is no Exception
        return Demand(frozenset(outputs), ())  # a backbone that cannot even be traced fails in its cells
    for phase in phases:
        start = rules.boundary(rules.assign(phase, stages, shapes), stages, shapes)
        start = 0 if augment.needs_images(phase) else start
        steps.append((phase.name, start, phase.epochs))
        if start:
            outputs.add((start, 1 + phase.flip))
    return Demand(frozenset(outputs), tuple(steps))
