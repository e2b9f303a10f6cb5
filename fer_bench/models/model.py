"""A trained model in memory: from images to probabilities, with the arithmetic of the cell that it was trained in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from pydantic import ValidationError
from scipy.special import softmax

from fer_bench import paths
from fer_bench.arrays import Array
from fer_bench.brackets import describe_fault
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.faces.parameters import Crop, Detection
from fer_bench.keeping.named_files import Places
from fer_bench.learning import calibration, prediction
from fer_bench.learning.plans import make_plan
from fer_bench.learning.rules import HEAD, matrix_shape
from fer_bench.learning.state import LOW_RANK, changed
from fer_bench.models import files
from fer_bench.models.files import ModelRecord
from fer_bench.networks import answers, devices, transforms
from fer_bench.networks.backbone import Backbone, build
from fer_bench.networks.forward import BATCH, Extraction, Forward, Output
from fer_bench.networks.identity import BACKBONE_SEED, identity
from fer_bench.networks.parameters import divide, run
from fer_bench.registry import Component, Registry
from fer_bench.results import canonical
from fer_bench.results.records import BackboneRecord
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneSpec, ReadoutPhase, StrategyParams, resolve
from fer_bench.specs.strategies import Aggregate, Views
from fer_bench.tasks import windows


def load_model(path: str | Path, files_in: Sequence[str | Path] = ()) -> TrainedModel:
    """Return the model in a file that ``fer-bench fit`` or ``fer-bench run --keep`` wrote.

    Args:
        path: of the file.
        files_in: folders that may hold files that the model's backbone names, such as a card or weights. They are
            looked for beside the model, in the working directory and where they lay when it was trained, too.

    Raises:
        FerBenchError: the file is no model; a plugin or file that it needs is missing, or has other content.
    """
    folders = (*map(Path, files_in), Path(path).parent)
    return TrainedModel(*files.read(Path(path)), Registry.load(), folders=folders)


class TrainedModel:
    """A trained model.

    Args:
        record: what it is.
        table: its numbers; see `fer_bench.learning.material.Learned`.
        registry: of the installed plugins.
        precision: of the products, ``float32`` or ``bfloat16``; empty is as in training.
        folders: that may hold the files that the backbone and the strategy name; see `fer_bench.keeping.named_files`.

    Attributes:
        record: as given.
        classes: names of the classes, in the order of the probabilities.
        backbone: with its own numbers.
        start: position of the first stage that predicts from what the stages before it give, rounded to half precision
            where that holds it.
        exact: whether nothing is rounded, since the backbone gives probabilities.
        table: the numbers of the backbone and the head, those of the model in their place; without a head nothing.
        estimator: that predicts from features; None where a head does, or a finished classifier that was calibrated.

    Raises:
        FerBenchError: a plugin or file that the model needs is missing, or has other content; the numbers do not fit.
    """

    def __init__(
        self,
        record: ModelRecord,
        table: dict[str, Array],
        registry: Registry,
        precision: str = "",
        folders: Sequence[Path] = (),
    ):
        self.record, self.classes = record, record.classes
        backbone, strategy = record.experiment.backbone, record.experiment.strategy
        places = Places(registry, folders, paths.cache_dir(), f"The model {record.title!r}")
        component = registry.backbone(places.locate("backbone", backbone.text, backbone.files))
        _check_same(component, backbone)
        self.backbone = build(component, precision or backbone.precision, BACKBONE_SEED)
        if record.stages != self.backbone.digests():
            raise FerBenchError(
                f"The model was trained on other weights of {str(component)!r} than those that are here; "
                "'fer-bench weights verify' tells whether these are intact."
            )
        self.exact = bool(component.spec.answers)
        self.start = len(self.backbone.stages) if record.start is None else record.start
        if self.start > len(self.backbone.stages):
            raise FerBenchError(f"The model begins at stage {self.start} of {len(self.backbone.stages)}.")
        self.table = lay_over(self.backbone, table, len(self.classes)) if HEAD[0] in table else {}
        self.estimator = None
        if "readout/labels" in table:
            (phase,) = make_plan(registry.strategy(places.locate("strategy", strategy.text, strategy.files))).phases
            assert isinstance(phase, ReadoutPhase), "what is kept of other phases is a head"
            self.estimator = resolve(phase.estimator)(**phase.options)
            self.estimator.fit(table["readout/features"].astype(np.float32), table["readout/labels"])
        if (fitted := record.calibration) and len(fitted.biases) not in (0, len(self.classes)):
            raise FerBenchError(
                f"The model has {number_of(len(fitted.biases), 'bias', 'biases')} for "
                f"{number_of(len(self.classes), 'class', 'classes')}."
            )
        self._answers = answers.known(component)
        if not (self.table or self.estimator or (self._answers and record.calibration)):
            raise FerBenchError("The model has neither a head nor an estimator: its file is not complete.")

    @property
    def crop(self) -> Crop | None:
        """How faces were cut out of the training images; None where these were taken whole."""
        faces = self.record.experiment.dataset.faces
        if faces is None:
            return None
        try:
            values = faces["detection"]
            first, second, third = map(float, values["thresholds"])
            detection = Detection(
                smallest=float(values["smallest"]),
                scale_step=float(values["scale_step"]),
                thresholds=(first, second, third),
            )
            margin, size = float(faces.get("margin", 0.0)), int(faces["size"])
            if faces["method"] not in ("align", "box") or not (16 <= size <= 1024 and 0 < detection.scale_step < 1):
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FerBenchError(f"The model does not say how faces were cut out: {faces!r}.") from None
        return Crop(method=faces["method"], size=size, margin=margin, detection=detection)

    @property
    def asked(self) -> StrategyParams:
        """What the cells of the model's method predict, by which its calibration was fitted."""
        params = self.record.experiment.strategy.params
        try:
            return StrategyParams(**{name: params[name] for name in StrategyParams.model_fields if name in params})
        except ValidationError as error:
            faults = bullet_list([describe_fault(fault) for fault in error.errors()])
            raise FerBenchError(f"The model does not say how it predicts:\n{faults}") from None

    def predict(
        self,
        images: Sequence[Array],
        views: Views | None = None,
        aggregate: Aggregate = "none",
        sequences: Sequence[str] = (),
    ) -> Array:
        """Return the probability of each class, (n, c) float32; rows sum to 1.

        Args:
            images: n of them, each (h, w, 1 or 3) uint8, prepared as the training images were: the face cut out as
                `crop` says. Sizes may differ.
            views: as in `StrategyParams`; None takes those of the method's cells.
            aggregate: likewise, but ``none`` if it is not given.
            sequences: n names, equal for the images of a sequence, empty for an image of none; needed to aggregate.

        Raises:
            ValueError: an image has another type or shape, or there are not as many sequences as images.
        """
        if aggregate != "none" and len(sequences) != len(images):
            raise ValueError(f"aggregate={aggregate} of {len(images)} images got the sequences of {len(sequences)}")
        return self.answer(self.look(images, views), aggregate, sequences)

    def answer(self, probabilities: Array, aggregate: Aggregate, sequences: Sequence[str]) -> Array:
        """Return the calibrated answers to what `look` gave; arguments as of `predict`."""
        if aggregate != "none":
            names, codes = np.unique(np.array([*sequences, ""]), return_inverse=True)
            codes = np.where(names[codes] == "", -1, codes)[:-1]
            probabilities = prediction.aggregate(probabilities, codes, aggregate)
        if (fitted := self.record.calibration) is None:
            return probabilities
        return calibration.scale(probabilities, fitted.temperature, fitted.biases).astype(np.float32)

    def look(self, images: Sequence[Array], views: Views | None = None) -> Array:
        """Return the mean probabilities of views of images, (n, c) float32, not calibrated; arguments as of `predict`.

        Raises:
            ValueError: an image has another type or shape.
        """
        for number, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
                raise ValueError(f"image {number} is {image.dtype} {image.shape}; expected uint8 (h, w, 1 or 3)")
        shape = self.record.shape
        match views or self.asked.views:
            case "image":
                return self._look(images, shape)
            case "mirror":
                return prediction.mean_of([self._look(images, shape, mirror=mirror) for mirror in (False, True)])
            case "crops":
                each = [[windows.cut(image, window) for image in images] for window in windows.WINDOWS]
                return prediction.mean_of([self._look(cut, shape and windows.shape_of(shape)) for cut in each])

    def _look(self, images: Sequence[Array], shape: tuple[int, int] | None, *, mirror: bool = False) -> Array:
        """Return the probabilities of images, mirrored or not; ``shape`` is that of training, if all had one."""
        probabilities = np.empty((len(images), len(self.classes)), np.float32)
        shapes = np.array([image.shape[:2] for image in images]).reshape(-1, 2)
        size = self.backbone.input_size
        usual = (shapes == (shape or (0, 0))).all(1) & (shapes.max(1, initial=0) <= 2 * size)
        # As in training: images of one shape are resized on the device, others on the host.
        for side, rows in ((None, np.flatnonzero(usual)), (size, np.flatnonzero(~usual))):
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                probabilities[batch] = self._predict([images[row] for row in batch], side, mirror=mirror)
        return probabilities

    @cached_property
    def _forward(self) -> Forward | Extraction:
        outputs = [Output(self.start, 1, np.dtype(np.float32), not self.exact)]
        return (Forward if self.backbone.extractor is None else Extraction)(self.backbone, outputs)

    @cached_property
    def _logits(self) -> Any:
        backbone, start = self.backbone, self.start

        def logits(table: dict[str, jax.Array], x: jax.Array) -> jax.Array:
            x = backbone.prefix({}, x, 0) if start == 0 else backbone.entering(x, start)
            features, _ = run(backbone, table, x, start, None)
            kernel, bias = (table[name] for name in HEAD)
            return features @ kernel + bias

        return jax.jit(logits, compiler_options=devices.compiler_options())

    def _predict(self, images: list[Array], side: int | None, *, mirror: bool) -> Array:
        """Return the probabilities of up to `BATCH` images."""
        n, channels = len(images), self.record.channels
        images = [transforms.to_grey(image) for image in images] if channels == 1 else images
        if self.backbone.extractor is not None:
            images = [np.ascontiguousarray(image[:, ::-1]) for image in images] if mirror else images
            batch: Any = [transforms.to_colour(image) for image in images]
        else:
            batch = transforms.to_batch(images, side, channels)
            batch = batch[:, :, ::-1] if mirror else batch
            batch = transforms.fill_up(batch, BATCH)
        x: Array = batch
        if self.start:
            ((values, finite, _),) = self._forward(batch)
            x = values[:, 0]
            if not finite[:n].all():
                raise FerBenchError(f"Backbone {self.backbone.name!r} gives numbers that are not finite.")
        if not self.table and self.estimator is None:
            return answers.take(x[:n], self._answers, self.classes)
        if self.estimator is not None:
            probabilities = np.zeros((n, len(self.classes)), np.float32)
            probabilities[:, np.asarray(self.estimator.classes_)] = self.estimator.predict_proba(x[:n])
            return probabilities
        logits = np.asarray(self._logits(self.table, x))[:n].astype(np.float64)
        return softmax(logits, axis=1).astype(np.float32)


def _check_same(component: Component[BackboneSpec], stored: BackboneRecord) -> None:
    """Raise FerBenchError unless the installed backbone is the one that a model was trained on."""
    current = canonical.to_json(
        canonical.from_json(BackboneRecord, {"text": stored.text, **identity(component, stored.precision)})
    )
    original = canonical.to_json(stored)
    ignored = ("text", "version", "jax")
    names = [name for name in sorted({*current, *original} - set(ignored)) if current.get(name) != original.get(name)]
    if names:
        faults = [f"{name}: {original.get(name)!r} in the model, {current.get(name)!r} here" for name in names]
        raise FerBenchError(
            f"The model was trained with another {stored.text!r} ({stored.package} {stored.version}; here is "
            f"{component.plugin.version}):\n{bullet_list(faults)}\nInstall the package that it was trained with, or "
            "train it again with 'fer-bench fit'."
        )


def lay_over(backbone: Backbone, table: dict[str, Array], classes: int) -> dict[str, jax.Array]:
    """Return the numbers of a backbone and a head, those of a model in their place.

    Raises:
        FerBenchError: some are unknown or have another shape; all of them are named.
    """
    parameters, others = divide(backbone)
    before = {**parameters, **others}
    table, faults = _multiply_out(before, table)
    faults += [
        f"{name} is {values.shape}; expected {before[name].shape}" if name in before else f"{name} is unknown"
        for name, values in table.items()
        if name not in HEAD and (name not in before or before[name].shape != values.shape)
    ]
    kernel, bias = (table.get(name, np.zeros(0)) for name in HEAD)
    if kernel.shape != (backbone.feature_size, classes) or bias.shape != (classes,):
        expected = f"({backbone.feature_size}, {classes}) and ({classes},)"
        faults.append(f"the head is {kernel.shape} and {bias.shape}; expected {expected}")
    if faults:
        raise FerBenchError(f"The model does not fit backbone {backbone.name!r}:\n{bullet_list(faults, 10)}")
    return {**before, **{name: jax.numpy.asarray(values) for name, values in table.items()}}


def _multiply_out(before: dict[str, jax.Array], table: dict[str, Array]) -> tuple[dict[str, Array], list[str]]:
    """Return a table with matrices in the place of the factors of their changes, and what does not fit."""
    left, right = LOW_RANK
    merged, faults = dict(table), list[str]()
    for name in [end.removesuffix(left) for end in table if end.endswith(left) and end not in before]:
        first, second, matrix = merged.pop(f"{name}{left}"), merged.pop(f"{name}{right}", np.zeros(0)), before.get(name)
        shape = None if matrix is None else matrix_shape(matrix.shape)
        if shape is None or first.shape != (shape[0], *second.shape[:1]) or second.shape[1:] != shape[1:]:
            expected = "which is no matrix here" if shape is None else f"expected (m, r) and (r, n) for {shape}"
            faults.append(f"the factors of {name} are {first.shape} and {second.shape}; {expected}")
        else:
            assert matrix is not None
            merged[name] = np.asarray(changed(matrix, jax.numpy.asarray(first), jax.numpy.asarray(second)))
    return merged, faults
