"""One gradient phase on the training part of one fold: epoch after epoch, from any epoch on."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer, wait_for
from fer_bench.learning.state import Batches, Learning, Model, State
from fer_bench.networks.ahead import read_ahead
from fer_bench.networks.meter import count
from fer_bench.networks.parameters import Table
from fer_bench.specs import GradientPhase
from fer_bench.tasks.folds import Fold

T = TypeVar("T")

DIVERGED = 10
"""Times the loss of equal probabilities: a model whose loss is above was not trained but broken."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Where the training of a fold stands between two epochs: all that the rest of it depends on.

    Attributes:
        model: with which the phase begins.
        phase: number of the phase.
        epoch: epochs of it that are done.
        state: after them; None where the phase has not begun.
        best: what learns, and the other arrays, of the epoch with the lowest loss on the validation part; None where
            the phase does not stop early.
        best_loss: that loss.
        waited: epochs since then.
        last: loss of the last step.
        history: one row an epoch, of all phases.
        seconds: spent on all phases.
        factors: of the phase before, by name of the matrix: the two factors of its change, (inputs, rank) and
            (rank, outputs).
    """

    model: Model
    phase: int = 0
    epoch: int = 0
    state: State | None = None
    best: tuple[Learning, Table] | None = None
    best_loss: float = math.inf
    waited: int = 0
    last: float = math.nan
    history: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    factors: Mapping[str, tuple[jax.Array, jax.Array]] = field(default_factory=dict[str, tuple[jax.Array, jax.Array]])

    def facts(self) -> dict[str, Any]:
        """Return all but the arrays, as plain values."""
        names = [item.name for item in fields(self) if item.name not in ("model", "state", "best", "factors")]
        return {name: getattr(self, name) for name in names}

    def arrays(self, trainers: Sequence[Trainer]) -> dict[str, jax.Array]:
        """Return by name the arrays that training has changed; random states stay as they begin."""
        leaves = jax.tree.leaves_with_path(self._changed(trainers))
        return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if not is_random_state(leaf)}

    def at(self, trainers: Sequence[Trainer], facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> Progress:
        """Return the progress that `facts` and `arrays` are of.

        Args:
            trainers: one a phase; this progress is where the first one begins.
            facts: as they were.
            arrays: likewise.

        Raises:
            KeyError: an array is missing.
            ValueError: an array has another shape or type.
        """
        begun = begin(trainers[facts["phase"]], replace(self, phase=facts["phase"]), 0)

        def restored(path: Any, leaf: jax.Array) -> jax.Array:
            if is_random_state(leaf):
                return leaf
            array = arrays[name := jax.tree_util.keystr(path)]
            if (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
                raise ValueError(f"{name} is {array.shape} {array.dtype}; expected {leaf.shape} {leaf.dtype}")
            return jnp.asarray(array)

        (parameters, others), state, best = jax.tree.map_with_path(restored, begun._changed(trainers))
        model = Model(self.model.parameters | parameters, self.model.others | others)
        plain = {**facts, "history": tuple(facts["history"])}
        return replace(begun, **plain, model=model, state=state, best=best)

    def _changed(
        self, trainers: Sequence[Trainer]
    ) -> tuple[tuple[Table, Table], State | None, tuple[Learning, Table] | None]:
        """Return the arrays that training has changed: the model's, by earlier phases, and what this phase changed."""
        earlier = trainers[: self.phase]
        names = frozenset[str]().union(*(trainer.names for trainer in earlier))
        others = {name: leaf for trainer in earlier for name, leaf in trainer.running(self.model.others).items()}
        return ({name: self.model.parameters[name] for name in names}, others), self.state, self.best


def begin(trainer: Trainer, progress: Progress, seed: int) -> Progress:
    """Return where the first epoch of a phase begins."""
    state = trainer.begin(progress.model, seed)
    return replace(progress, state=state, best=(state.learning, state.others) if trainer.phase.patience else None)


class Training:
    """One phase on the training part of a fold.

    Args:
        trainer: of the phase.
        inputs: n of them.
        targets: (n, c) float32, the probability of each class; one-hot where labels are names.
        fold: its parts.
        seed: of everything random.
        advance: called with the number of samples that a step saw.
    """

    def __init__(
        self,
        trainer: Trainer,
        inputs: Inputs,
        targets: Array,
        fold: Fold,
        seed: int,
        advance: Callable[[int], None],
    ):
        self._trainer, self._phase, self._inputs, self._targets = trainer, trainer.phase, inputs, targets
        self._seed, self._advance = seed, advance
        self._rows, self._valid = np.flatnonzero(fold.train), np.flatnonzero(fold.valid)
        self._batch = min(self._phase.batch, len(self._rows))
        self._steps = len(self._rows) // self._batch
        self._counts = targets[self._rows].sum(0, dtype=np.float64)
        self._begun: list[jax.Array] = []  # losses of the programs of the next epoch that the device has already

    def run(
        self,
        progress: Progress,
        keep: Callable[[Progress], None] = lambda progress: None,
        due: Callable[[], bool] = lambda: True,
    ) -> Progress:
        """Train to the end of the phase.

        Args:
            progress: where the phase begins, or where it stood after some epoch of it with the same other arguments.
            keep: called after an epoch; the next one gives the arrays of its state away, so it copies what it holds.
            due: asked near the end of an epoch that nothing else needs; unless it is true, the next one begins before
                the losses are read, so that the device does not wait, and `keep` is not called.

        Returns:
            Where the next phase begins.

        Raises:
            FloatingPointError: the loss is not a finite number, or training diverged.
        """
        trainer, started = self._trainer, time.perf_counter() - progress.seconds
        now = begin(trainer, progress, self._seed) if progress.state is None else progress
        # A step gives the arrays of its state away, and those of the model are others' too.
        state, best = trainer.devices.copy((copied(now.state), now.best))
        now, frozen, weight = replace(now, state=state, best=best), trainer.frozen(now.model), self._class_weights()
        self._begun = []
        self._advance(now.epoch * self._steps * self._batch)
        with contextlib.closing(self._read_from(now.epoch)) as batches:
            while not self._finished(now):
                now = self._epoch(now, frozen, weight, batches, due)
                now = replace(now, seconds=time.perf_counter() - started)
                if not self._begun:
                    keep(now)
        assert now.state is not None
        self._check_learned(now)
        learning, others = now.best if now.best and len(self._valid) else (now.state.learning, now.state.others)
        model = trainer.model(now.model, learning, frozen, others)
        factors = {name: value for name, value in learning.items() if isinstance(value, tuple)}
        seconds = time.perf_counter() - started
        return Progress(model, now.phase + 1, history=now.history, seconds=seconds, factors=factors)

    def _finished(self, now: Progress) -> bool:
        phase = self._phase
        return now.epoch == phase.epochs or bool(phase.patience and now.waited >= phase.patience)

    def _check_learned(self, now: Progress) -> None:
        """Raise FloatingPointError if the model that a phase ends with fits far worse than one that knows nothing."""
        chosen = self._phase.patience and len(self._valid)
        loss = now.best_loss if chosen else now.history[-1]["loss"]
        nothing = math.log(self._targets.shape[1])
        if loss > DIVERGED * nothing:
            raise FloatingPointError(
                f"training diverged: the {'validation' if chosen else 'last'} loss of phase {self._phase.name!r} is "
                f"{loss:.3g}, where a model that knows nothing has {nothing:.2f}. "
                f"Try a learning rate below {self._phase.learning_rate:g}."
            )

    def _epoch(
        self, now: Progress, frozen: Table, weight: jax.Array, batches: Iterator[Batches], due: Callable[[], bool]
    ) -> Progress:
        """Train for an epoch; where the next one has begun, the state is that after its first program."""
        begun, phase, trainer = time.perf_counter(), self._phase, self._trainer
        state, losses = self._pass(now, frozen, weight, batches, due)
        last = _check_finite(losses, now.epoch * self._steps, phase, now.last)
        now = replace(now, epoch=now.epoch + 1, state=state, last=last)
        row = {"phase": phase.name, "epoch": now.epoch, "loss": float(losses.mean())}
        if phase.batch_norm == "train" and (now.epoch == phase.epochs or len(self._valid)):
            model = trainer.model(now.model, state.learning, frozen, state.others)
            rows = self.order(self._random(now.epoch - 1)).reshape(self._steps, self._batch)
            state = state._replace(others=trainer.settled(model, self._inputs, rows))
            now = replace(now, state=state)
        if len(self._valid):
            model = trainer.model(now.model, state.learning, frozen, state.others)
            row["valid_loss"] = _loss(trainer.predict(model, self._inputs, self._valid), self._targets[self._valid])
            now = _judged(now, state, row["valid_loss"]) if phase.patience else now
        row["seconds"] = time.perf_counter() - begun
        return replace(now, history=(*now.history, row))

    def order(self, rng: np.random.Generator) -> Array:
        """Return the samples of an epoch, (steps * batch,) int, in the order in which it sees them."""
        size = self._steps * self._batch
        if self._phase.balance == "sampling":
            share = self._targets[self._rows] @ (1 / np.maximum(self._counts, np.finfo(np.float32).tiny))
            return rng.choice(self._rows, size, p=share / share.sum())
        return rng.permutation(self._rows)[:size]

    def _random(self, epoch: int) -> np.random.Generator:
        """Return the random numbers of the order of an epoch, and after it of its mirrored images."""
        return np.random.default_rng((self._seed, epoch))

    def _read_from(self, epoch: int) -> Generator[Batches, None, None]:
        """Yield what each program of an epoch and of those after it takes.

        The first batches of an epoch are read during the last steps of the one before: the device does not wait.
        """
        phase, epochs, firsts = self._phase, range(epoch, self._phase.epochs), range(0, self._steps, STEPS_AT_ONCE)

        def requests() -> Iterator[tuple[Array, int | Array, Sequence[np.float32]]]:
            for number in epochs:
                rng = self._random(number)
                order = self.order(rng)
                for first in firsts:
                    rows = order[first * self._batch : (first + STEPS_AT_ONCE) * self._batch]
                    variant = rng.integers(0, 2, len(rows)) if phase.flip else 0
                    begun = number * self._steps + first
                    steps = range(begun, begun + len(rows) // self._batch)
                    yield rows, variant, [learning_rate(phase, step, phase.epochs * self._steps) for step in steps]

        def read(request: tuple[Array, int | Array, Sequence[np.float32]]) -> Batches:
            rows, variant, rates = request
            return self._trainer.batches(self._inputs, rows, variant, self._targets, rates)

        return read_ahead(read, requests(), partial(count, "data"))

    def _pass(
        self, now: Progress, frozen: Table, weight: jax.Array, batches: Iterator[Batches], due: Callable[[], bool]
    ) -> tuple[State, Array]:
        """Take the steps of one epoch; return where they end and the loss of each, (steps,) float32.

        Where nothing needs the end of the epoch, the device is given the next program before the losses are read.
        """
        state, losses, programs = now.state, self._begun, -(-self._steps // STEPS_AT_ONCE)
        assert state is not None
        needed = now.epoch + 1 == self._phase.epochs or len(self._valid) > 0
        for number in range(len(losses), programs + (not needed)):
            if number == programs and due():
                break
            epoch, first = now.epoch + number // programs, number % programs * STEPS_AT_ONCE
            steps, at = min(STEPS_AT_ONCE, self._steps - first), epoch * self._steps + first
            state, some = self._trainer.take_steps(state, frozen, weight, next(batches), self._seed, at, steps)
            losses.append(some)
            wait_for(losses)
            self._advance(steps * self._batch)
        self._begun = losses[programs:]
        return state, np.concatenate(jax.device_get(losses[:programs]))[: self._steps]

    def _class_weights(self) -> jax.Array:
        """Return the factor of each class in the loss, (c,) float32."""
        weight = jnp.asarray(len(self._rows) / (len(self._counts) * np.maximum(self._counts, 1)), jnp.float32)
        return self._trainer.devices.copy(weight if self._phase.balance == "weights" else jnp.ones_like(weight))


def learning_rate(phase: GradientPhase, step: int, steps: int) -> np.float32:
    """Return the learning rate of a step: linear warm-up, then cosine (arXiv:1608.03983, eq. 5) or constant."""
    warm = math.ceil(phase.warmup * steps)
    if step < warm:
        return np.float32(phase.learning_rate * (step + 1) / warm)
    if phase.schedule == "constant":
        return np.float32(phase.learning_rate)
    return np.float32(phase.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2)


def _judged(now: Progress, state: State, loss: float) -> Progress:
    """Return the progress after an epoch whose loss on the validation part was ``loss``."""
    if loss < now.best_loss:
        return replace(now, best=copied((state.learning, state.others)), best_loss=loss, waited=0)
    return replace(now, waited=now.waited + 1)


def _check_finite(losses: Array, first: int, phase: GradientPhase, last: float) -> float:
    """Return the last loss of an epoch; raise FloatingPointError at the first that is not finite."""
    broken = np.flatnonzero(~np.isfinite(losses))
    if len(broken):
        at = int(broken[0])
        good = float(losses[at - 1]) if at else last
        raise FloatingPointError(
            f"the loss is {losses[at]} at step {first + at + 1} of phase {phase.name!r}; the last good value was "
            f"{good:.4g}. Try a learning rate below {phase.learning_rate:g}."
        )
    return float(losses[-1])


def _loss(log_probabilities: Array, targets: Array) -> float:
    return float(-(targets * log_probabilities).sum(1).mean())


def copied(tree: T) -> T:
    """Return copies of arrays, which the device makes when it comes to them; no program is compiled for it."""
    return jax.device_put(tree, may_alias=False)


def is_random_state(leaf: jax.Array) -> bool:
    """Return whether an array is a key of random numbers."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
