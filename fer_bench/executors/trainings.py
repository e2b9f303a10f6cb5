"""The trainings of a block: its plan, or a search among the plans of its trials."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fer_bench.arrays import Array
from fer_bench.evaluation.metrics import STANDARD, evaluate
from fer_bench.executors.grid import Block, Job
from fer_bench.executors.methods import record_of
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.learning.engine import run_plan
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.search import Searching
from fer_bench.learning.suggestions import Suggestions
from fer_bench.results.outcomes import Searched


def trainings_of(block: Block, material: Material) -> list[Callable[[Checkpoint], Outcome]]:
    """Return one call a job, as `run_plan` does; a search in each training part where settings are searched."""
    if block.search is None:
        jobs = block.jobs
        return run_plan(block.plan, material, [job.fold for job in jobs], [job.cell.seed for job in jobs])
    return [functools.partial(_search, block, material, job) for job in block.jobs]


def _search(block: Block, material: Material, job: Job, checkpoint: Checkpoint) -> Outcome:
    assert block.search is not None, "it is searched"
    assert job.nested is not None, "its folds are nested"
    space = block.search.space
    metric = STANDARD[space.metric]

    def score(labels: Array, probabilities: Array) -> float:
        return evaluate(labels, probabilities, [metric])[metric.name]

    seed, halving = job.cell.seed, space.method == "halving"
    suggestions = Suggestions(block.search, seed) if space.method == "tpe" else None
    trials = suggestions.first if suggestions else block.search.draw(seed)
    return Searching(trials, job.nested, material, seed, score, checkpoint, halving, suggestions).run()


def searched(block: Block, outcome: Outcome) -> Searched | None:
    """Return what a cell records of its search; None without one."""
    chosen = outcome.chosen
    if chosen is None or block.search is None:
        return None
    return Searched(
        settings=chosen.trial.settings,
        strategy=record_of(chosen.trial.strategy, chosen.trial.plan),
        metric=block.search.space.metric,
        score=chosen.score,
        trials=chosen.trials,
        failed=chosen.failed,
    )
