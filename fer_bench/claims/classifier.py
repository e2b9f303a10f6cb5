"""The model that a claim is about: a finished classifier of a plugin or a kept model, asked in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.faces.parameters import Crop
from fer_bench.labels import EXPRESSIONS
from fer_bench.models.files import ModelRecord
from fer_bench.models.model import TrainedModel, load_model
from fer_bench.networks import answers, transforms
from fer_bench.networks.backbone import build
from fer_bench.networks.forward import BATCH
from fer_bench.networks.identity import BACKBONE_SEED, resolve_precision
from fer_bench.registry import Component, Registry
from fer_bench.specs import AdjustableExtractor, BackboneSpec, Extractor, NetworkInput


class Classifier(ABC):
    """A model that is asked with its own settings, or with others where it takes them.

    Attributes:
        text: its name, as the user knows it.
        outputs: names of its outputs, k of them, in order.
        side: of its input, pixels.
        own: what its network takes; None where nobody can change that.
        crop: how faces were cut out of its training images; None where these were whole, or it does not say.
        record: of a kept model; None for others.
    """

    def __init__(
        self,
        text: str,
        outputs: tuple[str, ...],
        side: int,
        *,
        own: NetworkInput | None = None,
        crop: Crop | None = None,
        record: ModelRecord | None = None,
    ):
        self.text, self.outputs, self.side = text, outputs, side
        self.own, self.crop, self.record = own, crop, record

    @abstractmethod
    def predict(self, images: Sequence[Array], network_input: NetworkInput | None = None) -> Array:
        """Return (n, k) float32 probabilities of images, each (h, w, 1 or 3) uint8.

        Args:
            images: n of them.
            network_input: what its network takes, where that is not its ``own``.

        Raises:
            FerBenchError: the model does not take such an input.
        """


def load_classifier(text: str, registry: Registry, files_in: Sequence[Path] = ()) -> Classifier:
    """Return the model that a claim names; ``files_in`` as of `fer_bench.models.model.load_model`.

    Raises:
        FerBenchError: there is no such file or backbone, or the backbone is no finished classifier.
    """
    if text.endswith(".safetensors"):
        return KeptClassifier(text, load_model(Path(text), files_in))
    component = registry.backbone(text)
    if not (outputs := answers.known(component)):
        raise FerBenchError(
            f"{str(component)!r} is no finished classifier, so it has no score of its own. Name one that is, such as "
            "onnx[card=model.yaml], or a file that 'fer-bench fit' or 'run --keep' wrote."
        )
    return FinishedClassifier(component, outputs)


class KeptClassifier(Classifier):
    """A model that ``fer-bench fit`` or ``run --keep`` wrote: what it does to an image is fixed."""

    def __init__(self, text: str, model: TrainedModel):
        super().__init__(
            Path(text).name, model.classes, model.backbone.input_size, crop=model.crop, record=model.record
        )
        self._model = model

    def predict(self, images: Sequence[Array], network_input: NetworkInput | None = None) -> Array:
        """Return probabilities; see `Classifier`."""
        assert network_input is None, "a kept model takes its own input"
        return self._model.predict(images)


class FinishedClassifier(Classifier):
    """A finished classifier of a plugin."""

    def __init__(self, component: Component[BackboneSpec], outputs: tuple[str, ...]):
        self._backbone = backbone = build(component, resolve_precision("auto"), BACKBONE_SEED)
        extractor = backbone.extractor
        own = extractor.network_input if isinstance(extractor, AdjustableExtractor) else None
        super().__init__(str(component), outputs, backbone.input_size, own=own)
        self._columns = [EXPRESSIONS.index(name) for name in outputs]
        self._made: dict[NetworkInput, Extractor] = {}
        self._stages: Any = jax.jit(lambda state, images: backbone.prefix(state, images, len(backbone.stages)))

    def predict(self, images: Sequence[Array], network_input: NetworkInput | None = None) -> Array:
        """Return probabilities; see `Classifier`."""
        extractor = self._backbone.extractor
        if extractor is None:
            return self._through_stages(images)
        if network_input is not None:
            assert isinstance(extractor, AdjustableExtractor), "others have no input of their own"
            if network_input not in self._made:
                self._made[network_input] = extractor.with_input(network_input)
            extractor = self._made[network_input]
        colour = [transforms.to_colour(image) for image in images]
        starts = range(0, len(images), extractor.batch)
        return np.concatenate([extractor(colour[at : at + extractor.batch])[:, self._columns] for at in starts])

    def _through_stages(self, images: Sequence[Array]) -> Array:
        """Return what stages within JAX answer; as in a run, they get images of one shape in theirs."""
        shapes = {image.shape[:2] for image in images}
        side = transforms.host_side(shapes.pop() if len(shapes) == 1 else None, self.side)
        channels = max(image.shape[2] for image in images)
        parts: list[Array] = []
        for start in range(0, len(images), BATCH):
            batch = transforms.to_batch(list(images[start : start + BATCH]), side, channels)
            filled = transforms.fill_up(batch, BATCH)
            parts.append(np.asarray(self._stages(self._backbone.state, filled))[: len(batch), self._columns])
        return np.concatenate(parts)
