"""Changes of the core's behaviour, each in the text of one module, and how a module with such a text is loaded."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any

from goldens.table import CORE


@dataclass(frozen=True)
class Mutation:
    """A change of behaviour.

    Attributes:
        module: below ``fer_bench``.
        old: a text that stands in its source once.
        new: what stands there instead.
        golden: that must fail.
    """

    module: str
    old: str
    new: str
    golden: str

    def __str__(self) -> str:
        return f"{self.module}: {' '.join(self.old.split())[:40]} -> {' '.join(self.new.split())[:40]}"


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of which a text is replaced; past Python's compiled files."""

    def __init__(self, name: str, mutation: Mutation):
        super().__init__(name, str(CORE.joinpath(*mutation.module.split(".")).with_suffix(".py")))
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        count = source.count(self._mutation.old)
        assert count == 1, (
            f"{self._mutation.old!r} stands {count} times in {self.path}; adapt tests/goldens/mutations.py"
        )
        return compile(source.replace(self._mutation.old, self._mutation.new), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutation: Mutation):
        self._mutation, self.loaded = mutation, False

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != f"fer_bench.{self._mutation.module}":
            return None
        self.loaded = True
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, self._mutation))


def _ours() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in ("fer_bench", "goldens")]


@contextmanager
def mutated(mutation: Mutation) -> Iterator[Any]:
    """Give `goldens.record` of a core in which one module is changed; afterwards all modules are as they were."""
    kept = {name: sys.modules.pop(name) for name in _ours()}
    finder = _Finder(mutation)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("goldens.record")
        assert finder.loaded, f"{mutation.golden} does not import {mutation.module}"
    finally:
        sys.meta_path.remove(finder)
        for name in _ours():
            del sys.modules[name]
        sys.modules.update(kept)


def _of(module: str, golden: str, *changes: tuple[str, str]) -> list[Mutation]:
    return [Mutation(module, old, new, golden) for old, new in changes]


MUTATIONS: list[Mutation] = [
    *_of(
        "labels",
        "data.label_maps",
        ('"fear": ("fearful", "fe", "af", "afraid")', '"fear": ("fearful", "af", "afraid")'),
        ("return (declared[label] or None) if label in declared", "return canonical(label) if label in declared"),
    ),
    *_of("labels", "data.views", ('"basic-6": BASIC_7[1:]', '"basic-6": BASIC_7[:0:-1]')),
    *_of("data.builder", "data.prepared", ("return self.spec.labels\n", "return self.spec.labels[::-1]\n")),
    *_of("data.checks", "data.prepared", ("weight / total for", "weight / (total + 1) for")),
    *_of(
        "data.images",
        "data.decoding",
        (">> 8)", ">> 4)"),
        ("(0, 255) if grey else (0, 0, 0, 255)", "(255, 255) if grey else (255, 255, 255, 255)"),
        ('return image.convert("RGB")', 'return Image.merge("RGB", image.convert("RGB").split()[::-1])'),
        ("reshape(height, -1)\n", "reshape(height, -1)[::-1]\n"),
    ),
    *_of("data.images", "data.orientation", ("8: Image.Transpose.ROTATE_90", "8: Image.Transpose.ROTATE_270")),
    *_of("data.index", "data.prepared", ("= np.stack(self._soft)\n", "= np.stack(self._soft[::-1])\n")),
    *_of(
        "data.prepare",
        "data.prepared",
        ('"labels": list(builder.label_names),\n', '"labels": sorted(builder.label_names)[::-1],\n'),
    ),
    *_of(
        "data.prepared",
        "data.prepared",
        ("images += pool.map(decode, encoded)", "images += pool.map(decode, encoded[::-1])"),
    ),
    *_of("data.names", "data.prepared", ('normalize("NFC", text)', 'normalize("NFD", text)')),
    *_of(
        "data.texts",
        "tasks.groups",
        ("array_sort_indices(encoded.dictionary)", 'array_sort_indices(encoded.dictionary, order="descending")'),
    ),
    *_of(
        "faces.align",
        "faces.crops",
        ("[0.50, 0.82]", "[0.50, 0.80]"),
        ("+ matrix[0, 2] - 0.5\n    y", "+ matrix[0, 2]\n    y"),
        ("side = min(height, width)", "side = max(height, width)"),
        ("(1 + 2 * crop.margin)", "(1 + crop.margin)"),
        ("if scale > 1:", "if scale > 1000:"),
    ),
    *_of(
        "faces.boxes",
        "faces.face_boxes",
        ("union = areas[best] + areas[rest] - both", "union = np.minimum(areas[best], areas[rest])"),
        ("- 2 * (off**2)", "- (off**2)"),
        ("boxes[:, :2]).max(axis=1, keepdims=True) / 2", "boxes[:, :2]).min(axis=1, keepdims=True) / 2"),
    ),
    *_of(
        "faces.detector",
        "faces.face_search",
        ("PICTURE = 192", "PICTURE = 188"),
        ("- 127.5) / 128", "- 127.5) / 127.5"),
        ("reshape(-1, 2, 5).transpose(0, 2, 1)", "reshape(-1, 5, 2)"),
    ),
    *_of(
        "faces.nets",
        "faces.face_nets",
        ("x.transpose(0, 2, 1, 3).reshape", "x.reshape"),
        ("jnp.minimum(x, 0)", "jnp.minimum(x, 0) * 0"),
        ("jax.nn.softmax(logits)[..., 1]", "jax.nn.softmax(logits)[..., 0]"),
    ),
    *_of("faces.parameters", "faces.crops", ("margin: float = 0.1", "margin: float = 0.2")),
    *_of("faces.parameters", "faces.face_search", ("scale_step: float = 0.709", "scale_step: float = 0.8")),
    *_of(
        "faces.store",
        "faces.face_search",
        (
            "boxes[i], landmarks[i] = face.box, face.landmarks",
            "boxes[i], landmarks[i] = face.box, face.landmarks[::-1]",
        ),
    ),
    *_of("faces.weights", "faces.face_weights", ("in sorted(arrays)", "in sorted(arrays, reverse=True)")),
    *_of("keeping.cache", "networks.stage_outputs", ("at[there] - starts[which]]", "(at[there] - starts[which]) ^ 1]")),
    *_of("keeping.outputs", "networks.stage_outputs", ("[row, kind]", "[row, 0]")),
    *_of("keeping.parts", "networks.stage_outputs", ("np.ascontiguousarray(rows)", "np.ascontiguousarray(rows[::-1])")),
    *_of(
        "executors.cells",
        "executors.whole_run",
        ("as_errors(outcome.probabilities, labels[tested], task.found[tested])", "outcome.probabilities"),
        ("= probabilities[:, index]", "= probabilities[:, index - 1]"),
        ("[job.cell.seed for job in jobs])", "[0 for _ in jobs])"),
    ),
    *_of(
        "executors.grid",
        "executors.whole_run",
        ("protocols.split(protocol, task, config, seed)", "protocols.split(protocol, task, config, seed + 1)"),
        ("share: _cut(splits, task, share, config.cache_folder)", "share: _cut(splits, task, 0, config.cache_folder)"),
    ),
    *_of("executors.local", "executors.whole_run", ("calls[id(job)](", "calls[id(unit.block.jobs[0])](")),
    *_of(
        "learning.augment",
        "learning.affine",
        ("DEGREES, ZOOM, SHIFT = 15.0", "DEGREES, ZOOM, SHIFT = 14.0"),
        ("x1 = jnp.minimum(y0 + 1, h - 1), jnp.minimum(x0 + 1, w - 1)", "x1 = y0, x0"),
    ),
    *_of("learning.augment", "learning.colour", ("_LUMA = (0.299, 0.587, 0.114)", "_LUMA = (0.114, 0.587, 0.299)")),
    *_of("learning.augment", "learning.erased", ("ERASED, AREA, ASPECT = 0.25", "ERASED, AREA, ASPECT = 0.5")),
    *_of(
        "learning.augment",
        "learning.mixed",
        ("share * first + (1 - share) * second", "(1 - share) * first + share * second"),
    ),
    *_of(
        "learning.calibration",
        "learning.calibrated",
        ("HOTTEST = 0.05, 20.0", "HOTTEST = 0.05, 25.0"),
        ("rest = np.exp(logits - sums) - hit", "rest = np.exp(logits - sums) - 0.9 * hit"),
        ("_log(probabilities) / temperature +", "_log(probabilities) * temperature +"),
        ("np.asarray(biases or 0.0)) * temperature", "np.asarray(biases or 0.0)) / temperature"),
    ),
    *_of(
        "learning.convex",
        "learning.convex_heads",
        ("1 / (2 * phase.c * count)", "1 / (phase.c * count)"),
        ("gradient.weights + 2 * problem.penalty", "gradient.weights - 2 * problem.penalty"),
        ("square - mean**2", "square"),
    ),
    *_of(
        "learning.convex",
        "learning.phases_in_order",
        ("self.bias[head] - self.centre @ kernel", "self.bias[head] + self.centre @ kernel"),
    ),
    *_of(
        "learning.engine",
        "learning.phases_in_order",
        ("None if plan.pretrained else seeds[i]", "None"),
        ("seed * len(trainers) + number", "seed * len(trainers)"),
    ),
    *_of(
        "learning.engine",
        "learning.readout",
        ("np.flatnonzero(fold.train)\n    start", "np.flatnonzero(~fold.test)\n    start"),
    ),
    *_of(
        "learning.engine",
        "learning.answered",
        ("material.answers, material.class_names)", "material.answers, material.class_names[::-1])"),
    ),
    *_of(
        "learning.engine",
        "learning.gradient_usual",
        ("dtype=np.float32)[self.labels]", "dtype=np.float32)[self.labels - 1]"),
    ),
    *_of("learning.engine", "learning.gradient_stopped", ("return soft\n", "return soft[::-1]\n")),
    *_of(
        "learning.gradient",
        "learning.gradient_usual",
        ("-own * update, update)", "own * update, update)"),
        ("optax.scale_by_adam()", "optax.scale_by_adam(b1=0.8)"),
        ("rate * self.rules[name].rate", "rate"),
    ),
    *_of(
        "learning.gradient",
        "learning.gradient_sgd",
        ("optax.trace(decay=0.9)", "optax.trace(decay=0.8)"),
        ("leaf.ndim > 1", "leaf.ndim > 9"),
        ("clip_by_global_norm(phase.clip)", "clip_by_global_norm(2 * phase.clip)"),
        ("smooth_labels(target, phase.label_smoothing)", "smooth_labels(target, 0)"),
        ("features / keep, 0)", "features, 0)"),
        (".var(0)\n        return", ".var(0) * 0\n        return"),
    ),
    *_of(
        "learning.gradient",
        "learning.gradient_changed_images",
        ("split(jax.random.fold_in(key, 1))", "split(jax.random.fold_in(key, 2))"),
    ),
    *_of("learning.gradient", "learning.gradient_changed_images", ("/ math.sqrt(shape[0])", "/ shape[0]")),
    *_of(
        "learning.prediction",
        "learning.views_in_sequences",
        ("return self.inputs.take(rows, 1 - np", "return self.inputs.take(rows, np"),
        ("np.flatnonzero(fold.valid)", "np.flatnonzero(fold.test)"),
        (".mean(0, dtype=np.float64)", ".max(0)"),
        ("np.exp(means - means.max(1, keepdims=True))", "means - means.min(1, keepdims=True)"),
        ("spread[sequences < 0] = probabilities[sequences < 0]", "pass"),
    ),
    *_of("learning.rules", "learning.gradient_changed_images", ("min(shape[-2:]) < 2", "min(shape[-2:]) < 5")),
    *_of(
        "learning.training",
        "learning.gradient_usual",
        ("math.cos(math.pi * (step - warm)", "math.cos(math.pi * (step - warm + 1)"),
        ("(step + 1) / warm", "step / warm"),
        ("default_rng((self._seed, now.epoch))", "default_rng((self._seed, now.epoch + 1))"),
    ),
    *_of(
        "learning.training",
        "learning.gradient_sgd",
        ('phase.balance == "weights"', 'phase.balance == "nothing"'),
        ("rng.integers(0, 2, len(taken))", "rng.integers(0, 1, len(taken))"),
        ("return np.float32(phase.learning_rate)\n", "return np.float32(phase.learning_rate / 2)\n"),
    ),
    *_of(
        "learning.training",
        "learning.gradient_stopped",
        ("now.waited >= phase.patience", "now.waited > phase.patience"),
        ("self._targets[self._rows] @ (1 / np", "self._targets[self._rows] @ (np"),
        ("now.best if now.best and len(self._valid)", "now.best if now.best and len(self._valid) < 0"),
        ("if loss < now.best_loss", "if loss < now.best_loss + 9"),
    ),
    *_of(
        "networks.answers",
        "networks.finished_classifier",
        ("kept[kept.sum(1) == 0] = able", "kept[kept.sum(1) == 0] = 1"),
    ),
    *_of("networks.identity", "networks.whole_network", ("BACKBONE_SEED = 0", "BACKBONE_SEED = 1")),
    *_of(
        "networks.backbone",
        "networks.whole_network",
        ("jnp.mean(x, axis=(1, 2))", "jnp.max(x, axis=(1, 2))"),
    ),
    *_of("networks.backbone", "networks.whole_network_bfloat16", ("jnp.dtype(precision)", "jnp.dtype('float32')")),
    *_of(
        "networks.devices",
        "learning.gradient_usual",
        ("is None:\n            return batch", "is None:\n            return batch[::-1]"),
    ),
    *_of("networks.forward", "networks.stage_outputs", ("images[:, :, ::-1]", "images[:, ::-1]")),
    *_of(
        "networks.parameters",
        "networks.whole_network",
        ("number >= train_norm", "number >= train_norm - 1"),
        ('{"momentum": 0.0}', '{"momentum": 0.5}'),
    ),
    *_of(
        "networks.pictures",
        "networks.pictures",
        ("batch[mirrored, :, ::-1]", "batch[mirrored, ::-1]"),
        ("max(shape) <= 2 * input_size", "max(shape) <= 0"),
    ),
    *_of(
        "networks.passes",
        "networks.stage_outputs",
        ("images = hashes[target.wanted]", "images = hashes[target.wanted][::-1]"),
    ),
    *_of(
        "networks.source",
        "networks.stage_outputs",
        ('self.identity["precision"], seed)', 'self.identity["precision"], 0)'),
    ),
    *_of("networks.prefix", "networks.stage_outputs", ("np.repeat(firsts[:-1]", "0 * np.repeat(firsts[:-1]")),
    *_of(
        "networks.transforms",
        "networks.transformed",
        ("low + x * ((high - low) / 255.0)", "high - x * ((high - low) / 255.0)"),
        ("antialias=True", "antialias=False"),
        ("Image.Resampling.BILINEAR", "Image.Resampling.BICUBIC"),
        ("[[0.299], [0.587], [0.114]]", "[[0.3], [0.4], [0.3]]"),
        ("method=spec.resize", 'method="linear"'),
    ),
    *_of(
        "tasks.crops",
        "tasks.missing_faces",
        ("others / np.where(total > 0, total, 1)", "others[:, ::-1] / np.where(total > 0, total, 1)"),
        ("np.where(found[:, None], probabilities, wrong)", "np.where(found[:, None], wrong, probabilities)"),
    ),
    *_of("tasks.cropping", "faces.face_search", ("keep = detections.found", "keep = ~detections.found")),
    *_of("tasks.crops", "faces.crops", ("if not self.found[position]", "if self.found[position]")),
    *_of("tasks.fractions", "tasks.fractions", ("np.argsort(rank[members])", "np.argsort(-rank[members])")),
    *_of("tasks.fractions", "tasks.fractions", ("np.cumsum(sizes[drawn])", "np.cumsum(sizes[drawn] + 1)")),
    *_of("tasks.groups", "tasks.groups", ("np.flatnonzero(column >= 0)", "np.flatnonzero(column > 1)")),
    *_of(
        "tasks.splitters",
        "tasks.folds",
        (
            '"StratifiedKFold", {"n_splits": folds, "shuffle": True, "random_state": seed}',
            '"StratifiedKFold", {"n_splits": folds, "shuffle": True, "random_state": seed + 1}',
        ),
        ('"n_repeats": params.repeats, "random_state": seed', '"n_repeats": params.repeats, "random_state": seed + 1'),
        ('("privatetest", "test"', '("privatetest", "valid", "test"'),
    ),
    *_of(
        "tasks.splitters",
        "tasks.grouped_folds",
        (
            '"StratifiedGroupKFold", {"n_splits": folds, "shuffle": True, "random_state": seed}',
            '"StratifiedGroupKFold", {"n_splits": folds}',
        ),
        ('"LeaveOneGroupOut", {}', '"StratifiedGroupKFold", {"n_splits": 2}'),
    ),
    *_of("tasks.scikit", "tasks.folds", ("np.flatnonzero(train), test", "np.flatnonzero(train)[1:], test")),
    *_of("tasks.scikit", "tasks.grouped_folds", ("split(X, y, groups)]", "split(X, y, groups)][::-1]")),
    *_of(
        "tasks.protocols",
        "tasks.folds",
        ("drop_own=leak_free", "drop_own=False"),
    ),
    *_of("tasks.protocols", "tasks.grouped_folds", ('spec.groups != "ignored")', "False)")),
    *_of(
        "tasks.folds",
        "tasks.folds",
        ("max(2, round(1 / fraction))", "max(2, round(1 / fraction) + 1)"),
        ("train=fold.train & ~useless", "train=fold.train & useless"),
    ),
    *_of("tasks.soft_labels", "data.soft_labels", ("mapped[empty, labels[empty]] = 1", "mapped[empty] = 1")),
    *_of(
        "tasks.task",
        "tasks.tasks",
        (
            "np.concatenate([view.labels for view in self.parts])",
            "np.concatenate([view.labels[::-1] for view in self.parts])",
        ),
    ),
    *_of(
        "tasks.task",
        "tasks.groups",
        ('keys = [self._keys("subject"), self._keys("sequence")]', 'keys = [self._keys("subject")]'),
    ),
    *_of("tasks.windows", "tasks.cut_windows", ('"top right": (0, 2)', '"top right": (2, 0)')),
    *_of(
        "tasks.view",
        "data.views",
        ("[: limit // len(classes)]", "[-(limit // len(classes)) :]"),
        ("self.prepared.images(self.rows[positions])", "self.prepared.images(positions)"),
    ),
]
"""At least one a module and golden of the table."""
