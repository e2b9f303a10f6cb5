"""What a cell records of a strategy: its plan, which is all that the engine reads of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fer_bench.errors import PluginError
from fer_bench.learning.plans import make_plan
from fer_bench.learning.trials import Search
from fer_bench.plugin_code import digest_code
from fer_bench.registry import Component
from fer_bench.specs import Plan, ReadoutPhase, StrategyParams, StrategySpec


def identify_search(search: Search) -> dict[str, Any]:
    """Return what a cell records of a strategy whose settings are searched: the space, and plans at its corners.

    Raises:
        PluginError: as of `identify_strategy`.
    """
    plans = [make_plan(search.strategy), *search.corners()]
    return {**_identify(search.strategy, plans), "search": search.record()}


def identify_strategy(strategy: Component[StrategySpec], plan: Plan) -> dict[str, Any]:
    """Return what a cell records of a strategy.

    Code that makes the plan counts by the plan that it makes, and code of an estimator by itself. Parameters that every
    strategy has are left out at their defaults, as fields of a plan are.

    Args:
        strategy: with its parameters.
        plan: from `fer_bench.learning.plans.make_plan`.

    Raises:
        PluginError: an option of an estimator is no plain value.
    """
    return _identify(strategy, plan)


def _identify(strategy: Component[StrategySpec], plans: Plan | list[Plan]) -> dict[str, Any]:
    """Return what a cell records of a strategy by its plan or by several."""
    try:
        text = json.dumps(plain(plans), sort_keys=True)
    except TypeError as error:
        raise PluginError(
            f"Strategy {str(strategy)!r} of plugin {strategy.plugin.name!r} has a plan that is no plain data: {error}. "
            "Expected numbers, texts, lists and mappings; let the estimator make what is not plain."
        ) from None
    common = StrategyParams.model_fields
    recorded = strategy.identity()
    params = recorded["params"]
    recorded["params"] = {
        name: value for name, value in params.items() if name not in common or value != common[name].default
    }
    several = plans if isinstance(plans, list) else [plans]
    estimators = [phase.estimator for plan in several for phase in plan.phases if isinstance(phase, ReadoutPhase)]
    return {
        **recorded,
        "plan_sha256": hashlib.sha256(text.encode()).hexdigest(),
        **digest_code(estimators, strategy.plugin.distribution),
    }


def plain(value: object) -> Any:
    """Return a plan as plain JSON, without fields that have their defaults: a new option changes no plan without it.

    Raises:
        TypeError: it holds something else.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: (plain(getattr(value, field.name)), field.default) for field in dataclasses.fields(value)}
        missing = dataclasses.MISSING
        changed = {
            name: part for name, (part, default) in parts.items() if default is missing or part != plain(default)
        }
        return {"type": type(value).__name__, **changed}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{value!r} of type {type(value).__name__}")
