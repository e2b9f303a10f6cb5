"""``fer-bench run`` trains at 95 % or more of the rate of its own bare step, and the host is quick beside a GPU.

    pytest benchmarks/test_rate.py -s

A whole run in this process. The training of each fold is timed from the end of its first program, which XLA compiles,
to its end: reading and shuffling of images, steps, losses, checkpoints. Only what belongs to no step is timed apart and
printed beside: the statistics of norms that are measured after the last epoch, with the compilation of their program.
After each epoch's programs the run pauses, and as many programs run bare: on one batch that is there already, with
nothing between them and no reading beside them. Each epoch gives a pair of times a second or two apart, so that a
machine that changes its speed changes both. Processor time, of all threads of the process, stands beside the seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import pytest

import fer_bench
from fer_bench.learning import training
from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer
from fer_bench.learning.training import Training
from fer_bench.networks import devices, resident

LEAST = 0.95
MOST_US = 1000
"""Processor time of a thread a program of four steps; an H100 may take 1,500 to 2,000 for those of a frozen prefix."""
SAMPLES, FOLDS = 576, 3
PROGRAMS = SAMPLES * (FOLDS - 1) // FOLDS // 32 // STEPS_AT_ONCE
"""Of an epoch, in batches of 32."""
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
    """The training of a fold, and what was measured so far; times are (seconds, processor seconds)."""

    arguments: tuple[Any, ...] = ()
    state: Any = None
    programs: int = 0
    steps: int = 0
    begun: np.ndarray = field(default_factory=lambda: np.zeros(2))
    settling: np.ndarray = field(default_factory=lambda: np.zeros(2))
    rates: list[np.ndarray] = field(default_factory=list[np.ndarray])
    taken: list[np.ndarray] = field(default_factory=list[np.ndarray])
    apart: list[np.ndarray] = field(default_factory=list[np.ndarray])
    reading: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, trainer: Trainer, state: Any, arguments: tuple[Any, ...]) -> None:
        """Time a training whose first program has ended."""
        self.arguments, self.state, self.programs = (trainer, *arguments), training.copied(state), 0
        self.steps, self.settling, self.begun = 0, np.zeros(2), now()

    def compare(self, take_steps: Callable[..., Any], reached: Any) -> None:
        """Wait for what the device was given, then run as many steps bare; an epoch's last program may be shorter."""
        jax.block_until_ready(reached)
        taken = now() - self.begun - self.settling
        trainer, *arguments = self.arguments
        with self.reading:
            begun = now()
            for _ in range(self.programs):
                self.state, _ = take_steps(trainer, self.state, *arguments)
            jax.block_until_ready(self.state)
            bare = (now() - begun) * self.steps / (self.programs * arguments[-1])
        self.rates.append(bare / taken)
        self.taken.append(taken)
        self.programs, self.steps, self.begun = 0, 0, now()


def watched(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training of a fold be timed, and its programs be run again bare."""
    take_steps: Callable[..., Any] = Trainer.take_steps
    batches: Callable[..., Any] = Trainer.batches
    settled: Callable[..., Any] = Trainer.settled
    run: Callable[..., Any] = Training.run

    def watched_steps(trainer: Trainer, state: Any, *others: Any) -> Any:
        made = take_steps(trainer, state, *others)
        if not watch.arguments:
            jax.block_until_ready(made)
            watch.begin(trainer, made[0], others)
            return made
        watch.programs, watch.steps = watch.programs + 1, watch.steps + others[-1]
        if watch.programs == PROGRAMS:
            watch.compare(take_steps, made)
        return made

    def watched_batches(*arguments: Any) -> Any:
        with watch.reading:
            return batches(*arguments)

    def watched_settling(trainer: Trainer, *arguments: Any) -> Any:
        begun = now()
        made = jax.block_until_ready(settled(trainer, *arguments))
        watch.settling = now() - begun
        return made

    def watched_run(self: Training, *arguments: Any) -> Any:
        watch.arguments, watch.taken = (), []
        done = run(self, *arguments)
        watch.compare(take_steps, done.model.parameters)
        watch.apart.append(watch.settling / np.sum(watch.taken, axis=0))
        return done

    monkeypatch.setattr(Trainer, "take_steps", watched_steps)
    monkeypatch.setattr(Trainer, "batches", watched_batches)
    monkeypatch.setattr(Trainer, "settled", watched_settling)
    monkeypatch.setattr(Training, "run", watched_run)


@pytest.mark.parametrize("case", CASES)
def test_a_run_trains_at_the_rate_of_its_steps(case, monkeypatch, tmp_path, benchmark):
    backbone, strategy, share = CASES[case]
    monkeypatch.setattr(resident, "SHARE", share)
    watched(watch := Watch(), monkeypatch)
    asked = {"datasets": f"synthetic[n={SAMPLES}]", "backbones": backbone, "strategies": strategy, "folds": FOLDS}
    done = benchmark.pedantic(fer_bench.run, kwargs={**asked, "runs_dir": tmp_path}, rounds=1)
    assert set(done.cells["status"]) == {"ok"}
    rates, apart = np.median(watch.rates, axis=0), np.median(watch.apart, axis=0)
    low, high = np.quantile(watch.rates, [0.25, 0.75], axis=0)[:, 0]
    print(
        f"\n{case}: {rates[0]:.3f} of the bare rate by the clock, {rates[1]:.3f} by processor time ({len(watch.rates)} "
        f"epochs, half of them from {low:.3f} to {high:.3f}); statistics of norms after the last epoch take "
        f"{100 * apart[0]:.1f} % more of the clock, {100 * apart[1]:.1f} % of processor time"
    )
    assert rates[0] >= LEAST


def test_the_host_is_quick_beside_an_accelerator(monkeypatch, tmp_path, benchmark):
    """The steps are taken away: what is left is what an accelerator may wait for.

    Processor time of the main thread, which gives it its programs, and of the thread that reads for them.
    """
    spent: list[np.ndarray] = []
    reading: list[float] = []
    made, batches, run = Trainer.__init__, Trainer.batches, Training.run

    def idle(state: Any, *_: Any) -> Any:
        return state, jax.numpy.ones(STEPS_AT_ONCE)

    def without_steps(trainer: Trainer, *arguments: Any) -> None:
        made(trainer, *arguments)
        trainer.programs = trainer.programs._replace(take_steps=jax.jit(idle, donate_argnums=0))

    def timed_batches(*arguments: Any) -> Any:
        begun = time.thread_time()
        answer = batches(*arguments)
        reading.append(time.thread_time() - begun)
        return answer

    def timed_run(*arguments: Any) -> Any:
        reading.clear()
        begun = time.thread_time()
        done = run(*arguments)
        spent.append(np.array([time.thread_time() - begun, sum(reading)]) / len(reading) * 1e6)
        return done

    monkeypatch.setattr(devices, "accelerated", lambda: True)
    monkeypatch.setattr(Trainer, "__init__", without_steps)
    monkeypatch.setattr(Trainer, "batches", timed_batches)
    monkeypatch.setattr(Training, "run", timed_run)
    asked = {"datasets": f"synthetic[n={SAMPLES}]", "backbones": "xception[input_size=71]", "folds": FOLDS}
    asked |= {"strategies": "finetune[epochs=32]", "runs_dir": tmp_path}
    done = benchmark.pedantic(fer_bench.run, kwargs=asked, rounds=1)
    assert set(done.cells["status"]) == {"ok"}
    main, reader = np.median(spent[1:], axis=0)  # the first one compiles
    print(f"\nwithout steps, microseconds a program: {main:.0f} of the main thread, {reader:.0f} of the reading one")
    assert max(main, reader) <= MOST_US
