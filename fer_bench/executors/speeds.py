"""How long a strategy trains a backbone on this machine: what its cells took, kept beside the rates of the backbone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from fer_bench.executors.grid import Block
from fer_bench.learning.material import Outcome
from fer_bench.networks.source import BackboneSource
from fer_bench.results.canonical import to_json
from fer_bench.specs import ConvexPhase, GradientPhase, Plan
from fer_bench.tasks.folds import Fold

_EACH = ("data", "train", "evaluate")
"""Of `fer_bench.networks.WORK`, what every cell takes again."""
AGAIN = 0.2
"""Share of compiling that a process takes again where the compiled programs are kept: tracing, lowering, reading. Of
``finetune`` on ``xception[input_size=71]`` it was 9.9 s of 51.6 (2 cores, much used)."""


@dataclass(frozen=True)
class Speed:
    """What the cells of a block take, without the frozen stages.

    Attributes:
        start: seconds, once: building the backbone, and compiling where that is to be done yet.
        shared: seconds for each training sample of all cells together: heads that are fitted at once.
        each: seconds for each training sample of a cell.
    """

    start: float
    shared: float
    each: float

    def seconds(self, block: Block, todo: Collection[int]) -> float:
        """Return how long the jobs of a block take whose ids as objects are in ``todo``."""
        samples = {id(job): int(job.fold.train.sum()) for job in block.jobs}
        together = self.shared * sum(samples.values())
        return self.start + together + self.each * sum(count for job, count in samples.items() if job in todo)


class Watch:
    """Measures the first two cells of a block: the first takes what all share, and its programs are compiled.

    Args:
        source: the backbone, which remembers.
        block: of the cells.
        plan: of the strategy, where that of the block is less. Then the programs of the block are not those of a run,
            which has to compile its own; else it finds them compiled and takes only `AGAIN` of that.
    """

    def __init__(self, source: BackboneSource, block: Block, plan: Plan | None = None):
        self._source, self._block, self._plan, self._compiles = source, block, plan or block.plan, plan is not None
        self._first, self._cells = 0.0, 0

    def add(self, fold: Fold, spent: Mapping[str, float], outcome: Outcome) -> None:
        """Count a cell that was trained.

        Args:
            fold: of the cell.
            spent: seconds by `fer_bench.networks.WORK`.
            outcome: of its training.
        """
        self._cells += 1
        if self._cells > 2:
            return
        own = sum(spent[work] for work in _EACH)
        self._first = self._first or own + spent["compile"] * (1.0 if self._compiles else AGAIN)
        convex = not self._block.search and all(isinstance(phase, ConvexPhase) for phase in self._plan.phases)
        heads = outcome.seconds * len(self._block.jobs) if convex else 0.0
        total = sum(int(job.fold.train.sum()) for job in self._block.jobs)
        speed = Speed(
            start=max(0.0, self._first - own - heads),
            shared=heads / total,
            each=self._whole(own, outcome.history) / int(fold.train.sum()),
        )
        self._source.remember("rates", json.dumps(asdict(speed)), strategy=_key(self._block))

    def _whole(self, own: float, history: pd.DataFrame) -> float:
        """Return the seconds of a cell with all epochs of the plan; one that is measured may have had fewer."""
        if "seconds" not in history or self._block.search:
            return own
        epochs = {phase.name: phase.epochs for phase in self._plan.phases if isinstance(phase, GradientPhase)}
        took = history.dropna(subset="seconds").groupby("phase")["seconds"]
        means = took.mean().to_dict()
        overhead = max(0.0, own - float(took.sum().sum()))
        return overhead + sum(seconds * epochs[str(phase)] for phase, seconds in means.items())


def recall(source: BackboneSource, block: Block) -> Speed | None:
    """Return the speed of a block when its strategy last trained the backbone on this machine, or None."""
    try:
        values = json.loads(source.recall("rates", strategy=_key(block)) or "")
        return Speed(**{name: float(value) for name, value in values.items()})
    except (ValueError, TypeError, AttributeError):
        return None


def _key(block: Block) -> object:
    return to_json(block.jobs[0].cell.strategy)
