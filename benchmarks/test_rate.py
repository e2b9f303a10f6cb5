"""``fer-bench run`` trains at 95 % or more of the rate of its own bare step.

    pytest benchmarks/test_rate.py -s

A whole run in this process, of which each training of a fold is timed from the end of its first program, which XLA
compiles, to its last epoch, with reading, shuffling and checkpoints. After it as many steps run bare: on one batch that
is there already, with nothing between them. Each fold gives a pair, so that a busy machine slows both alike. Processor
time, of all threads of the process, stands beside the seconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import pytest

import fer_bench
from fer_bench.learning import training
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.training import Training
from fer_bench.networks import pictures

LEAST = 0.95
CASES = {
    "frozen prefix": ("xception[input_size=71]", "finetune[epochs=8]", pictures.SHARE),
    "augmentation": ("mini-xception", "scratch[epochs=16,augment=[affine]]", pictures.SHARE),
    "images read in each epoch": ("mini-xception", "scratch[epochs=16,augment=[affine]]", 0.0),
}
"""What is special -> backbone, strategy, share of the memory that may hold images."""


def now() -> tuple[float, float]:
    """Return seconds, and processor seconds of all threads."""
    return time.perf_counter(), time.process_time()


@dataclass
class Watch:
    """The steps of a fold's training."""

    steps: int = 0
    arguments: tuple[Any, ...] = ()
    begun: tuple[float, float] = (0.0, 0.0)
    pairs: list[tuple[float, float]] = field(default_factory=list)


def watched(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training of a fold be timed, and its programs be run again bare."""
    take_steps: Callable[..., Any] = Trainer.take_steps
    run: Callable[..., Any] = Training.run

    def watched_steps(trainer: Trainer, state: Any, *others: Any) -> Any:
        made = take_steps(trainer, state, *others)
        if not watch.arguments:
            jax.block_until_ready(made)
            watch.arguments, watch.begun = (trainer, training.copied(made[0]), *others), now()
        else:
            watch.steps += others[-1]
        return made

    def watched_run(self: Training, *arguments: Any) -> Any:
        watch.steps, watch.arguments = 0, ()
        done = run(self, *arguments)
        jax.block_until_ready(done.model.parameters)
        taken = [end - begin for begin, end in zip(watch.begun, now(), strict=True)]
        trainer, state, *others = watch.arguments
        programs, at_once = -(-watch.steps // others[-1]), others[-1]
        begun = now()
        for _ in range(programs):
            state, losses = take_steps(trainer, state, *others)
        jax.block_until_ready(losses)
        bare = [(end - begin) * watch.steps / (programs * at_once) for begin, end in zip(begun, now(), strict=True)]
        watch.pairs.append((bare[0] / taken[0], bare[1] / taken[1]))
        return done

    monkeypatch.setattr(Trainer, "take_steps", watched_steps)
    monkeypatch.setattr(Training, "run", watched_run)


@pytest.mark.parametrize("case", CASES)
def test_a_run_trains_at_the_rate_of_its_steps(case, monkeypatch, tmp_path):
    backbone, strategy, share = CASES[case]
    monkeypatch.setattr(pictures, "SHARE", share)
    watched(watch := Watch(), monkeypatch)
    done = fer_bench.run(
        datasets="synthetic[n=576]", backbones=backbone, strategies=strategy, folds=3, runs_dir=tmp_path
    )
    assert set(done.cells["status"]) == {"ok"}
    rates = [statistics.median(kind) for kind in zip(*watch.pairs, strict=True)]
    print(
        f"\n{case}: {rates[0]:.3f} of the bare rate by the clock, {rates[1]:.3f} by processor time, pairs {watch.pairs}"
    )
    assert rates[0] >= LEAST
