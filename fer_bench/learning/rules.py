"""Which rule of a phase each parameter obeys, checked before any work: exactly one, and something learns."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from fer_bench.errors import bullet_list
from fer_bench.sizes import number_of
from fer_bench.specs import GradientPhase, Rule

HEAD = ("head/kernel", "head/bias")
_SHOWN = 10


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return (inputs, outputs) of a kernel that is a matrix but for axes of length one in front, else None."""
    if len(shape) < 2 or math.prod(shape[:-2]) != 1 or min(shape[-2:]) < 2:
        return None
    return shape[-2], shape[-1]


def assign(phase: GradientPhase, stages: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Rule]:
    """Return the rule of every parameter.

    Args:
        phase: its rules.
        stages: names, in order.
        shapes: of all parameters, by names as ``stage/path`` and ``head/kernel``.

    Raises:
        ValueError: says which parameters no rule or several match, which stage is unknown, or that nothing learns.
    """
    reach = [_stages_of(rule, stages) for rule in phase.rules]
    matches: dict[str, list[Rule]] = {name: [] for name in shapes}
    for name in shapes:
        stage, _, path = name.partition("/")
        for rule, reached in zip(phase.rules, reach, strict=True):
            if stage in reached and re.fullmatch(rule.leaves, path):
                matches[name].append(rule)
    faults = [f"no rule matches {name}" for name, rules in matches.items() if not rules]
    faults += [
        f"{number_of(len(rules), 'rule matches', 'rules match')} {name}"
        for name, rules in matches.items()
        if len(rules) > 1
    ]
    if faults:
        raise ValueError(
            f"phase {phase.name!r} must match every parameter by exactly one rule, but:\n{bullet_list(faults, _SHOWN)}"
        )
    rules = {name: matching[0] for name, matching in matches.items()}
    if not any(learns(rule, shapes[name]) for name, rule in rules.items()):
        raise ValueError(f"phase {phase.name!r} trains nothing: the rate of every parameter is 0")
    return rules


def learns(rule: Rule, shape: tuple[int, ...]) -> bool:
    """Return whether a parameter of some shape changes under its rule."""
    return rule.rate > 0 and (rule.rank == 0 or matrix_shape(shape) is not None)


def boundary(rules: Mapping[str, Rule], stages: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the position of the first stage that learns; ``len(stages)`` if only the head does."""
    moving = {name.partition("/")[0] for name, rule in rules.items() if learns(rule, shapes[name])}
    return next((i for i, stage in enumerate(stages) if stage in moving), len(stages))


def _stages_of(rule: Rule, stages: Sequence[str]) -> tuple[str, ...]:
    if rule.head:
        return ("head",)

    def position(stage: str | int | None, highest: int) -> int | None:
        if isinstance(stage, str):
            if stage not in stages:
                raise ValueError(f"there is no stage {stage!r}; the stages are {', '.join(stages)}")
            return list(stages).index(stage)
        if stage is not None and not -len(stages) <= stage <= highest:
            raise ValueError(
                f"there is no stage {stage}; write {-len(stages)} to {highest} or a name: {', '.join(stages)}"
            )
        return stage

    return tuple(stages[position(rule.start, len(stages) - 1) : position(rule.stop, len(stages))])
