"""The backbones and strategies of a run, checked against one another and against this machine before any work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError, MissingError, PluginError, bullet_list
from fer_bench.keeping import named_files
from fer_bench.learning.identity import identify_search, identify_strategy
from fer_bench.learning.plans import check, make_plan
from fer_bench.learning.suggestions import find_optuna
from fer_bench.learning.trials import Search, find_search
from fer_bench.networks.identity import identity, resolve_precision
from fer_bench.networks.shapes import Shapes, shapes_of
from fer_bench.privacy import anonymise_component
from fer_bench.registry import Component, Registry
from fer_bench.results import canonical, records
from fer_bench.sizes import number_of
from fer_bench.space import SearchSpace
from fer_bench.specs import BackboneSpec, Plan, StrategySpec


class PlannedBackbone(NamedTuple):
    """A backbone that a run asks for: as the user typed it, and what a cell records of it."""

    typed: str
    component: Component[BackboneSpec]
    identity: dict[str, Any]
    shapes: Callable[[], Shapes]


class PlannedStrategy(NamedTuple):
    """A strategy that a run asks for: as the user typed it, what a cell records of it, and what it does.

    Where its settings are searched, ``plan`` is that of what all trials have.
    """

    typed: str
    component: Component[StrategySpec]
    record: records.StrategyRecord
    plan: Plan
    search: Search | None = None

    def plans(self, seeds: Iterable[int]) -> dict[str, Plan]:
        """Return each plan that is trained, by the name of its strategy."""
        return {str(self.component): self.plan} if self.search is None else self.search.plans(seeds)


class Methods(NamedTuple):
    """What a run trains on each data set, and the precision that ``auto`` chose.

    ``anonymise`` is `anonymise_component`, which remembers its results: blocks share components.
    """

    backbones: list[PlannedBackbone]
    strategies: list[PlannedStrategy]
    precision: str
    anonymise: Callable[[str], str]


def find_methods(config: RunConfig, registry: Registry, cache_dir: Path, say: Callable[[str], None]) -> Methods:
    """Resolve the backbones and strategies of a run.

    Args:
        config: of the run.
        registry: of the installed plugins.
        cache_dir: where the shapes of parameters are remembered.
        say: is told which backbones are left out, where the run leaves out those that are not on this machine.

    Raises:
        FerBenchError: backbones or a strategy cannot be used, or strategies cannot train backbones; all backbones are
            named, and all pairs.
    """
    precision = resolve_precision(config.precision)
    backbones = _find_backbones(config, registry, precision, cache_dir, say)
    strategies = [_find_strategy(text, registry) for text in config.strategies]
    strategies += [_find_search(space, config, registry) for space in config.search]
    for strategy in strategies:
        named_files.remember(strategy.component.files(), strategy.record.files, cache_dir)
    misfits = [fault for strategy in strategies for fault in _misfits(strategy, config.seeds, backbones)]
    if misfits:
        raise PluginError("\n".join(misfits))
    return Methods(backbones, strategies, precision, functools.cache(anonymise_component))


def _find_backbones(
    config: RunConfig, registry: Registry, precision: str, cache_dir: Path, say: Callable[[str], None]
) -> list[PlannedBackbone]:
    backbones: list[PlannedBackbone] = []
    faults: dict[str, FerBenchError] = {}
    for text in config.backbones:
        try:
            component = registry.backbone(text)
            facts = {"text": str(component), **identity(component, precision)}
        except FerBenchError as error:
            faults[text] = error
            continue
        named_files.remember(component.files(), facts.get("files", {}), cache_dir)
        shapes = functools.partial(shapes_of, component, facts, cache_dir)
        backbones.append(PlannedBackbone(text, component, facts, shapes))
    lines = [f"{text}: {error}".replace("\n", "\n    ") for text, error in faults.items()]
    missing = all(isinstance(error, MissingError) for error in faults.values())
    if faults and missing and backbones and config.skip_missing:
        count = number_of(len(faults), "backbone is", "backbones are")
        say(f"{count} left out, not being on this machine:\n{bullet_list(lines, len(lines))}")
        return backbones
    advice = "\nTo run the others, add --skip-missing." if missing and backbones else ""
    if len(faults) == 1:
        (error,) = faults.values()
        raise type(error)(f"{error}{advice}")
    if faults:
        raise FerBenchError(
            f"{number_of(len(faults), 'backbone')} cannot be used:\n{bullet_list(lines, len(lines))}{advice}"
        )
    return backbones


def _find_strategy(text: str, registry: Registry) -> PlannedStrategy:
    strategy = registry.strategy(text)
    plan = make_plan(strategy)
    return PlannedStrategy(text, strategy, record_of(strategy, plan), plan)


def _find_search(space: SearchSpace, config: RunConfig, registry: Registry) -> PlannedStrategy:
    search = find_search(space, config.trials, config.inner, registry)
    if space.method == "tpe":
        find_optuna()
    record = canonical.from_json(records.StrategyRecord, {"text": search.text, **identify_search(search)})
    return PlannedStrategy(space.strategy, search.strategy, record, make_plan(search.strategy), search)


def record_of(strategy: Component[StrategySpec], plan: Plan) -> records.StrategyRecord:
    """Return what a cell records of a strategy."""
    return canonical.from_json(records.StrategyRecord, {"text": str(strategy), **identify_strategy(strategy, plan)})


def _misfits(strategy: PlannedStrategy, seeds: Iterable[int], backbones: list[PlannedBackbone]) -> Iterator[str]:
    """Yield why a strategy cannot train a backbone, for each that it cannot train."""
    plans = strategy.plans(seeds)
    for backbone in backbones:
        for name, plan in plans.items():
            try:
                check(plan, name, backbone.component, backbone.shapes)
            except PluginError as error:
                yield str(error)
