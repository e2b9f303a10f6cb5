"""The programs of a gradient phase, traced before there is anything to train on, so that threads can compile them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.stages import Lowered

from fer_bench.learning import rules
from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer
from fer_bench.learning.state import Batches, Model
from fer_bench.tasks.folds import Fold

Sample = Callable[[int], jax.ShapeDtypeStruct]
"""Stages that are frozen -> what `fer_bench.keeping.outputs.Inputs` will give of one sample after them."""


def lower(trainers: Sequence[Trainer], model: Model, sample: Sample, fold: Fold) -> Iterator[Lowered]:
    """Yield what training on a fold runs; once these are compiled, its calls find them so.

    Args:
        trainers: one a phase.
        model: with which the first phase begins.
        sample: what a sample will look like.
        fold: its parts.
    """
    trained, valid, test = (int(part.sum()) for part in (fold.train, fold.valid, fold.test))
    for trainer in trainers:
        predicted = [valid, test] if trainer is trainers[-1] else [valid]
        yield from _lower(trainer, model, sample(trainer.start), trained, [count for count in predicted if count])


def _lower(
    trainer: Trainer, model: Model, sample: jax.ShapeDtypeStruct, trained: int, predicted: Collection[int]
) -> Iterator[Lowered]:
    """Yield the programs of a phase for numbers of samples: trained on, and in each part that is predicted."""
    like, programs, width = trainer.devices.like, trainer.programs, model.parameters[rules.HEAD[1]].shape
    batch = min(trainer.phase.batch, trained)
    state, frozen = jax.eval_shape(lambda: (trainer.begin(model, 0), trainer.frozen(model)))
    table = like(trainer.running({**model.parameters, **model.others}))

    def array(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    def samples(*count: int) -> Any:
        return like(array((*count, *sample.shape), sample.dtype), axis=len(count) - 1)

    targets = like(array((STEPS_AT_ONCE, batch, *width)), axis=1)
    batches = Batches(samples(STEPS_AT_ONCE, batch), targets, array((STEPS_AT_ONCE,)))
    numbers = np.uint32(0), np.uint32(0), np.int32(0)
    yield programs.take_steps.lower(like(state), like(frozen), like(array(width)), batches, *numbers)
    if trainer.phase.batch_norm == "train":
        yield programs.measure.lower(table, samples(batch))
    for size in {trainer.predicted_at_once(count) for count in predicted}:
        yield programs.predict.lower(table, samples(size))
