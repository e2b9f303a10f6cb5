"""The options that choose rows, as ``--dataset``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

from fer_bench.errors import FerBenchError, bullet_list, did_you_mean

if TYPE_CHECKING:
    from fer_bench.results.records import Experiment

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the options that choose rows name; a row must be named by each of them that names anything.

    A component is named with its parameters, or without them, which means any.
    """

    dataset: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ()
    strategy: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def keep(self, items: Iterable[T], experiment_of: Callable[[T], Experiment]) -> list[T]:
        """Return the items whose experiments are named.

        Raises:
            FerBenchError: an option names nothing of them; all such options at once.
        """
        experiments = [(item, experiment_of(item)) for item in items]
        faults: list[str] = []
        for field in fields(self):
            names = {_text(experiment, field.name) for _, experiment in experiments}
            names |= {text.partition("[")[0] for text in names}
            chosen: tuple[str, ...] = getattr(self, field.name)
            faults += [f"--{field.name} {name!r}: {did_you_mean(name, names)}" for name in chosen if name not in names]
        if faults:
            raise FerBenchError(f"No row is of what these options name:\n{bullet_list(faults)}")
        if not (kept := [item for item, experiment in experiments if self.names(experiment)]):
            raise FerBenchError("No row is of all that these options name: leave one of them out.")
        return kept

    def names(self, experiment: Experiment) -> bool:
        """Return whether a row is named."""
        for field in fields(self):
            chosen, text = getattr(self, field.name), _text(experiment, field.name)
            if chosen and not {text, text.partition("[")[0]} & set(chosen):
                return False
        return True


def _text(experiment: Experiment, part: str) -> str:
    return getattr(experiment, part).text
