"""Training by mini-batch gradients: one plain loop over the stages that learn and the head.

Everything random is a function of seed, phase, epoch and step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fer_bench.keeping.outputs import Inputs
from fer_bench.learning import augment, rules
from fer_bench.learning.progress import Progress
from fer_bench.networks import devices
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import Table, run
from fer_bench.specs import GradientPhase, Rule
from fer_bench.tasks.protocols import Fold

Array = np.ndarray[Any, Any]

State = tuple[Any, Any, Table]
"""What a step changes: what learns and the optimizer's memory, by the parameter's name, and the other arrays."""

STEPS_AT_ONCE = 4
"""Steps that are one program. On a CPU a program gets its memory anew, gigabytes for a deep network: alone that takes
about a quarter of the time of a single step."""

STATISTICS = 64
"""Batches whose statistics are taken for those of the whole training part."""


@dataclass(frozen=True, eq=False)
class Model:
    """All numbers of one fold's model.

    Attributes:
        parameters: of backbone and head, float32, by name.
        others: BatchNorm statistics and random states, by name.
    """

    parameters: Table
    others: Table


class Trainer:
    """One gradient phase on one backbone, compiled once for all folds and seeds.

    Args:
        backbone: its graphs; the numbers come with each `Model`.
        phase: what to do.
        classes: c.
        shapes: of all parameters, by name.
    """

    def __init__(self, backbone: Backbone, phase: GradientPhase, classes: int, shapes: Mapping[str, tuple[int, ...]]):
        self.phase, self.classes, self._backbone = phase, classes, backbone
        self.rules = rules.assign(phase, backbone.stages, shapes)
        self._first = rules.boundary(self.rules, backbone.stages, shapes)
        self.start = 0 if augment.needs_images(phase) else self._first
        self._learning = {name: rule for name, rule in self.rules.items() if rules.learns(rule, shapes[name])}
        self._optimizer = _optimizer(phase)
        self._devices = devices.everywhere()
        whole = self._devices.whole
        self._steps = jax.jit(self._make_steps, out_shardings=whole)
        self._measure = jax.jit(self._batch_statistics, out_shardings=whole)
        self._predict = jax.jit(lambda table, x: self._logits(table, x, None)[0], out_shardings=whole)

    def names(self) -> frozenset[str]:
        """Return the names of the parameters that the phase changes."""
        return frozenset(self._learning)

    def trained(self, model: Model) -> int:
        """Return how many numbers the phase changes."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._start_values(model, 0)))

    def begin(self, model: Model, seed: int) -> Progress:
        """Return where the phase begins."""
        learning = self._start_values(model, seed)
        best = (learning, model.others) if self.phase.patience else None
        return Progress(learning, self._optimizer.init(learning), model.others, best)

    def fit(
        self,
        model: Model,
        inputs: Inputs,
        targets: Array,
        fold: Fold,
        seed: int,
        advance: Callable[[int], None],
        progress: Progress | None = None,
        keep: Callable[[Progress], None] = lambda progress: None,
    ) -> tuple[Model, list[dict[str, Any]]]:
        """Train on the training part of a fold.

        Args:
            model: where it begins; unchanged.
            inputs: n of them.
            targets: (n, c) float32, the probability of each class; one-hot where labels are names.
            fold: its parts.
            seed: of everything random.
            advance: called with the number of samples that a step saw.
            progress: go on from here, with the same other arguments.
            keep: called after every epoch.

        Returns:
            The trained model, and one row of history an epoch.

        Raises:
            FloatingPointError: the loss is not a finite number.
        """
        phase, rows = self.phase, np.flatnonzero(fold.train)
        batch = min(phase.batch, len(rows))
        steps = len(rows) // batch
        frozen = {name: leaf for name, leaf in model.parameters.items() if _kept(self._learning.get(name))}
        frozen = self._devices.copy(frozen)
        counts = targets[rows].sum(0, dtype=np.float64)
        weight = jnp.asarray(len(rows) / (self.classes * np.maximum(counts, 1)), jnp.float32)
        weight = self._devices.copy(weight if phase.balance == "weights" else jnp.ones_like(weight))
        valid = np.flatnonzero(fold.valid)
        now = (progress or self.begin(model, seed)).on(self._devices)
        advance(len(now.history) * steps * batch)
        while not self._finished(now):
            begun, epoch = time.perf_counter(), len(now.history)
            rng = np.random.default_rng((seed, epoch))
            order = self._order(rows, targets, counts, steps * batch, rng)
            state: State = (now.learning, now.memory, now.others)
            losses: list[jax.Array] = []
            for first in range(0, steps, STEPS_AT_ONCE):
                taken = order[first * batch : (first + STEPS_AT_ONCE) * batch]
                variant = rng.integers(0, 2, len(taken)) if phase.flip else 0
                numbers = range(epoch * steps + first, epoch * steps + first + len(taken) // batch)
                rates = np.array([self._rate(number, phase.epochs * steps) for number in numbers], np.float32)
                state, found = self._steps(
                    state,
                    frozen,
                    self._devices.divide(_in_batches(inputs.take(taken, variant), batch), axis=1),
                    self._devices.divide(_in_batches(targets[taken], batch), axis=1),
                    weight,
                    _in_batches(rates, 1)[:, 0],
                    np.uint32(seed),
                    np.uint32(numbers.start),
                    np.int32(len(numbers)),
                )
                losses.append(found[: len(numbers)])
                advance(len(taken))
            values = np.concatenate(losses)
            last = _check_finite(values, epoch * steps, phase, now.last)
            row = {"phase": phase.name, "epoch": epoch + 1, "loss": float(values.mean())}
            now = replace(now, learning=state[0], memory=state[1], others=state[2], last=last)
            done = len(now.history) + 1 == phase.epochs
            if phase.batch_norm == "train" and (done or len(valid)):
                settled = self._settled(self._model(now, frozen), inputs, order.reshape(steps, batch))
                now = replace(now, others=settled)
            if len(valid):
                said = self.predict(self._model(now, frozen), inputs, valid)
                row["valid_loss"] = _loss(said, targets[valid])
                now = now.judged(row["valid_loss"]) if phase.patience else now
            row["seconds"] = time.perf_counter() - begun
            now = replace(now, history=(*now.history, row))
            keep(now)
        if now.best is not None and len(valid):
            now = replace(now, learning=now.best[0], others=now.best[1])
        return self._model(now, frozen), list(now.history)

    def _finished(self, now: Progress) -> bool:
        patience = self.phase.patience
        return len(now.history) == self.phase.epochs or bool(patience and now.waited >= patience)

    def _model(self, now: Progress, frozen: Table) -> Model:
        return Model({**frozen, **self._merged(now.learning, frozen)}, now.others)

    def predict(self, model: Model, inputs: Inputs, rows: Array) -> Array:
        """Return log-probabilities of some samples, (k, c) float32."""
        table = self._devices.copy({**model.parameters, **model.others})
        size, found = min(max(self.phase.batch, 32), len(rows)), []
        size += -size % len(self._devices)
        for at in range(0, len(rows), size):
            taken = rows[at : at + size]
            filled = np.concatenate([taken, np.repeat(taken[-1:], size - len(taken))])
            found.append(np.asarray(self._predict(table, self._devices.divide(inputs.take(filled))))[: len(taken)])
        logits = np.concatenate(found).astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)

    def _order(self, rows: Array, targets: Array, counts: Array, size: int, rng: np.random.Generator) -> Array:
        if self.phase.balance == "sampling":
            share = targets[rows] @ (1 / np.maximum(counts, np.finfo(np.float32).tiny))
            return rng.choice(rows, size, p=share / share.sum())
        return rng.permutation(rows)[:size]

    def _start_values(self, model: Model, seed: int) -> dict[str, jax.Array | tuple[jax.Array, jax.Array]]:
        """Return what the optimizer changes: parameters, or the two factors of a change, of which one begins at 0."""
        values: dict[str, Any] = {}
        for number, (name, rule) in enumerate(sorted(self._learning.items())):
            value = model.parameters[name]
            if rule.rank:
                shape = rules.matrix_shape(value.shape)
                assert shape is not None
                key = jax.random.fold_in(jax.random.key(seed), number)
                a = jax.random.normal(key, (shape[0], rule.rank)) / math.sqrt(shape[0])
                values[name] = (a, jnp.zeros((rule.rank, shape[1])))
            else:
                values[name] = value
        return values

    def _merged(self, learning: Mapping[str, Any], frozen: Mapping[str, jax.Array]) -> Table:
        """Return the parameters that learn as the model uses them."""
        return {
            name: frozen[name] + (value[0] @ value[1]).reshape(frozen[name].shape)
            if isinstance(value, tuple)
            else value
            for name, value in learning.items()
        }

    def _logits(self, table: Mapping[str, jax.Array], x: jax.Array, key: jax.Array | None) -> tuple[jax.Array, Table]:
        """Return logits and the statistics that changed; ``key`` draws the dropout, None is for prediction."""
        x = self._prepared(x)
        train_norm = self._first if key is not None and self.phase.batch_norm == "train" else None
        features, statistics = run(self._backbone, table, x, self.start, train_norm)
        if key is not None and self.phase.dropout:
            keep = 1 - self.phase.dropout
            features = jnp.where(jax.random.bernoulli(key, keep, features.shape), features / keep, 0)
        return features @ table["head/kernel"] + table["head/bias"], statistics

    def _prepared(self, x: jax.Array) -> jax.Array:
        """Return what the first stage that runs takes, of what `Inputs` gave."""
        return self._backbone.prefix({}, x, 0) if self.start == 0 else x.astype(jnp.float32)

    def _settled(self, model: Model, inputs: Inputs, batches: Array) -> Table:
        """Return the other arrays with statistics that belong to the weights as they are now.

        What was moved step by step lags behind them: by Keras's momentum of 0.99, a hundred steps. These are of whole
        batches of the training part under one set of weights ("precise" statistics, arXiv:2105.07576, section 3.1).

        Args:
            model: whose statistics are replaced.
            inputs: of all samples.
            batches: (steps, batch) int, samples of the training part; the first `STATISTICS` batches count.
        """
        table = self._devices.copy({**model.parameters, **model.others})
        found = [self._measure(table, self._devices.divide(inputs.take(rows))) for rows in batches[:STATISTICS]]
        settled: Table = {}
        for name in found[0]:
            over_batches = jnp.stack([statistics[name] for statistics in found])
            settled[name] = over_batches.mean(0)
            if name.endswith("/var"):  # and of the means, between batches
                settled[name] += jnp.stack([batch[f"{name.removesuffix('var')}mean"] for batch in found]).var(0)
        return {**model.others, **settled}

    def _batch_statistics(self, table: Mapping[str, jax.Array], x: jax.Array) -> Table:
        _, found = run(self._backbone, table, self._prepared(x), self.start, self._first, forget=True)
        # Of norms alone: a stage may keep other statistics, which are left as training moved them.
        norms = {name.rpartition("/")[0] for name in found if name.endswith("/mean")}
        norms &= {name.rpartition("/")[0] for name in found if name.endswith("/var")}
        return {f"{norm}/{kind}": found[f"{norm}/{kind}"] for norm in norms for kind in ("mean", "var")}

    def _make_steps(
        self,
        state: State,
        frozen: Table,
        x: jax.Array,
        target: jax.Array,
        weight: jax.Array,
        rates: jax.Array,
        seed: jax.Array,
        first: jax.Array,
        count: jax.Array,
    ) -> tuple[State, jax.Array]:
        """Take the first ``count`` of the steps whose batches and rates are given, and return the loss of each."""

        def take(at: jax.Array, reached: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, losses = reached
            number = first + at.astype(jnp.uint32)
            state, loss = self._make_step(state, frozen, x[at], target[at], weight, rates[at], seed, number)
            return state, losses.at[at].set(loss)

        return jax.lax.fori_loop(0, count, take, (state, jnp.zeros(len(rates))))

    def _make_step(
        self,
        state: State,
        frozen: Table,
        x: jax.Array,
        target: jax.Array,
        weight: jax.Array,
        rate: jax.Array,
        seed: jax.Array,
        step: jax.Array,
    ) -> tuple[State, jax.Array]:
        learning, memory, others = state
        phase, key = self.phase, jax.random.fold_in(jax.random.key(seed), step)
        if augment.needs_images(phase):
            changes, mixing = jax.random.split(jax.random.fold_in(key, 1))
            x, target = augment.mix(mixing, augment.apply(changes, x, phase), target, phase)

        def loss_of(learning: Any) -> tuple[jax.Array, Table]:
            table = {**others, **frozen, **self._merged(learning, frozen)}
            logits, statistics = self._logits(table, x, key)
            smooth = optax.smooth_labels(target, phase.label_smoothing)
            losses = optax.softmax_cross_entropy(logits, smooth) * (target @ weight)
            return losses.mean(), statistics

        (loss, statistics), gradient = jax.value_and_grad(loss_of, has_aux=True)(learning)
        updates, memory = self._optimizer.update(gradient, memory, learning)
        updates = {
            name: jax.tree.map(lambda update, own=rate * self._learning[name].rate: -own * update, update)
            for name, update in dict[str, Any](cast("Any", updates)).items()
        }
        return (optax.apply_updates(learning, updates), memory, {**others, **statistics}), loss

    def _rate(self, step: int, steps: int) -> np.float32:
        """Return the learning rate of a step: linear warm-up, then cosine (arXiv:1608.03983, eq. 5) or constant."""
        phase, warm = self.phase, math.ceil(self.phase.warmup * steps)
        if step < warm:
            return np.float32(phase.learning_rate * (step + 1) / warm)
        if phase.schedule == "constant":
            return np.float32(phase.learning_rate)
        return np.float32(phase.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2)


def _in_batches(values: Array, batch: int) -> Array:
    """Return (`STEPS_AT_ONCE`, batch, …) of the values, with zeros where they end: one program serves every count."""
    if missing := STEPS_AT_ONCE * batch - len(values):
        values = np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
    return values.reshape(STEPS_AT_ONCE, batch, *values.shape[1:])


def _kept(rule: Rule | None) -> bool:
    """Return whether a parameter itself stays: no rule lets it learn, or a change beside it learns."""
    return rule is None or rule.rank > 0


def _optimizer(phase: GradientPhase) -> optax.GradientTransformation:
    """Return the direction of a step; the rate is applied outside, where each parameter has its own."""
    direction = optax.scale_by_adam() if phase.optimizer == "adamw" else optax.trace(decay=0.9)
    decay = optax.add_decayed_weights(phase.weight_decay, mask=partial(jax.tree.map, lambda leaf: leaf.ndim > 1))
    return optax.chain(optax.clip_by_global_norm(phase.clip), direction, decay)


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
