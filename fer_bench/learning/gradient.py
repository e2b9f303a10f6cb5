"""The steps of a gradient phase, compiled: loss, gradient and update; statistics; prediction.

Everything random is a function of seed and step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.stages import Wrapped
from scipy.special import log_softmax

from fer_bench.arrays import Array
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning import augment, rules
from fer_bench.learning.state import Batches, Learning, Model, State, merged
from fer_bench.networks import devices
from fer_bench.networks.ahead import read_ahead
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.meter import count
from fer_bench.networks.parameters import Table, run
from fer_bench.specs import GradientPhase

STEPS_AT_ONCE = 4
"""Steps that are one program. On a CPU a program gets its memory again, gigabytes for a deep network, which takes about
a quarter of the time of a single step."""

AT_WORK = 2
"""Programs that the device has been given and not finished, at most: it never waits, and their inputs stay few."""

STATISTICS = 64
"""Batches whose statistics are taken for those of the whole training part."""


class Programs(NamedTuple):
    """What XLA compiles for a phase: up to `STEPS_AT_ONCE` steps, statistics of a batch, and logits of one."""

    take_steps: Wrapped
    measure: Wrapped
    predict: Wrapped


class Trainer:
    """One gradient phase on one backbone, compiled once for all folds and seeds.

    Args:
        backbone: its graphs; the numbers come with each `Model`.
        phase: what to do.
        shapes: of all parameters, by name.

    Attributes:
        rules: the rule of each parameter.
        names: of the parameters that the phase changes.
        start: position of the first stage that every step runs.
        devices: that share the work.
        programs: that are compiled for it.
    """

    def __init__(self, backbone: Backbone, phase: GradientPhase, shapes: Mapping[str, tuple[int, ...]]):
        self.phase, self._backbone = phase, backbone
        self.rules = rules.assign(phase, backbone.stages, shapes)
        self.names = frozenset(name for name, rule in self.rules.items() if rules.learns(rule, shapes[name]))
        self._first = rules.boundary(self.rules, backbone.stages, shapes)
        self.start = 0 if augment.needs_images(phase) else self._first
        self._running = frozenset((*backbone.stages[self.start :], *(name.partition("/")[0] for name in rules.HEAD)))
        self._optimizer = _optimizer(phase)
        self.devices, self._room = devices.available(), devices.free_memory()
        self._asked: tuple[Any, ...] = ()
        whole = self.devices.whole
        self._begin_memory = jax.jit(self._optimizer.init)
        jit = partial(jax.jit, out_shardings=whole, compiler_options=devices.compiler_options())
        self.programs = Programs(
            jit(self._steps, donate_argnums=0),
            jit(self._batch_statistics),
            jit(lambda table, x: self._logits(table, x, None)[0]),
        )

    def begin(self, model: Model, seed: int) -> State:
        """Return where the phase begins."""
        learning = self._begin_learning(model, seed)
        return State(learning, self._begin_memory(learning), self.running(model.others))

    def running(self, table: Table) -> Table:
        """Return the arrays of the stages from `start` on and of the head: a call takes longer with each array."""
        return {name: leaf for name, leaf in table.items() if name.partition("/")[0] in self._running}

    def trained(self, model: Model) -> int:
        """Return how many numbers the phase changes."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._begin_learning(model, 0)))

    def frozen(self, model: Model) -> Table:
        """Return the parameters that a step takes and does not change, on all devices: those of running stages that no
        rule lets learn, and those that a change is added to.
        """
        values = self.running(model.parameters)
        return self.devices.copy(
            {name: leaf for name, leaf in values.items() if name not in self.names or self.rules[name].rank > 0}
        )

    def model(self, begun: Model, learning: Learning, frozen: Table, others: Table) -> Model:
        """Return the model that a phase began with, with what was learned."""
        return Model({**begun.parameters, **frozen, **merged(learning, frozen)}, {**begun.others, **others})

    def take_steps(
        self,
        state: State,
        frozen: Table,
        weight: jax.Array,
        batches: Batches,
        seed: int,
        first: int,
        steps: int,
    ) -> tuple[State, jax.Array]:
        """Take up to `STEPS_AT_ONCE` steps.

        Args:
            state: where they begin; its arrays are donated, so that they cannot be used afterwards.
            frozen: from `frozen`.
            weight: (c,) float32, the factor of each class in the loss.
            batches: from `batches`.
            seed: of everything random.
            first: number of the first step in the phase.
            steps: how many are taken.

        Returns:
            Where they end, and the loss of each, (`STEPS_AT_ONCE`,) float32, of which the first ``steps`` count.
        """
        arguments = state, frozen, weight, batches, np.uint32(seed), np.uint32(first), np.int32(steps)
        if not self._asked:
            self._asked = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
        return self.programs.take_steps(*arguments)

    def too_much(self) -> str:
        """Return what was too much for the memory of the device, and what to take."""
        return f"batches of {self.phase.batch} in phase {self.phase.name!r}; take batch={self.fitting_batch()}"

    def fitting_batch(self) -> int:
        """Return a half, a quarter and so on of the phase's batch whose steps fit the device, as XLA counts.

        It is half of the batch where the device does not say how much memory it has. Few sizes are compiled: what steps
        use while they run grows with the batch, which tells the next one to try.
        """
        size = max(1, self.phase.batch // 2)
        while self._room is not None and self._asked and size > 1:
            fixed, used = self._needed(size)
            if fixed + used <= self._room:
                break
            tried = size
            size //= 2
            while size > 1 and fixed + used * size / tried > self._room:
                size //= 2
        return size

    def _needed(self, batch: int) -> tuple[int, int]:
        """Return the bytes of memory that steps with batches of a size hold before and after, and use in between."""

        def resized(x: Any) -> Any:
            return jax.ShapeDtypeStruct((x.shape[0], batch, *x.shape[2:]), x.dtype)

        state, frozen, weight, batches, *numbers = self._asked
        batches = batches._replace(x=resized(batches.x), target=resized(batches.target))
        sizes: Any = (
            self.programs.take_steps.lower(state, frozen, weight, batches, *numbers).compile().memory_analysis()
        )
        fixed = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
        return fixed, sizes.temp_size_in_bytes

    def batches(
        self, inputs: Inputs, rows: Array, variant: int | Array, targets: Array, rates: Sequence[np.float32]
    ) -> Batches:
        """Read what up to `STEPS_AT_ONCE` steps take, and begin to move the samples to the devices.

        Args:
            inputs: of all samples.
            rows: (steps * batch,) int, samples.
            variant: as `Inputs` takes it.
            targets: (n, c) float32, the probability of each class, of all samples.
            rates: the learning rate of each step.
        """
        # One program serves every count: the last steps of an epoch are filled up.
        shape = STEPS_AT_ONCE, len(rows) // len(rates)
        rows = np.resize(rows, shape)
        variant = np.resize(variant, shape) if np.ndim(variant) else variant
        # What is small stays an array of NumPy: the call of the program moves it in less time than a call of its own.
        target: Any = targets[rows] if len(self.devices) == 1 else self.devices.divide(targets[rows], axis=1)
        rate: Any = np.resize(np.array(rates, np.float32), STEPS_AT_ONCE)
        return Batches(self.devices.divide(inputs.take(rows, variant), axis=1), target, rate)

    def settled(self, model: Model, inputs: Inputs, batches: Array) -> Table:
        """Return the other arrays of running stages, with statistics that belong to the weights as they are now.

        What was moved step by step lags behind them: by Keras's momentum of 0.99, a hundred steps. These are of whole
        batches of the training part under one set of weights ("precise" statistics, arXiv:2105.07576, section 3.1).

        Args:
            model: whose statistics are replaced.
            inputs: of all samples.
            batches: (steps, batch) int, samples of the training part; the first `STATISTICS` batches count.
        """
        table = self.devices.copy(self.running({**model.parameters, **model.others}))
        measured: list[Table] = []
        for x in self._read(inputs, batches[:STATISTICS]):
            measured.append(self.programs.measure(table, x))
            wait_for(measured)
        settled: Table = {}
        for name in measured[0]:
            settled[name] = jnp.stack([statistics[name] for statistics in measured]).mean(0)
            if name.endswith("/var"):  # and of the means, between batches
                means = jnp.stack([statistics[f"{name.removesuffix('var')}mean"] for statistics in measured])
                settled[name] += means.var(0)
        return {**self.running(model.others), **settled}

    def predict(self, model: Model, inputs: Inputs, rows: Array) -> Array:
        """Return log-probabilities of some samples, (k, c) float32."""
        table = self.devices.copy(self.running({**model.parameters, **model.others}))
        size = self.predicted_at_once(len(rows))
        filled = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % size)])
        parts: list[jax.Array] = []
        for x in self._read(inputs, filled.reshape(-1, size)):
            parts.append(self.programs.predict(table, x))
            wait_for(parts)
        logits = np.concatenate(parts)[: len(rows)].astype(np.float64)
        return log_softmax(logits, axis=1).astype(np.float32)

    def predicted_at_once(self, count: int) -> int:
        """Return how many of ``count`` samples are predicted at once."""
        size = min(max(self.phase.batch, 32), count)
        return size + -size % len(self.devices)

    def _read(self, inputs: Inputs, batches: Array) -> Iterator[Any]:
        """Yield each batch of samples on the devices, read while they work on the one before."""
        return read_ahead(lambda rows: self.devices.divide(inputs.take(rows)), batches, partial(count, "data"))

    def _begin_learning(self, model: Model, seed: int) -> Learning:
        """Return what the optimizer changes: parameters, or the two factors of a change, of which one begins at 0."""
        learning: Learning = {}
        for number, name in enumerate(sorted(self.names)):
            value, rank = model.parameters[name], self.rules[name].rank
            if rank:
                shape = rules.matrix_shape(value.shape)
                assert shape is not None
                key = jax.random.fold_in(jax.random.key(seed), number)
                a = jax.random.normal(key, (shape[0], rank)) / math.sqrt(shape[0])
                learning[name] = (a, jnp.zeros((rank, shape[1])))
            else:
                learning[name] = value
        return learning

    def _steps(
        self,
        state: State,
        frozen: Table,
        weight: jax.Array,
        batches: Batches,
        seed: jax.Array,
        first: jax.Array,
        count: jax.Array,
    ) -> tuple[State, jax.Array]:
        """Take the first ``count`` of the steps, and return the loss of each.

        An accelerator takes all of them and leaves the state as it is in those that do not count: a loop whose length
        is known when it is compiled needs no answer of the host. On a CPU these steps would take time.
        """

        def take(at: jax.Array, reached: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, losses = reached
            number = first + at.astype(jnp.uint32)
            batch = Batches(*(values[at] for values in batches))
            state, loss = self._step(state, frozen, weight, batch, seed, number)
            return state, losses.at[at].set(loss)

        def take_or_stay(at: jax.Array, reached: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            return jax.tree.map(lambda new, old: jnp.where(at < count, new, old), take(at, reached), reached)

        begin = state, jnp.zeros(STEPS_AT_ONCE)
        if devices.accelerated():
            return jax.lax.fori_loop(0, STEPS_AT_ONCE, take_or_stay, begin)
        return jax.lax.fori_loop(0, count, take, begin)

    def _step(
        self, state: State, frozen: Table, weight: jax.Array, batch: Batches, seed: jax.Array, step: jax.Array
    ) -> tuple[State, jax.Array]:
        (learning, memory, others), (x, target, rate) = state, batch
        phase, key = self.phase, jax.random.fold_in(jax.random.key(seed), step)
        if augment.needs_images(phase):
            changes, mixing = jax.random.split(jax.random.fold_in(key, 1))
            x, target = augment.mix(mixing, augment.apply(changes, x, phase), target, phase)

        def loss_of(learning: Learning) -> tuple[jax.Array, Table]:
            table = {**others, **frozen, **merged(learning, frozen)}
            logits, statistics = self._logits(table, x, key)
            smooth = optax.smooth_labels(target, phase.label_smoothing)
            losses = optax.softmax_cross_entropy(logits, smooth) * (target @ weight)
            return losses.mean(), statistics

        (loss, statistics), gradient = jax.value_and_grad(loss_of, has_aux=True)(learning)
        updates, memory = self._optimizer.update(gradient, memory, learning)
        updates = {
            name: jax.tree.map(lambda update, own=rate * self.rules[name].rate: -own * update, update)
            for name, update in cast("Learning", updates).items()
        }
        learning = cast("Learning", optax.apply_updates(learning, updates))
        return State(learning, memory, {**others, **statistics}), loss

    def _logits(self, table: Mapping[str, jax.Array], x: jax.Array, key: jax.Array | None) -> tuple[jax.Array, Table]:
        """Return logits and the statistics that changed; ``key`` draws the dropout, None is for prediction."""
        train_norm = self._first if key is not None and self.phase.batch_norm == "train" else None
        features, statistics = run(self._backbone, table, self._prepared(x), self.start, train_norm)
        if key is not None and self.phase.dropout:
            keep = 1 - self.phase.dropout
            features = jnp.where(jax.random.bernoulli(key, keep, features.shape), features / keep, 0)
        kernel, bias = (table[name] for name in rules.HEAD)
        return features @ kernel + bias, statistics

    def _prepared(self, x: jax.Array) -> jax.Array:
        """Return what the first stage that runs takes, of what `Inputs` gave."""
        return self._backbone.prefix({}, x, 0) if self.start == 0 else self._backbone.entering(x, self.start)

    def _batch_statistics(self, table: Mapping[str, jax.Array], x: jax.Array) -> Table:
        _, statistics = run(self._backbone, table, self._prepared(x), self.start, self._first, forget=True)
        # Only of norms: a stage may keep other statistics, which are left as training moved them.
        norms = {name.rpartition("/")[0] for name in statistics if name.endswith("/mean")}
        norms &= {name.rpartition("/")[0] for name in statistics if name.endswith("/var")}
        return {f"{norm}/{kind}": statistics[f"{norm}/{kind}"] for norm in norms for kind in ("mean", "var")}


def wait_for(results: Sequence[Any]) -> None:
    """Wait until the device has no more than `AT_WORK` programs left, of which these are the results in order."""
    if len(results) > AT_WORK:
        jax.block_until_ready(results[-AT_WORK - 1])


def _optimizer(phase: GradientPhase) -> optax.GradientTransformation:
    """Return the direction of a step; the rate is applied outside, where each parameter has its own."""
    direction = optax.scale_by_adam() if phase.optimizer == "adamw" else optax.trace(decay=0.9)
    decay = optax.add_decayed_weights(phase.weight_decay, mask=partial(jax.tree.map, lambda leaf: leaf.ndim > 1))
    return optax.chain(optax.clip_by_global_norm(phase.clip), direction, decay)
