"""The trials of a search: settings that are drawn from a space, checked before any work."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fer_bench import brackets
from fer_bench.errors import FerBenchError, PluginError, bullet_list, did_you_mean
from fer_bench.learning.plans import make_plan
from fer_bench.registry import Component, Registry
from fer_bench.space import SearchSpace
from fer_bench.specs import Plan, StrategySpec

FACTOR = 3
"""Of successive halving: each round keeps one trial in three, and trains it on three times the samples."""
FIRST_SHARE = 1 / 9
"""Of the inner training part, in the first round of halving."""
DRAWS = 20
"""Draws for each trial at most, of a space with ranges: whole numbers come again."""
DIGITS = 4
"""Significant digits of a number that is drawn from a range."""


@dataclass(frozen=True, eq=False)
class SearchTrial:
    """Settings that are tried.

    Attributes:
        settings: the searched parameters and their values, as plain values.
        strategy: with these.
        plan: of the strategy.
    """

    settings: dict[str, Any]
    strategy: Component[StrategySpec]
    plan: Plan

    @property
    def text(self) -> str:
        """The settings as a user types them, as in ``c=0.03,standardize=true``."""
        return ",".join(f"{name}={brackets.write(value)}" for name, value in self.settings.items())


@dataclass(frozen=True)
class ChosenTrial:
    """What a search chose.

    Attributes:
        trial: the settings.
        score: theirs on the inner folds, whose predictions are pooled.
        trials: how many were tried.
        failed: how many of them could not be trained, as where the loss was no number.
    """

    trial: SearchTrial
    score: float
    trials: int
    failed: int


@dataclass(frozen=True, eq=False)
class Search:
    """A strategy whose settings are searched.

    Attributes:
        space: of the settings.
        strategy: with what is the same in all trials.
        trials: how many are drawn for each seed; fewer where the space has fewer.
        inner: folds of each training part on which they are compared.
    """

    space: SearchSpace
    strategy: Component[StrategySpec]
    trials: int
    inner: int

    @property
    def text(self) -> str:
        """How the row is called, as in ``linear-probe[search=c,trials=50,inner=4]``."""
        fixed = [f"{name}={brackets.write(value)}" for name, value in self.strategy.changed().items()]
        method = [f"method={self.space.method}"] if self.space.method != "random" else []
        metric = [f"by={self.space.metric}"] if self.space.metric != "uar" else []
        searched = f"search={'+'.join(self.space.parameters)}"
        parts = [*fixed, searched, f"trials={self.trials}", f"inner={self.inner}", *method, *metric]
        return f"{self.strategy.spec.name}[{','.join(parts)}]"

    def record(self) -> dict[str, Any]:
        """Return what a cell records of the search, as plain JSON."""
        space = self.space.model_dump(mode="json", exclude={"strategy"})
        return {**space, "trials": self.trials, "inner": self.inner}

    def corners(self) -> Iterator[Plan]:
        """Yield the plan at each value of a list and at each end of a range, the other parameters as they are."""
        for name, values in self.space.parameters.items():
            for value in _ends(values):
                yield make_plan(self.strategy.with_values({name: value}))

    @functools.cached_property
    def _drawn(self) -> dict[int, tuple[SearchTrial, ...]]:
        return {}

    def draw(self, seed: int) -> tuple[SearchTrial, ...]:
        """Return the trials of a seed, no settings twice.

        Raises:
            FerBenchError: the strategy refuses some settings together; all of them are named.
        """
        if seed not in self._drawn:
            self._drawn[seed] = tuple(self._draw(seed))
        return self._drawn[seed]

    def count_passes(self, seed: int) -> float:
        """Return how many whole training parts the trainings of a cell see, if each plan has as many epochs."""
        tried, whole = len(self.draw(seed)), 1.0
        for share in rounds(tried) if self.space.method == "halving" else [1.0]:
            whole += tried * share * (self.inner - 1)
            tried = math.ceil(tried / FACTOR)
        return whole

    def plans(self, seeds: Iterable[int]) -> dict[str, Plan]:
        """Return the plans of all trials of some seeds that are known before any of them is scored, by name."""
        plans = {str(trial.strategy): trial.plan for seed in dict.fromkeys(seeds) for trial in self.draw(seed)}
        if self.space.method == "tpe":  # which suggests other settings than are drawn
            plans |= {f"{self.text}, end {number}": plan for number, plan in enumerate(self.corners())}
        return plans

    def trial(self, settings: dict[str, Any]) -> SearchTrial:
        """Return the trial of settings.

        Raises:
            ValidationError, PluginError: the strategy refuses them together.
        """
        strategy = self.strategy.with_values(settings)
        return SearchTrial(settings, strategy, make_plan(strategy))

    def _draw(self, seed: int) -> list[SearchTrial]:
        trials: list[SearchTrial] = []
        faults: list[str] = []
        for settings in draw_settings(self.space, self.trials, seed):
            try:
                trials.append(self.trial(settings))
            except (ValidationError, PluginError) as error:
                text = ",".join(f"{name}={brackets.write(value)}" for name, value in settings.items())
                faults.append(f"{text}: {_say(error)}".replace("\n", "\n    "))
        if faults:
            raise FerBenchError(
                f"{len(faults)} of {len(faults) + len(trials)} settings that are drawn of {str(self.strategy)!r} "
                f"cannot be trained:\n{bullet_list(faults)}\nNarrow the space, so that all of its settings go together."
            )
        return trials


def find_search(space: SearchSpace, trials: int, inner: int, registry: Registry) -> Search:
    """Return the search of a space.

    Raises:
        FerBenchError: the strategy is not known, or it refuses parameters or values of the space; all faults at once.
    """
    strategy = registry.strategy(space.strategy)
    faults: list[str] = []
    for name, values in space.parameters.items():
        if name not in strategy.spec.params.model_fields:
            faults.append(f"unknown parameter {name!r}. {did_you_mean(name, strategy.spec.params.model_fields)}")
        elif name in strategy.params.model_fields_set:
            faults.append(f"{name!r} is searched and has a fixed value in {space.strategy!r}; leave one out")
        else:
            faults += _refused(strategy, name, _ends(values))
    if faults:
        raise FerBenchError(f"The space of strategy {space.strategy!r} cannot be searched:\n{bullet_list(faults)}")
    return Search(space, strategy, trials, inner)


def draw_settings(space: SearchSpace, trials: int, seed: int) -> list[dict[str, Any]]:
    """Return settings that are drawn from a space, each once: at random, or all of a space that has no more.

    Args:
        space: of lists and ranges.
        trials: how many at most.
        seed: of the draws.
    """
    from scipy import stats
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    kinds = {"uniform": lambda low, high: stats.uniform(low, high - low), "log": stats.loguniform}
    kinds["integer"] = lambda low, high: stats.randint(int(low), int(high) + 1)
    spread: dict[str, Any] = {
        name: values if isinstance(values, list) else next(kinds[kind](*ends) for kind, ends in values.items())
        for name, values in space.parameters.items()
    }
    lists = all(isinstance(values, list) for values in spread.values())
    draws = min(trials, len(ParameterGrid(spread))) if lists else DRAWS * trials
    drawn: list[dict[str, Any]] = []
    for settings in ParameterSampler(spread, draws, random_state=seed):
        if len(drawn) == trials:
            break
        plain = {name: plain_value(settings[name], values) for name, values in space.parameters.items()}
        if plain not in drawn:
            drawn.append(plain)
    return drawn


def rounds(trials: int) -> list[float]:
    """Return the share of the inner training part of each round of halving, rising to 1."""
    shares = [1.0]
    while shares[0] / FACTOR >= FIRST_SHARE * 0.999 and trials >= FACTOR ** len(shares):
        shares.insert(0, shares[0] / FACTOR)
    return shares


def plain_value(value: Any, values: Any) -> Any:
    """Return a value that was drawn as JSON holds it; one of a range is rounded to what people read."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(values, list) or not isinstance(value, float):
        return value
    low, high = _ends(values)
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def _ends(values: Any) -> Sequence[Any]:
    """Return the values of a list, or the ends of a range; those of whole numbers are whole."""
    if isinstance(values, list):
        return values
    ((kind, ends),) = values.items()
    return [int(end) if kind == "integer" else float(end) for end in ends]


def _refused(strategy: Component[StrategySpec], name: str, values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        try:
            make_plan(strategy.with_values({name: value}))
        except (ValidationError, PluginError) as error:
            yield _say(error)


def _say(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(brackets.describe_fault(fault) for fault in error.errors())
    return str(error)
