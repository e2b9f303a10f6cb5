"""Which golden holds which module of the core, and which modules move no prediction."""

from __future__ import annotations

from pathlib import Path

import fer_bench

CORE = Path(fer_bench.__file__).parent
PACKAGES = ("data", "executors", "faces", "keeping", "learning", "networks", "tasks")
"""Packages of which every module stands in `HELD` or `MOVES_NOTHING`."""

GRADIENT = tuple(f"learning.gradient_{name}" for name in ("usual", "sgd", "stopped", "changed_images"))

HELD: dict[str, tuple[str, ...]] = {
    "labels": ("data.label_maps", "data.views"),
    "data.builder": ("data.prepared",),
    "data.checks": ("data.prepared",),
    "data.images": ("data.decoding", "data.orientation"),
    "data.index": ("data.prepared",),
    "data.names": ("data.prepared",),
    "data.prepare": ("data.prepared",),
    "data.prepared": ("data.prepared",),
    "data.texts": ("tasks.groups",),
    "executors.cells": ("executors.whole_run",),
    "executors.grid": ("executors.whole_run",),
    "executors.local": ("executors.whole_run",),
    "executors.run_data": ("executors.whole_run",),
    "executors.trainings": ("executors.whole_run",),
    "faces.align": ("faces.crops",),
    "faces.boxes": ("faces.face_boxes",),
    "faces.detector": ("faces.face_search",),
    "faces.nets": ("faces.face_nets",),
    "faces.parameters": ("faces.crops", "faces.face_search"),
    "faces.store": ("faces.face_search",),
    "faces.weights": ("faces.face_weights",),
    "keeping.cache": ("networks.stage_outputs",),
    "keeping.parts": ("networks.stage_outputs",),
    "keeping.outputs": ("networks.stage_outputs",),
    "learning.augment": tuple(f"learning.{name}" for name in ("affine", "colour", "erased", "mixed")),
    "learning.calibration": ("learning.calibrated",),
    "learning.convex": ("learning.convex_heads", "learning.phases_in_order"),
    "learning.descent": ("learning.convex_heads",),
    "learning.engine": ("learning.phases_in_order", "learning.readout", "learning.answered", *GRADIENT),
    "learning.gradient": GRADIENT,
    "learning.material": ("learning.gradient_usual", "learning.gradient_stopped"),
    "learning.penalties": ("learning.searched",),
    "learning.prediction": ("learning.views_in_sequences",),
    "learning.rules": ("learning.gradient_changed_images",),
    "learning.search": ("learning.searched",),
    "learning.state": ("learning.gradient_changed_images",),
    "learning.training": GRADIENT,
    "learning.trials": ("learning.searched",),
    "networks.answers": ("networks.finished_classifier",),
    "networks.backbone": ("networks.whole_network", "networks.whole_network_bfloat16"),
    "networks.devices": ("learning.gradient_usual",),
    "networks.forward": ("networks.stage_outputs",),
    "networks.identity": ("networks.whole_network",),
    "networks.parameters": ("networks.whole_network",),
    "networks.passes": ("networks.stage_outputs",),
    "networks.source": ("networks.stage_outputs",),
    "networks.pictures": ("networks.pictures",),
    "networks.prefix": ("networks.stage_outputs",),
    "networks.resident": ("networks.pictures",),
    "networks.transforms": ("networks.transformed", "networks.pictures"),
    "tasks.cropping": ("faces.face_search",),
    "tasks.crops": ("tasks.missing_faces", "faces.crops"),
    "tasks.fractions": ("tasks.fractions",),
    "tasks.groups": ("tasks.groups",),
    "tasks.folds": ("tasks.folds",),
    "tasks.inner": ("learning.searched",),
    "tasks.pairs": ("tasks.pairs_of_folds",),
    "tasks.protocols": ("tasks.folds", "tasks.grouped_folds"),
    "tasks.scikit": ("tasks.folds", "tasks.grouped_folds"),
    "tasks.soft_labels": ("data.soft_labels",),
    "tasks.splitters": ("tasks.folds", "tasks.grouped_folds"),
    "tasks.task": ("tasks.tasks", "tasks.groups"),
    "tasks.view": ("data.views",),
    "tasks.windows": ("tasks.cut_windows",),
}

MOVES_NOTHING = {
    "networks.ahead": "reads in a thread, and hands on what it read in order (test_ahead.py)",
    "networks.early": "compiles in threads what would be compiled later (test_ahead.py)",
    "learning.lowered": "traces what the steps would trace later (test_ahead.py)",
    "data.faults": "collects messages",
    "data.files": "hands on the bytes of a file or refuses it",
    "data.listing": "lists what an adapter reads, for people to edit",
    "data.place": "says where data lie",
    "data.understood": "says what was understood of a data set",
    "data.records": "hands on the bytes of images, which are compared with their hashes",
    "executors.copies": "copies files, each compared with its hash (test_staging.py)",
    "executors.corrupted": "adds predictions beside cells, which stay (test_damage.py, test_models.py)",
    "executors.dask_cluster": "starts workers on a cluster",
    "executors.dask_task": "is a worker, and says why one is lost",
    "executors.estimate": "says how long a run takes",
    "executors.fit": "trains a model that is no cell (test_models.py)",
    "executors.freezing": "writes what is asked of a grid (test_frozen_plan.py)",
    "executors.kept": "writes what cells learned (test_models.py)",
    "executors.leases": "says which process does what",
    "executors.memory": "gives memory back",
    "executors.methods": "finds backbones and strategies, and refuses those that do not fit",
    "executors.notes": "says what a user should know",
    "executors.processes": "starts processes, each of which is a worker",
    "executors.probe": "measures how fast a backbone is, before a run",
    "executors.progress": "shows how a run goes",
    "executors.removal": "removes stored cells",
    "executors.recalled": "predicts with a kept model that answers as its cell did, to the bit (test_damage.py)",
    "executors.recorded": "names the settings of a stored cell (test_replay.py)",
    "executors.replay": "runs a cell as it was run, and compares (test_replay.py)",
    "executors.reporting": "is the interface of who is told how a run goes",
    "executors.resolution": "says which differences a grid can show",
    "executors.run": "hands settings to the grid, and the grid to the executor",
    "executors.slurm": "starts jobs, each of which is a worker",
    "executors.sharing": "says what a process takes at a time; heads of a block stay together (test_sharing.py)",
    "executors.speeds": "remembers what training took",
    "executors.staged_files": "says which files go to other machines, each compared with its hash (test_staging.py)",
    "executors.staging": "runs a worker on copies of the folders (test_staging.py)",
    "executors.stored": "says which stored cells count",
    "executors.trust": "asks what a cell may reach",
    "executors.work": "counts the cells that are left",
    "executors.worker": "makes the grid of its message, and compares its hash",
    "keeping.checkpoints": "gives back the bits that it was given, or nothing (test_checkpoints.py)",
    "keeping.programs": "keeps what XLA compiled",
    "keeping.licences": "chooses names of licences",
    "keeping.named_files": "finds files, whose content is part of a cell's identity (test_frozen_only.py)",
    "keeping.published": "renames numbers of files, whose digest is part of a cell's identity (test_published.py)",
    "keeping.torch_files": "hands on the numbers of a file, or refuses it (test_published.py)",
    "keeping.space": "makes room",
    "learning.identity": "says what a cell records of a strategy",
    "keeping.travel": "carries parts of the cache, each compared with its hash (test_cache_travel.py)",
    "keeping.weights": "hands on tensors whose digest is part of a cell's identity",
    "learning.plans": "checks a plan, and says beforehand what it will ask for; the engine asks by itself",
    "learning.suggestions": "hands on what Optuna suggests, an extra ('tox run -e extras' holds it)",
    "networks.streams": "serves corrupted images alone (test_models.py)",
    "networks.shapes": "says what parameters a backbone has, before any work; the engine looks at them itself",
    "networks.meter": "counts seconds and bytes",
    "tasks.splitting": "hands on the folds of a splitter or refuses them",
    "tasks.training_size": "refuses folds that are too small",
    "tasks.leaks": "counts what folds share, for a report",
}


def modules() -> set[str]:
    """Return the modules of `PACKAGES` by their names below ``fer_bench``, without packages, which hold a text only."""
    files = [file for package in PACKAGES for file in (CORE / package).rglob("*.py") if file.name != "__init__.py"]
    return {".".join(file.relative_to(CORE).with_suffix("").parts) for file in files}


def goldens() -> list[str]:
    """Return the names of all goldens."""
    return sorted({name for names in HELD.values() for name in names})
