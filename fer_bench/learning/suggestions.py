"""Settings that are suggested from the scores of those before, by the tree-structured Parzen estimator of Optuna.

J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter optimization" (NeurIPS 2011), section
4. Suggestions are made for a batch at a time. A batch depends on the seed and on the earlier trials and scores only, so
that a search that goes on makes them again and keeps no state of Optuna.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fer_bench.errors import FerBenchError, PluginError
from fer_bench.learning.trials import DRAWS, Search, SearchTrial, plain_value

BATCH = 10
"""Suggestions from the same scores. Linear heads of a batch are fitted together."""


@dataclass(frozen=True, eq=False)
class Suggestions:
    """What a search of one cell tries after its first trials.

    Attributes:
        search: whose space is searched.
        seed: of the cell.
    """

    search: Search
    seed: int

    @property
    def first(self) -> Sequence[SearchTrial]:
        """The trials that it begins with: draws of a random search."""
        return self.search.draw(self.seed)[:BATCH]

    @property
    def total(self) -> int:
        """How many trials there are in the end."""
        return len(self.search.draw(self.seed))

    def after(self, tried: Sequence[SearchTrial], scores: Sequence[float | None]) -> list[SearchTrial]:
        """Return the next trials, no settings twice; none where there are enough.

        Args:
            tried: the trials so far.
            scores: theirs; None where one could not be trained.
        """
        count = min(BATCH, self.total - len(tried))
        tried_settings, new = [trial.settings for trial in tried], list[SearchTrial]()
        study, ranges, space = *self._study(tried, scores), self.search.space.parameters
        for _ in range(DRAWS * count):
            if len(new) == count:
                break
            suggestion: Mapping[str, Any] = study.ask(ranges).params
            settings = {name: _value(suggestion[name], values) for name, values in space.items()}
            if settings in tried_settings:
                continue
            tried_settings.append(settings)
            with contextlib.suppress(ValidationError, PluginError):  # settings that do not go together
                new.append(self.search.trial(settings))
        # The draws of a random search take the place of what was suggested twice.
        untried = [trial for trial in self.search.draw(self.seed) if trial.settings not in tried_settings]
        return new + untried[: count - len(new)]

    def _study(self, tried: Sequence[SearchTrial], scores: Sequence[float | None]) -> tuple[Any, dict[str, Any]]:
        """Return a study that knows what was tried, and what it draws each parameter from."""
        optuna, space = find_optuna(), self.search.space.parameters
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        ranges = {name: _distribution(optuna, values) for name, values in space.items()}
        sampler = optuna.samplers.TPESampler(seed=(self.seed + len(tried)) % 2**32)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
        for trial, score in zip(tried, scores, strict=True):
            params = {name: _place(value, space[name]) for name, value in trial.settings.items()}
            state = failed if score is None else complete
            study.add_trial(optuna.trial.create_trial(state=state, value=score, params=params, distributions=ranges))
        return study, ranges


def find_optuna() -> Any:
    """Return the module of Optuna.

    Raises:
        FerBenchError: it is not installed.
    """
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise FerBenchError("method: tpe needs Optuna: pip install 'fer-bench[search]'.") from None


def _distribution(optuna: Any, values: Any) -> Any:
    """Return what Optuna draws a parameter from; of a list the place of a value, since values may be of any type."""
    if isinstance(values, list):
        return optuna.distributions.CategoricalDistribution(range(len(values)))
    ((kind, (low, high)),) = values.items()
    if kind == "integer":
        return optuna.distributions.IntDistribution(int(low), int(high))
    return optuna.distributions.FloatDistribution(low, high, log=kind == "log")


def _place(value: Any, values: Any) -> Any:
    return values.index(value) if isinstance(values, list) else value


def _value(suggestion: Any, values: Any) -> Any:
    return values[suggestion] if isinstance(values, list) else plain_value(suggestion, values)
