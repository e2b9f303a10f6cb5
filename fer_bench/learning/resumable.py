"""Gradient phases of one fold, which go on where a killed run left off."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.learning import rules
from fer_bench.learning.gradient import Model, Trainer
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.progress import Progress
from fer_bench.tasks.protocols import Fold


@dataclass(frozen=True, eq=False)
class Run:
    """Where the training of a fold stands: in a phase, which begins with a model and may have made some progress."""

    phase: int
    model: Model
    progress: Progress | None
    history: list[dict[str, Any]]
    seconds: float


def train_fold(
    trainers: Sequence[Trainer], begun: Run, material: Material, fold: Fold, seed: int, checkpoint: Checkpoint
) -> Outcome:
    """Train on the training part of a fold, phase after phase, and predict its test part.

    Args:
        trainers: one a phase, in order.
        begun: where it begins: with the model before the first phase.
        material: what it works on.
        fold: its parts.
        seed: of everything random.
        checkpoint: where a killed run of the same cell left off, and where this one is kept.
    """
    head = sum(begun.model.parameters[name].size for name in rules.HEAD)
    changed = max(trainer.trained(begun.model) for trainer in trainers)
    run = _resume(trainers, begun.model, seed, checkpoint) or begun
    probabilities = np.empty(0)
    for number in range(run.phase, len(trainers)):
        trainer = trainers[number]
        inputs = material.inputs(trainer.start, trainer.phase.flip)
        material.begin(trainer.phase.name, trainer.phase.epochs * int(fold.train.sum()))
        start = time.perf_counter()

        def keep(progress: Progress, number: int = number, start: float = start, run: Run = run) -> None:
            facts = {"phase": number, "seconds": run.seconds + time.perf_counter() - start, "history": run.history}
            before = _changed(trainers, number, run.model)
            checkpoint.save({**facts, "progress": progress.facts()}, [*before, *progress.leaves()])

        try:
            model, rows = trainer.fit(
                run.model,
                inputs,
                material.targets(trainer.phase.labels),
                fold,
                _seed_of(seed, number, trainers),
                material.advance,
                run.progress,
                keep,
            )
            if number == len(trainers) - 1:
                with material.meter.count("evaluate"):
                    probabilities = np.exp(trainer.predict(model, inputs, np.flatnonzero(fold.test)))
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            batch = trainer.phase.batch
            raise MemoryError(
                f"the device has too little memory for batches of {batch} in phase {trainer.phase.name!r}; "
                f"try batch={max(1, batch // 2)}"
            ) from error
        run = Run(number + 1, model, None, run.history + rows, run.seconds + time.perf_counter() - start)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("the trained model predicts values that are not finite")
    return Outcome(probabilities, changed, head, True, run.seconds, pd.DataFrame(run.history))


def _resume(trainers: Sequence[Trainer], model: Model, seed: int, checkpoint: Checkpoint) -> Run | None:
    """Return where a killed run of the same cell was, if it left that."""

    def parts(facts: Mapping[str, Any]) -> tuple[list[jax.Array], Progress]:
        number = facts["phase"]
        return _changed(trainers, number, model), trainers[number].begin(model, _seed_of(seed, number, trainers))

    def like(facts: Mapping[str, Any]) -> list[jax.Array]:
        before, begun = parts(facts)
        return [*before, *begun.leaves()]

    saved = checkpoint.load(like)
    if saved is None:
        return None
    before, begun = parts(saved.facts)
    number, names = saved.facts["phase"], _names(trainers, saved.facts["phase"])
    parameters = dict(zip(names, map(jnp.asarray, saved.leaves), strict=False))
    progress = begun.at(saved.facts["progress"], saved.leaves[len(before) :])
    resumed = Model(model.parameters | parameters, model.others)
    return Run(number, resumed, progress, saved.facts["history"], saved.facts["seconds"])


def _names(trainers: Sequence[Trainer], phase: int) -> list[str]:
    """Return the names of what the phases before ``phase`` have changed."""
    return sorted(frozenset[str]().union(*(trainer.names() for trainer in trainers[:phase])))


def _changed(trainers: Sequence[Trainer], phase: int, model: Model) -> list[jax.Array]:
    return [model.parameters[name] for name in _names(trainers, phase)]


def _seed_of(seed: int, phase: int, trainers: Sequence[Trainer]) -> int:
    """Return a seed of its own for each phase: two phases must not see the same order of samples."""
    return seed * len(trainers) + phase
