"""The gradient engine on a tiny backbone: what stays, what learns, and a plain optax loop beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hurry import in_a_hurry
from test_checkpoints import leave

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import augment, rules
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.state import Model
from fer_bench.learning.training import Progress, Training, copied
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import named
from fer_bench.specs import GradientPhase, ImageInput, Rule
from fer_bench.tasks.folds import Fold

FROM_LAST = (Rule(rate=0, stop=-1), Rule(start=-1), Rule(head=True, rate=10))
EVERYTHING = (Rule(), Rule(head=True))
HEAD_ONLY = (Rule(rate=0), Rule(head=True))
hurried = in_a_hurry()


class Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
        self.point = nnx.Conv(outputs, outputs, (1, 1), rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.norm(self.point(self.conv(x))))


def backbone(features: int = 8) -> Backbone:
    rngs = nnx.Rngs(0)
    split = {}
    for name, block in {"low": Block(3, 4, rngs), "high": Block(4, features, rngs)}.items():
        block.eval()
        split[name] = nnx.split(block)
    return Backbone(
        name="tiny",
        stages=("low", "high"),
        parameters=0,
        state={name: nnx.to_pure_dict(state) for name, (_, state) in split.items()},
        input_size=8,
        image_input=ImageInput(),
        graphs={name: graph for name, (graph, _) in split.items()},
        feature_size=features,
    )


def trainer(tiny: Backbone, phase: GradientPhase, classes: int) -> Trainer:
    return Trainer(tiny, phase, Model.first(tiny, classes).shapes)


def fit(trainer, model, inputs, targets, fold, seed=0):
    """Return the model and the rows of history after a phase."""
    done = Training(trainer, inputs, targets, fold, seed, nothing).run(Progress(model))
    return done.model, done.history


def problem(classes: int, stop: int, n: int = 48):
    """Return inputs of the stage at ``stop`` that tell the classes apart, labels, and a fold that trains on all."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    shape = {0: (8, 8, 3), 1: (8, 8, 4)}[stop]
    centres = rng.normal(size=(classes, *shape)) if stop else rng.integers(0, 255, (classes, 1, 1, 3))
    x = centres[labels] + rng.normal(size=(n, *shape)) * (0.1 if stop else 5)
    if stop == 0:
        x = x.clip(0, 255).astype(np.uint8)

    class Stored:
        def __len__(self):
            return n

        def take(self, rows, variant=0):
            return x[rows]

    inputs = Stored() if stop == 0 else Outputs([x[:, None].astype(np.float32)])
    mask = np.ones(n, bool)
    return inputs, labels, Fold(0, mask, mask)


def one_hot(labels):
    return np.eye(labels.max() + 1, dtype=np.float32)[labels]


def nothing(samples: int) -> None:
    pass


def test_a_separable_set_is_learnt_and_frozen_numbers_stay_to_the_bit():
    tiny, classes = backbone(), 8
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=30, batch=16, learning_rate=1e-2)
    fitter, (inputs, labels, fold) = trainer(tiny, phase, classes), problem(classes, 1)
    before = Model.first(tiny, classes)
    copies = {name: np.array(value) for name, value in before.parameters.items()}
    after, history = fit(fitter, before, inputs, one_hot(labels), fold)
    assert fitter.start == 1
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert (fitter.predict(after, inputs, np.arange(48)).argmax(1) == labels).mean() > 0.9
    for name, value in copies.items():
        assert (np.array_equal(value, after.parameters[name])) == name.startswith("low/"), name
        np.testing.assert_array_equal(value, before.parameters[name])
    for name, value in before.others.items():
        np.testing.assert_array_equal(value, after.others[name])
    again, _ = fit(fitter, before, inputs, one_hot(labels), fold)
    other, _ = fit(fitter, before, inputs, one_hot(labels), fold, 1)
    np.testing.assert_array_equal(after.parameters["head/kernel"], again.parameters["head/kernel"])
    assert not np.array_equal(after.parameters["head/kernel"], other.parameters["head/kernel"])


@pytest.mark.slow
def test_agrees_with_a_plain_optax_loop_on_the_module_itself():
    tiny = backbone()
    phase = GradientPhase(
        name="p",
        rules=EVERYTHING,
        epochs=3,
        batch=48,
        learning_rate=1e-2,
        warmup=0,
        schedule="constant",
        weight_decay=1.0,  # three steps take 3 % off what decays: more than the tolerance
        label_smoothing=0.1,
        clip=1e9,
    )
    inputs, labels, fold = problem(3, 0)
    after, history = fit(trainer(tiny, phase, 3), Model.first(tiny, 3), inputs, one_hot(labels), fold)

    low, high = (nnx.merge(tiny.graphs[name], tiny.state[name]) for name in tiny.stages)
    graph, params, rest = nnx.split((low, high), nnx.Param, ...)
    weights = {"net": params, "kernel": jnp.zeros((8, 3)), "bias": jnp.zeros(3)}
    x = jnp.asarray(inputs.take(np.arange(48)), jnp.float32) / 127.5 - 1
    target = 0.9 * jax.nn.one_hot(labels, 3) + 0.1 / 3

    def loss_of(weights):
        first, second = nnx.merge(graph, weights["net"], rest)
        features = second(first(x)).mean((1, 2))
        return -(target * jax.nn.log_softmax(features @ weights["kernel"] + weights["bias"])).sum(1).mean()

    optimizer = optax.adamw(1e-2, weight_decay=1.0, mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree))

    @jax.jit
    def step(weights, memory):
        loss, gradient = jax.value_and_grad(loss_of)(weights)
        updates, memory = optimizer.update(gradient, memory, weights)
        return optax.apply_updates(weights, updates), memory, loss

    memory, losses = optimizer.init(weights), []
    for _ in range(3):
        weights, memory, loss = step(weights, memory)
        losses.append(float(loss))
    np.testing.assert_allclose([row["loss"] for row in history], losses, rtol=1e-4)
    expected = {"head/kernel": weights["kernel"], "head/bias": weights["bias"]}
    for stage, learnt in zip(tiny.stages, nnx.to_pure_dict(weights["net"]).values(), strict=True):
        expected |= named(stage, learnt)
    assert after.parameters.keys() == expected.keys()
    for name, value in after.parameters.items():
        np.testing.assert_allclose(value, expected[name], atol=2e-3, err_msg=name)


def test_statistics_move_in_train_mode_alone_and_only_where_stages_learn():
    inputs, labels, fold = problem(2, 1)
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=1, batch=16, batch_norm="train")
    tiny = backbone()
    before = Model.first(tiny, 2)
    after, _ = fit(trainer(tiny, phase, 2), before, inputs, one_hot(labels), fold)
    assert not np.array_equal(before.others["high/norm/mean"], after.others["high/norm/mean"])
    np.testing.assert_array_equal(before.others["low/norm/mean"], after.others["low/norm/mean"])


def test_statistics_after_training_are_those_of_the_training_part():
    inputs, labels, _ = problem(2, 1)
    train = np.arange(48) < 32
    fold = Fold(0, train, ~train)
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=1, batch=8, batch_norm="train", optimizer="sgd")
    tiny = backbone()
    after, _ = fit(trainer(tiny, phase, 2), Model.first(tiny, 2), inputs, one_hot(labels), fold)
    x = inputs.take(np.flatnonzero(train))
    for name in ("conv", "point"):  # what the norm is given, by hand
        kernel, bias = (after.parameters[f"high/{name}/{part}"] for part in ("kernel", "bias"))
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
    np.testing.assert_allclose(after.others["high/norm/mean"], np.mean(x, (0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after.others["high/norm/var"], np.var(x, (0, 1, 2)), rtol=1e-4)


def test_a_low_rank_change_has_its_rank_and_leaves_what_is_no_matrix():
    tiny = backbone()
    phase = GradientPhase(name="p", rules=(Rule(rank=2), Rule(head=True)), epochs=2, batch=16, learning_rate=1e-2)
    inputs, labels, fold = problem(3, 0)
    before = Model.first(tiny, 3)
    fitter = trainer(tiny, phase, 3)
    after, _ = fit(fitter, before, inputs, one_hot(labels), fold)
    change = np.asarray(after.parameters["high/point/kernel"] - before.parameters["high/point/kernel"]).reshape(8, 8)
    values = np.linalg.svd(change, compute_uv=False)
    assert values[1] > 1e-5 > values[2] * 10
    np.testing.assert_array_equal(before.parameters["high/conv/kernel"], after.parameters["high/conv/kernel"])
    assert fitter.trained(before) == 2 * (4 + 4) + 2 * (8 + 8) + 8 * 3 + 3


def test_early_stopping_takes_the_epoch_with_the_lowest_validation_loss():
    inputs, labels, _ = problem(3, 1)
    train = np.arange(48) < 32
    wrong = np.where(train, labels, (labels + 1) % 3)  # the better it learns, the worse it does in validation
    fold = Fold(0, train, ~train, valid=~train)
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=50, batch=8, learning_rate=3e-3, patience=2)
    tiny = backbone()
    fitter = trainer(tiny, phase, 3)
    after, history = fit(fitter, Model.first(tiny, 3), inputs, one_hot(wrong), fold)
    losses = [row["valid_loss"] for row in history]
    assert len(history) < 50
    assert losses.index(min(losses)) == len(losses) - 3
    said = fitter.predict(after, inputs, np.flatnonzero(~train))
    assert -said[np.arange(16), wrong[~train]].mean() == pytest.approx(min(losses), abs=1e-5)


def test_a_loss_that_is_no_number_names_the_step_and_the_last_good_value():
    tiny = backbone()
    phase = GradientPhase(name="head", rules=FROM_LAST, epochs=3, batch=16)
    inputs, labels, fold = problem(2, 1)
    seen = []

    class Breaks:
        def __len__(self):
            return len(inputs)

        def take(self, rows, variant=0):
            taken = inputs.take(rows)
            taken[np.arange(len(seen), len(seen) + rows.size).reshape(rows.shape) >= 4 * 16] = np.nan
            seen.extend(rows.ravel())
            return taken

    with pytest.raises(FloatingPointError, match=r"nan at step [56] .*'head'.* 0\.\d"):
        fit(trainer(tiny, phase, 2), Model.first(tiny, 2), Breaks(), one_hot(labels), fold)


@pytest.mark.parametrize("patience", [0, 1])
def test_training_that_diverged_is_no_result(patience):
    """Its loss may be a finite number still: 2.7e26 was seen."""
    tiny = backbone()
    inputs, labels, fold = problem(3, 1)
    fold = Fold(0, fold.train, fold.test, valid=fold.test) if patience else fold
    phase = GradientPhase(name="wild", rules=FROM_LAST, epochs=3, batch=16, learning_rate=1000, patience=patience)
    with pytest.raises(FloatingPointError, match=r"diverged.*'wild'.*1\.10.*below 1000"):
        fit(trainer(tiny, phase, 3), Model.first(tiny, 3), inputs, one_hot(labels), fold)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Rule(start=-1), Rule(head=True)), "no rule.* low/conv/kernel"),
        ((Rule(), Rule(leaves=".*bias"), Rule(head=True)), "2 rules match low/conv/bias"),
        ((Rule(),), "no rule.* head/kernel"),
        ((Rule(rate=0), Rule(head=True, rate=0)), "trains nothing"),
        ((Rule(start="middle"), Rule(head=True)), "no stage 'middle'.* low, high"),
        ((Rule(stop=999), Rule(start=999), Rule(head=True)), "no stage 999.* -2 to 2 .*low, high"),
        ((Rule(rate=0, stop=2), Rule(start=2), Rule(head=True)), "no stage 2.* -2 to 1 "),
        ((Rule(start=-999), Rule(head=True)), "no stage -999"),
    ],
)
def test_each_parameter_obeys_exactly_one_rule(given, message):
    tiny = backbone()
    shapes = Model.first(tiny, 2).shapes
    with pytest.raises(ValueError, match=message):
        rules.assign(GradientPhase(name="p", rules=given, epochs=1), tiny.stages, shapes)


def test_rare_classes_are_drawn_as_often_as_others():
    tiny = backbone()
    inputs, _, _ = problem(2, 1)
    labels = (np.arange(2000) < 250).astype(int)
    fold = Fold(0, np.ones(2000, bool), np.ones(2000, bool))
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=1, batch=50, balance="sampling")
    order = Training(trainer(tiny, phase, 2), inputs, one_hot(labels), fold, 0, nothing).order(np.random.default_rng(0))
    assert 0.45 < labels[order].mean() < 0.55


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("then", [FROM_LAST, HEAD_ONLY], ids=["same stages", "head"])
def test_goes_on_from_any_epoch_of_any_phase_to_the_same_bits(patience, then, tmp_path):
    inputs, labels, _ = problem(3, 1)
    train = np.arange(48) < 32
    fold = Fold(0, train, ~train, valid=~train)
    phase = GradientPhase(
        name="p", rules=FROM_LAST, epochs=3, batch=8, dropout=0.2, batch_norm="train", patience=patience
    )
    tiny, steps, kept = backbone(), [], []
    trainers = [trainer(tiny, replace(phase, rules=rules), 3) for rules in (FROM_LAST, then)]
    features = Outputs([np.random.default_rng(1).normal(size=(48, 1, 8)).astype(np.float32)])
    first, second = (
        Training(one, inputs if one.start == 1 else features, one_hot(labels), fold, seed, steps.append)
        for seed, one in enumerate(trainers, 5)
    )
    begun = Progress(Model.first(tiny, 3))

    def keep(progress):
        kept.append(replace(progress, state=copied(progress.state)))

    whole = second.run(first.run(begun, keep), keep)
    assert [(progress.phase, progress.epoch) for progress in kept] == [(p, e) for p in (0, 1) for e in (1, 2, 3)]
    for progress in kept:
        left = leave(tmp_path / "cell.safetensors", (progress.facts(), progress.arrays(trainers)))
        with Checkpoint(left, pytest.fail) as checkpoint:
            back = checkpoint.load(partial(begun.at, trainers))
        steps.clear()
        after = second.run(first.run(back) if back.phase == 0 else back)
        assert sum(steps) == (2 - progress.phase) * 3 * 32
        assert [row["loss"] for row in after.history] == [row["loss"] for row in whole.history]
        for name, value in {**whole.model.parameters, **whole.model.others}.items():
            np.testing.assert_array_equal(value, {**after.model.parameters, **after.model.others}[name])


def test_soft_targets_are_the_expectation_of_hard_ones():
    tiny = backbone()
    inputs, _, fold = problem(2, 1)
    phase = GradientPhase(name="p", rules=FROM_LAST, epochs=1, batch=48, learning_rate=1e-3, warmup=0)
    votes = np.random.default_rng(0).dirichlet((1, 1), 48).astype(np.float32)
    fitter = trainer(tiny, phase, 2)
    _, history = fit(fitter, Model.first(tiny, 2), inputs, votes, fold)
    before = fitter.predict(Model.first(tiny, 2), inputs, np.arange(48))
    expected = np.mean([sum(votes[i, c] * -before[i, c] for c in range(2)) for i in range(48)])
    assert history[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_augmented_images_run_through_frozen_stages_without_moving_them(monkeypatch):
    monkeypatch.setattr(jax.random, "beta", lambda key, a, b: jax.random.uniform(key))  # a beta takes 3 s to compile
    tiny, (inputs, labels, fold) = backbone(), problem(2, 0)
    plain = GradientPhase(name="p", rules=FROM_LAST, epochs=4, batch=16, learning_rate=1e-2, batch_norm="train")
    changed = replace(plain, augment=("affine", "colour", "erase"), mixup=0.2)
    fitter, before = trainer(tiny, changed, 2), Model.first(tiny, 2)
    assert (trainer(tiny, plain, 2).start, fitter.start) == (1, 0)
    after, history = fit(fitter, before, inputs, np.eye(2, dtype=np.float32)[labels], fold)
    again, _ = fit(fitter, before, inputs, np.eye(2, dtype=np.float32)[labels], fold)
    assert history[-1]["loss"] < history[0]["loss"]
    for name, value in {**before.parameters, **before.others}.items():
        new = {**after.parameters, **after.others}[name]
        np.testing.assert_array_equal(new, {**again.parameters, **again.others}[name])
        assert np.array_equal(value, new) == (name.startswith("low/") or not np.issubdtype(value.dtype, np.floating)), (
            name
        )


def test_an_augmentation_of_probability_0_changes_nothing(monkeypatch):
    # With factors of 1 and no rectangles, training from images is training from the cache.
    monkeypatch.setattr(augment, "COLOUR", 0.0)
    monkeypatch.setattr(augment, "ERASED", 0.0)
    tiny, (images, labels, fold) = backbone(), problem(2, 0)
    state = {"low": tiny.state["low"]}
    cached = Outputs([np.asarray(tiny.prefix(state, jnp.asarray(images.take(np.arange(48))), 1))[:, None]])
    plain = GradientPhase(name="p", rules=FROM_LAST, epochs=3, batch=16, learning_rate=1e-2)
    targets = np.eye(2, dtype=np.float32)[labels]
    one, _ = fit(trainer(tiny, plain, 2), Model.first(tiny, 2), cached, targets, fold)
    fitter = trainer(tiny, replace(plain, augment=("colour", "erase")), 2)
    other, _ = fit(fitter, Model.first(tiny, 2), images, targets, fold)
    for name, value in one.parameters.items():
        np.testing.assert_allclose(value, other.parameters[name], rtol=1e-3, atol=1e-5)
