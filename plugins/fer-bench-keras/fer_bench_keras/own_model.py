"""A Keras model of the user's own, in a file, which sees images and answers as its card says."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from fer_bench_predictors import arithmetic
from fer_bench_predictors.card import Card
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError, MissingError
from fer_bench.registry import file_sha256
from fer_bench.specs import NetworkInput
from fer_bench_keras.keras_model import import_keras, settings

if TYPE_CHECKING:
    from fer_bench_keras import KerasModelParams

Numbers = NDArray[np.float32]


class KerasModel:
    """A model and its card, as a `fer_bench.specs.AdjustableExtractor`; it computes in float32.

    Args:
        card: what the model takes and answers.
        model: of Keras, with one input of images.

    Raises:
        FerBenchError: the model does not take or answer what the card says.
    """

    batch = 32

    def __init__(self, card: Card, model: Any) -> None:
        self.card, self.digest, self._model = card, card.sha256, model
        self.parameter_count = card.parameters or int(model.count_params())
        sides = model.input_shape[2:] if card.layout == "nchw" else model.input_shape[1:3]
        self.network_input = card.network_input(any_side=all(side is None for side in sides))
        self._state = [
            [value.value for value in part] for part in (model.trainable_variables, model.non_trainable_variables)
        ]
        self._run = jax.jit(lambda state, x: model.stateless_call(*state, x, training=False)[0])
        self.feature_size = self([np.zeros((card.input_size, card.input_size, 3), np.uint8)]).shape[1]

    def with_input(self, network_input: NetworkInput) -> KerasModel:
        """Return the model with another input; see `fer_bench.specs.AdjustableExtractor`."""
        return KerasModel(self.card.with_input(network_input), self._model)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> Numbers:
        """Return the features of images, each (h, w, 3) uint8, RGB, or the probabilities of `EXPRESSIONS`, (n, 8).

        Raises:
            FerBenchError: the model does not take or answer what its card says.
        """
        card, n = self.card, len(images)
        ready = arithmetic.prepare(np.stack([arithmetic.resize(image, card.input_size) for image in images]), card)
        filled = np.concatenate([ready, np.repeat(ready[-1:], self.batch - n, axis=0)])
        try:
            answer = self._run(self._state, jnp.asarray(filled))
        except Exception as error:  # layers of Keras raise errors of every class
            raise FerBenchError(
                f"{card.model} does not take images {ready.shape[1:]}, as its card has it; it takes "
                f"{self._model.input_shape[1:]}: {' '.join(str(error).split())[:300]}"
            ) from error
        if not isinstance(answer, jax.Array) or answer.ndim not in (2, 4) or len(answer) != self.batch:
            raise FerBenchError(f"{card.model} does not answer one row of numbers for each image.")
        made = np.asarray(answer[:n], np.float32)
        if card.output != "features":
            return arithmetic.to_expressions(made, card)
        return made.mean((2, 3) if card.layout == "nchw" else (1, 2)) if made.ndim == 4 else made


def build(params: KerasModelParams, *, rngs: object, compute_dtype: object = None) -> KerasModel:
    """Return the model that the card describes.

    Raises:
        FerBenchError: as `check`, or as `KerasModel`.
    """
    del rngs, compute_dtype
    card = Card.of(params.card)
    return KerasModel(card, load(_file_of(card, params.card)))


def check(params: KerasModelParams) -> Mapping[str, Path]:
    """Return no files, since the card's own hash stands for that of the model, once it was tried on an image.

    Raises:
        FerBenchError: the file is missing, not that of the card or no model, or the card does not fit it.
    """
    build(params, rngs=None)
    return {}


def _file_of(card: Card, named: str) -> Path:
    file = Path(named).parent / card.model
    if not file.is_file():
        raise MissingError(f"There is no file {str(file)!r}, which the card {named!r} names as 'model'.")
    if (digest := file_sha256(file)) != card.sha256:
        raise FerBenchError(
            f"{str(file)!r} has sha256 {digest}; the card {named!r} is about a file with {card.sha256}. "
            "Take the right file, or write the new hash into the card once you have checked that all else in it holds."
        )
    return file


def load(file: Path) -> Any:
    """Return the model in a file, without running code of others.

    Raises:
        FerBenchError: the file is no whole model, or names code that is not Keras's own.
    """
    keras = import_keras()
    try:
        config = _config_of(file)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FerBenchError(
            f"{str(file)!r} is no whole Keras model: {error}. Expected what model.save('model.keras') writes; a file "
            "of weights does not say which layers they belong to."
        ) from None
    if foreign := sorted(set(_foreign(config))):
        raise FerBenchError(
            f"{str(file)!r} names code that is not Keras's own: {', '.join(foreign)}. It would be executed, so the "
            "file is not loaded. Export the model to ONNX where that code is at home, and take onnx[card=...]."
        )
    with settings(keras, jnp.dtype("float32")):
        try:
            return keras.saving.load_model(file, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises errors of every class
            raise FerBenchError(
                f"Keras {keras.__version__} cannot read {str(file)!r}: {' '.join(str(error).split())[:300]}"
            ) from error


def _config_of(file: Path) -> Any:
    """Return what a file says of its layers."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(file, "r") as stored:
        if (config := stored.attrs.get("model_config")) is None:
            raise ValueError("it has no 'model_config'")
        return json.loads(config if isinstance(config, str) else bytes(config))


def _foreign(config: Any) -> Iterator[str]:
    """Yield the names of what would be loaded from elsewhere than Keras, or is code itself."""
    if isinstance(config, Mapping):
        name, module = str(config.get("class_name", "")), str(config.get("module") or "keras")
        if name in ("Lambda", "__lambda__", "function") or module.partition(".")[0] not in ("keras", "builtins"):
            yield name if module == "keras" else f"{module}.{name}"
        for part in config.values():
            yield from _foreign(part)
    elif isinstance(config, list):
        for part in config:
            yield from _foreign(part)
