"""``fer-bench run`` trains at 95 % or more of the rate of its own bare step.

    pytest benchmarks/test_rate.py -s

A whole run in this process. The training of each fold is timed from the end of its first program, which XLA compiles,
to its end: reading and shuffling of images, steps, losses, checkpoints. Only what belongs to no step is timed apart and
printed beside: the statistics of norms that are measured after the last epoch, with the compilation of their program.
After the fold, as many steps run bare: on one batch that is there already, with nothing between them. Each fold gives a
pair, so that a busy machine slows both alike. Processor time, of all threads of the process, stands beside the seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import pytest

import fer_bench
from fer_bench.learning import training
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.training import Training
from fer_bench.networks import resident

LEAST = 0.95
CASES = {
    "frozen prefix": ("xception[input_size=71]", "finetune[epochs=16]", resident.SHARE),
    "augmentation": ("mini-xception", "scratch[epochs=16,augment=[affine]]", resident.SHARE),
    "images larger than the memory share": ("mini-xception", "scratch[epochs=16,augment=[affine]]", 0.0),
}
"""What is special -> backbone, strategy, share of the memory that may hold images."""


def now() -> np.ndarray:
    """Return seconds, and processor seconds of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


@dataclass
class Watch:
    """The training of a fold, and what was measured of those before; times are (seconds, processor seconds)."""

    steps: int = 0
    arguments: tuple[Any, ...] = ()
    begun: np.ndarray = field(default_factory=lambda: np.zeros(2))
    settling: np.ndarray = field(default_factory=lambda: np.zeros(2))
    rates: list[np.ndarray] = field(default_factory=list[np.ndarray])
    apart: list[np.ndarray] = field(default_factory=list[np.ndarray])


def watched(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training of a fold be timed, and its programs be run again bare."""
    take_steps: Callable[..., Any] = Trainer.take_steps
    settled: Callable[..., Any] = Trainer.settled
    run: Callable[..., Any] = Training.run

    def watched_steps(trainer: Trainer, state: Any, *others: Any) -> Any:
        made = take_steps(trainer, state, *others)
        if not watch.arguments:
            jax.block_until_ready(made)
            watch.arguments, watch.begun = (trainer, training.copied(made[0]), *others), now()
        else:
            watch.steps += others[-1]
        return made

    def watched_settling(trainer: Trainer, *arguments: Any) -> Any:
        begun = now()
        made = jax.block_until_ready(settled(trainer, *arguments))
        watch.settling = watch.settling + now() - begun
        return made

    def watched_run(self: Training, *arguments: Any) -> Any:
        watch.steps, watch.arguments, watch.settling = 0, (), np.zeros(2)
        done = run(self, *arguments)
        jax.block_until_ready(done.model.parameters)
        taken = now() - watch.begun - watch.settling
        trainer, state, *others = watch.arguments
        at_once = others[-1]
        programs = -(-watch.steps // at_once)
        begun = now()
        for _ in range(programs):
            state, _ = take_steps(trainer, state, *others)
        jax.block_until_ready(state)
        bare = (now() - begun) * watch.steps / (programs * at_once)
        watch.rates.append(bare / taken)
        watch.apart.append(watch.settling / taken)
        return done

    monkeypatch.setattr(Trainer, "take_steps", watched_steps)
    monkeypatch.setattr(Trainer, "settled", watched_settling)
    monkeypatch.setattr(Training, "run", watched_run)


@pytest.mark.parametrize("case", CASES)
def test_a_run_trains_at_the_rate_of_its_steps(case, monkeypatch, tmp_path, benchmark):
    backbone, strategy, share = CASES[case]
    monkeypatch.setattr(resident, "SHARE", share)
    watched(watch := Watch(), monkeypatch)
    asked = {"datasets": "synthetic[n=576]", "backbones": backbone, "strategies": strategy, "folds": 3}
    done = benchmark.pedantic(fer_bench.run, kwargs={**asked, "runs_dir": tmp_path}, rounds=1)
    assert set(done.cells["status"]) == {"ok"}
    rates, apart = np.median(watch.rates, axis=0), np.median(watch.apart, axis=0)
    print(
        f"\n{case}: {rates[0]:.3f} of the bare rate by the clock, {rates[1]:.3f} by processor time (folds "
        f"{', '.join(f'{clock:.3f} and {processor:.3f}' for clock, processor in watch.rates)}); statistics of norms "
        f"after the last epoch take {100 * apart[0]:.1f} % more of the clock, {100 * apart[1]:.1f} % of processor time"
    )
    assert rates[0] >= LEAST
