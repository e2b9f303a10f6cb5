"""Goldens of what a run does with prepared data: groups, folds, faces that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from goldens.materials import view, wave
from goldens.record import golden, rounded

from fer_bench.config import RunConfig
from fer_bench.registry import Registry
from fer_bench.tasks import protocols
from fer_bench.tasks.crops import as_errors
from fer_bench.tasks.folds import Split, cut_validation, leave_out_of_training
from fer_bench.tasks.fractions import shrink_training
from fer_bench.tasks.groups import merge
from fer_bench.tasks.pairs import choose_pairs, leave_two_out
from fer_bench.tasks.task import Task
from fer_bench.tasks.windows import WINDOWS, cut, shape_of

LABELS = [(i * i + i // 4) % 3 for i in range(48)]
SUBJECTS = ["" if i % 12 == 5 else f"p{i // 3 % 7}" for i in range(48)]
SEQUENCES = [f"v{i // 3}" if i % 12 > 3 else "" for i in range(48)]
SPLITS = [("train", "train", "valid", "test")[i % 4] for i in range(48)]


def _own() -> Task:
    clusters = np.full(48, -1)
    clusters[[0, 20, 41]] = 3
    return Task((view(LABELS, SUBJECTS, SEQUENCES, SPLITS),), (clusters,))


def _with_others() -> Task:
    own = view(LABELS, SUBJECTS, splits=SPLITS)
    others = view(LABELS[:24], [f"p{5 + i % 9}" for i in range(24)], first=100)
    return Task((own, others))


def _letters(split: Split) -> list[str]:
    """Return a text a fold: t for a sample that trains, v for validation, x for test, a dot for none."""
    marks = [np.select([fold.train, fold.valid, fold.test], list("tvx"), ".") for fold in split.folds]
    return ["".join(fold) for fold in marks]


def _dealt(folder: Path, configs: dict[str, tuple[Task, RunConfig]]) -> dict[str, Any]:
    """Return the folds of each protocol, with a validation part and without, remembered in ``folder`` alone."""
    found, registry = {}, Registry.load()
    for name, (task, asked) in configs.items():
        config = asked.model_copy(update={"cache_dir": folder})
        protocol, _ = protocols.choose(config, task, registry)
        split = protocols.split(protocol, task, config, 4)
        found[name] = _letters(split)
        found[f"{name}, validated"] = _letters(cut_validation(split, task, 0.25))
    return found


@golden()
def folds(folder: Path) -> dict[str, Any]:
    """Each protocol that tears groups apart or keeps official parts; training without useless images; ``auto``."""
    own, registry = _own(), Registry.load()
    ungrouped = Task((view(LABELS, [f"p{i % 17}" for i in range(48)], splits=SPLITS),))
    found = _dealt(
        folder,
        {
            "kfold": (own, RunConfig(protocol="kfold", folds=3)),
            "repeated-kfold": (own, RunConfig(protocol="repeated-kfold", folds=3, repeats=2)),
            "official": (own, RunConfig(protocol="official")),
            "official, leak-free": (ungrouped, RunConfig(protocol="official", leak_free=True)),
        },
    )
    useless = np.arange(48) % 5 == 0
    kfold = protocols.split(registry.protocol("kfold[folds=3]", {}), own, RunConfig(cache_dir=folder), 4)
    found["without useless images"] = _letters(leave_out_of_training(kfold, own, useless))
    autos = (own, _with_others(), Task((view(LABELS),)), Task((view(LABELS, sequences=SEQUENCES),)))
    found["auto"] = [protocols.choose(RunConfig(), task, registry)[0].spec.name for task in autos]
    return found


@golden(needs="scikit-learn>=1.8")
def grouped_folds(folder: Path) -> dict[str, Any]:
    """Each protocol that keeps groups; before scikit-learn 1.8, StratifiedGroupKFold shuffled in another way."""
    return _dealt(
        folder,
        {
            "group-kfold": (_with_others(), RunConfig(protocol="group-kfold", folds=3)),
            "loso": (_own(), RunConfig(protocol="loso")),
            "cross": (_with_others(), RunConfig(train_on=("other",))),
        },
    )


@golden()
def fractions(folder: Path) -> dict[str, Any]:
    """Shares of the training parts, of groups and of single images."""
    task, registry = _own(), Registry.load()
    parts: dict[str, Any] = {}
    for name in ("kfold[folds=3]", "loso"):
        split = protocols.split(registry.protocol(name, {}), task, RunConfig(cache_dir=folder), 4)
        parts |= {f"{name}, {share}": _letters(shrink_training(split, task, share)) for share in (0.5, 0.8)}
    return parts


@golden()
def pairs_of_folds(folder: Path) -> dict[str, Any]:
    """What models of a jackknife test and train on, and which of many folds are left out together."""
    task = _own()
    split = protocols.split(Registry.load().protocol("kfold[folds=4]", {}), task, RunConfig(cache_dir=folder), 4)
    return {"folds": _letters(leave_two_out(split, task)), "of twelve": [list(pair) for pair in choose_pairs(12, 4)]}


@golden()
def groups(folder: Path) -> dict[str, Any]:
    """What must not be torn apart."""
    keys = [np.array([7, 7, -1, -1, 2, -1, 9]), np.array([-1, 1, 1, -1, 2, 3, 3])]
    tasks = {"own": _own(), "with others": _with_others()}
    names = {name: task.group_names(np.arange(len(task))).to_pylist() for name, task in tasks.items()}
    return {
        "merged": merge(keys).tolist(),
        **{name: task.groups.tolist() for name, task in tasks.items() if task.groups is not None},
        **{f"{name}, names": found for name, found in names.items()},
    }


@golden()
def cut_windows(folder: Path) -> dict[str, Any]:
    """Windows of an image, and which images are of a sequence."""
    image = np.arange(9 * 16).reshape(9, 16, 1)
    corners = {window: cut(image, window)[[0, -1], [0, -1], 0].tolist() for window in WINDOWS}
    return {**corners, "shape": list(shape_of((9, 16))), "sequences": _own().sequences.tolist()}


@golden(1e-6)
def tasks(folder: Path) -> dict[str, Any]:
    """Labels, soft labels and parts of several views together."""
    soft = np.eye(3)[[1, 0, 2, 2]] * 0.7 + 0.1
    task = Task((view([0, 1, 2, 2], soft=soft), view([2, 1, 0], name="more")))
    assert task.soft_labels is not None
    return {
        "labels": task.labels.tolist(),
        "part": task.part.tolist(),
        "ids": task.ids.to_pylist(),
        "soft": rounded(task.soft_labels),
    }


@golden(1e-6)
def missing_faces(folder: Path) -> dict[str, Any]:
    """What the predictions of images without a face become."""
    probabilities = np.abs(wave(5, 3))
    probabilities /= probabilities.sum(1, keepdims=True)
    probabilities[3] = [0, 0, 1]
    found = np.array([True, False, False, False, True])
    return {"as errors": rounded(as_errors(probabilities, np.array([2, 1, 0, 2, 0]), found))}
