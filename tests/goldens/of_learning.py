"""Goldens of training: each kind of phase, and every option of a phase of gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from goldens.materials import NAMES, net, picture, view, wave
from goldens.record import golden, rounded, summary

from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import augment, calibration
from fer_bench.learning.engine import run_plan
from fer_bench.learning.material import Material
from fer_bench.learning.search import Searching
from fer_bench.learning.trials import SearchTrial, draw_settings
from fer_bench.networks import backbone
from fer_bench.registry import Registry
from fer_bench.space import SearchSpace
from fer_bench.specs import AnswerPhase, ConvexPhase, GradientPhase, Plan, ReadoutPhase, Rule
from fer_bench.tasks.folds import Fold, Split
from fer_bench.tasks.inner import divide_training
from fer_bench.tasks.task import Task
from fer_bench.tasks.windows import WINDOWS

N = 26
LABELS = np.array([(i * i + i // 4) % 3 for i in range(N)])
FROM_HIGH = (Rule(rate=0, stop="high"), Rule(start=-1, leaves="conv/.*"), Rule(start=-1, leaves="norm/.*", rate=0),
             Rule(head=True, rate=3))  # fmt: skip
ALL = (Rule(), Rule(head=True))

PHASES: dict[str, GradientPhase] = {
    "usual": GradientPhase(name="usual", rules=FROM_HIGH, epochs=2, batch=4, learning_rate=0.05),
    "sgd": GradientPhase(
        name="sgd", rules=FROM_HIGH, epochs=3, batch=4, learning_rate=0.3, optimizer="sgd", schedule="constant",
        warmup=0.3, weight_decay=0.1, clip=0.2, label_smoothing=0.2, balance="weights", flip=True, dropout=0.3,
        batch_norm="train",
    ),
    "stopped": GradientPhase(
        name="stopped", rules=FROM_HIGH, epochs=6, batch=5, learning_rate=0.4, labels="soft", balance="sampling",
        patience=1, warmup=0.0,
    ),
    "changed images": GradientPhase(
        name="changed images", rules=(Rule(rank=2), Rule(head=True)), epochs=3, batch=6, learning_rate=0.1, mixup=0.4,
        augment=("affine", "colour", "erase"),
    ),
    "pasted": GradientPhase(name="pasted", rules=ALL, epochs=1, cutmix=0.8),
}  # fmt: skip
"""Between them every option of a phase has another value than the usual one. The last only says how images are mixed,
since what draws the shares takes longest to compile."""


class _Images:
    """Stored pixels, of which every second variant is mirrored."""

    def __init__(self) -> None:
        self._kept = np.stack([picture(i) for i in range(N)])

    def __len__(self) -> int:
        return N

    def take(self, rows: Any, variant: Any = 0) -> np.ndarray:
        taken = self._kept[rows]
        mirrored = np.broadcast_to(variant, len(rows)) == 1
        taken[mirrored] = taken[mirrored, :, ::-1]
        return taken


def _separable(*shape: int) -> np.ndarray:
    """Return numbers that tell the classes apart, roughly."""
    return wave(3, *shape, step=0.3)[LABELS] + 1.5 * wave(N, *shape)


def _material(**more: Any) -> Material:
    component = net()

    def nothing(*arguments: Any) -> None:
        pass

    # Samples that are tested lie elsewhere, and batches differ, so that it counts whose mean is taken.
    low = _separable(6, 6, 4) + 2 * wave(N, 1, 1, 4)
    low = np.stack([low, 0.5 - low], 1)
    features = _separable(8) + 1.5 * (np.arange(N) % 4 == 0)[:, None].astype(np.float32)
    inputs = {0: _Images(), 1: Outputs([low[:9], low[9:]])}
    soft = np.abs(wave(N, 3)) + np.eye(3, dtype=np.float32)[LABELS]
    return Material(
        labels=LABELS,
        classes=3,
        inputs=lambda stop, flip: inputs[stop],
        backbone=lambda seed: backbone.build(component, "float32", seed or 0),
        begin=nothing,
        advance=nothing,
        soft_labels=lambda: soft / soft.sum(1, keepdims=True),
        **{"class_names": NAMES, "features": lambda: Outputs([features[:, None]]), **more},
    )


def _folds() -> list[Fold]:
    at = np.arange(N)
    return [Fold(k, at % 4 > 1 - k, at % 4 == 0, (at % 4 == 1) & (k == 0)) for k in range(2)]


def _run(plan: Plan, folds: int = 1, **more: Any) -> dict[str, Any]:
    """Return what a plan makes of each fold."""
    found: dict[str, Any] = {}
    for k, call in enumerate(run_plan(plan, _material(**more), _folds()[:folds], [5, 6][:folds])):
        outcome = call(Checkpoint(None))
        history = outcome.history.drop(columns=["seconds"], errors="ignore")
        found[f"fold {k}"] = summary(outcome.probabilities)
        found[f"fold {k}, numbers"] = [outcome.trained_parameters, outcome.head_parameters, outcome.converged]
        losses = [history[name].dropna() for name in ("loss", "valid_loss") if name in history]
        found[f"fold {k}, losses"] = [number for column in losses for number in rounded(column)]
    return found


@golden(1e-3)
def convex_heads(folder: Path) -> dict[str, Any]:
    """Heads of two folds at once, with features scaled and as they are."""
    found: dict[str, Any] = {}
    for scaled, c in ((True, 0.5), (False, 3.0)):
        phase = ConvexPhase(c=c, standardize=scaled, max_iterations=50, tolerance=1e-4)
        found |= {f"scaled {scaled}, {name}": value for name, value in _run(Plan(phases=(phase,)), 2).items()}
    return found


@golden(1e-3)
def searched(folder: Path) -> dict[str, Any]:
    """A search among penalties, and successive halving among classifiers of scikit-learn."""
    del folder
    n = np.arange(N)
    task = Task((view(LABELS.tolist(), [f"p{i % 9}" for i in range(N)]),))
    fold = Fold(0, n % 9 < 7, n % 9 >= 7)
    split = Split(Registry.load().protocol("group-kfold", {"folds": 2}), False, (), 3, (fold,))
    nested = divide_training(fold, split, task, 2, None)
    space = SearchSpace(strategy="", parameters={"c": {"log": (0.01, 10)}, "k": {"integer": (1, 3)}})
    values: dict[str, Any] = {
        "inner": [
            "".join(".TV"[test + 2 * train] for train, test in zip(f.train, f.test, strict=True)) for f in nested.folds
        ],
        "drawn": [[settings["c"], settings["k"]] for settings in draw_settings(space, 4, 5)],
    }
    heads = [ConvexPhase(c=c, standardize=True, max_iterations=50, tolerance=1e-4) for c in (3.0, 0.01, 0.3)]
    options = [{"var_smoothing": 10.0**power} for power in range(-6, 3)]
    bayes = [ReadoutPhase(estimator="sklearn.naive_bayes:GaussianNB", options=each) for each in options]
    for name, phases in (("heads", heads), ("halving", bayes)):
        trials = [SearchTrial({"at": number}, None, Plan(phases=(phase,))) for number, phase in enumerate(phases)]
        searching = Searching(trials, nested, _material(), 5, _score, Checkpoint(None), name == "halving")
        outcome = searching.run()
        values[f"{name}, chosen"] = outcome.chosen.trial.text
        values[f"{name}, scores"] = rounded(outcome.history.query("phase == 'trial'")["score"])
        values[f"{name}, probabilities"] = summary(outcome.probabilities)
    return values


def _score(labels: Any, probabilities: Any) -> float:
    """The mean probability of the classes of the samples."""
    return float(probabilities[np.arange(len(labels)), labels].mean())


@golden(1e-3)
def readout(folder: Path) -> dict[str, Any]:
    """A classifier of scikit-learn."""
    phase = ReadoutPhase(estimator="sklearn.neighbors:KNeighborsClassifier", options={"n_neighbors": 3})
    return _run(Plan(phases=(phase,)), 2)


@golden(1e-5)
def answered(folder: Path) -> dict[str, Any]:
    """A finished classifier, of which nothing is trained."""
    return _run(Plan(phases=(AnswerPhase(),)), 2, answers=("anger", "happiness", "sadness"))


@golden(1e-6)
def calibrated(folder: Path) -> dict[str, Any]:
    """A temperature and biases of samples that a model is too sure of, what they make of them, and the way back."""
    p = np.exp(4 * wave(N, 3) + 2 * np.eye(3)[LABELS])
    p /= p.sum(1, keepdims=True)
    numbers: dict[str, Any] = {}
    for biased in (False, True):
        fitted = calibration.fit(p, LABELS, biased)
        numbers[f"biased {biased}"] = rounded([fitted.temperature, *fitted.biases])
        scaled = calibration.scale(p, fitted.temperature, fitted.biases)
        numbers[f"scaled, {biased}"] = summary(scaled)
        numbers[f"back, {biased}"] = summary(calibration.unscale(scaled, fitted.temperature, fitted.biases))
    ends = [calibration.fit(p, labels, False) for labels in (p.argmax(1), p.argmin(1))]
    return {**numbers, "ends": rounded([fitted.temperature for fitted in ends]), "images": ends[0].images}


@golden(1e-4)
def views_in_sequences(folder: Path) -> dict[str, Any]:
    """A head that predicts mirrored images and windows, with one answer for a sequence, calibrated."""
    phase = ConvexPhase(c=0.5, standardize=True, max_iterations=50, tolerance=1e-4)
    sequences = np.where(np.arange(N) % 5 == 0, -1, np.arange(N) // 6)
    both = np.stack([_separable(8), 0.3 * _separable(8) + wave(N, 8)], 1)
    whole = _material(features=lambda: Outputs([both]), sequences=lambda: sequences)

    def through(window: str) -> Material:
        return replace(whole, features=lambda: Outputs([both * (1 + 0.1 * list(WINDOWS).index(window))]))

    numbers: dict[str, Any] = {}
    for views, aggregate, calibrate in (("mirror", "mean", "temperature"), ("crops", "majority", "none")):
        plan = Plan(phases=(phase,), views=views, aggregate=aggregate, calibrate=calibrate)
        (call,) = run_plan(plan, replace(whole, through=through), _folds()[:1], [5])
        numbers[views] = rounded(call(Checkpoint(None)).probabilities)
    return numbers


def _gradient(name: str) -> dict[str, Any]:
    phase = PHASES[name]
    return _run(Plan(phases=(phase,), validation=0.2 if phase.patience else 0.0))


@golden(2e-4)
def gradient_usual(folder: Path) -> dict[str, Any]:
    """Options as they are unless a strategy names others."""
    return _gradient("usual")


@golden(2e-4)
def gradient_sgd(folder: Path) -> dict[str, Any]:
    """Momentum, decay, a tight clip, smoothed labels, weighed classes, mirrored images, dropout, batch statistics."""
    return _gradient("sgd")


@golden(2e-4)
def gradient_stopped(folder: Path) -> dict[str, Any]:
    """Soft labels, classes drawn equally often, and an early end."""
    return _gradient("stopped")


@golden(2e-4)
def gradient_changed_images(folder: Path) -> dict[str, Any]:
    """Every change of images, from the image on; changes of low rank."""
    return _gradient("changed images")


@golden(2e-4)
def phases_in_order(folder: Path) -> dict[str, Any]:
    """A convex head where two phases of gradients go on, without pre-trained weights."""
    head = ConvexPhase(c=1.0, standardize=True, max_iterations=30, tolerance=1e-3)
    return _run(Plan(phases=(head, PHASES["usual"], PHASES["usual"]), pretrained=False))


def _changed(change: Any, *arguments: Any) -> Any:
    """Return what one of the functions of `augment` makes of four pictures, compiled."""
    x = jnp.asarray(np.stack([picture(i, 9, 8) for i in range(4)]), jnp.float32)
    return jax.jit(lambda key: change(key, x, *arguments))(jax.random.key(3))


@golden(1e-4)
def affine(folder: Path) -> dict[str, Any]:
    """Pictures that are turned, scaled and shifted."""
    return {"images": summary(_changed(augment.affine))}


@golden(1e-4)
def colour(folder: Path) -> dict[str, Any]:
    """Brightness, contrast and saturation, and those of grey pictures."""
    grey = _changed(lambda key, images: augment.colour(key, images[..., :1]))
    return {"images": summary(_changed(augment.colour)), "grey": summary(grey)}


@golden(1e-4)
def erased(folder: Path) -> dict[str, Any]:
    """Rectangles of noise; with a share of one every picture has one."""
    return {"images": summary(_changed(augment.erase)), "share": [augment.ERASED]}


@golden(1e-4)
def mixed(folder: Path) -> dict[str, Any]:
    """Pictures that are blended and pasted into each other, with their targets."""
    phases, targets = (PHASES["changed images"], PHASES["pasted"]), jnp.eye(4)
    both = _changed(lambda key, x: [augment.mix(key, x, targets, phase) for phase in phases])
    return {
        f"{name}, {what}": summary(part)
        for name, parts in zip(("blended", "pasted"), both, strict=True)
        for what, part in zip(("images", "targets"), parts, strict=True)
    }
