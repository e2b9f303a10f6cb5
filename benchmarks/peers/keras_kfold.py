"""K-fold transfer learning as a Keras user writes it: ``keras.applications.Xception`` and ``fit``, in every fold.

BatchNorm normalises by its ImageNet statistics throughout, as Keras's own guide to transfer learning has it; where a
block trains, its scales and shifts do.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from safetensors.numpy import load_file
from work import CLIP, HEAD_RATE, TAIL_RATE, Work, read_work

SHORTCUTS = {128: "block2", 256: "block3", 728: "block4", 1024: "block13"}
"""Keras numbers the layers of the four shortcuts anew in every process; their widths tell them apart."""


def build(work: Work) -> tuple[keras.Model, keras.Model]:
    """Return (classifier, its backbone), the backbone frozen."""
    size = work.options.size
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(size, size, 3))
    load(base, work.options.weights)
    base.trainable = False
    inputs = keras.Input(work.images.shape[1:], dtype="uint8")
    x = keras.layers.Concatenate()([inputs] * 3) if work.images.shape[3] == 1 else inputs
    x = keras.layers.Resizing(size, size, interpolation="bilinear", antialias=True)(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    return keras.Model(inputs, keras.layers.Dense(work.classes, activation="softmax")(x)), base


def load(base: keras.Model, path: Path) -> None:
    """Set every layer from the weights of fer-bench-xception."""
    tensors = load_file(path)
    for layer in base.layers:
        if not layer.weights:
            continue
        block, _, name = layer.name.partition("_")
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        if not block.startswith("block"):
            block, name = SHORTCUTS[layer.weights[0].shape[-1]], "shortcut"
        prefix = f"{block}/{name.removesuffix('_bn')}"
        if is_norm:
            names = [f"norm/{leaf}" for leaf in ("scale", "bias", "mean", "var")]
        elif "sepconv" in name:
            names = ["depthwise", "pointwise"]
        else:
            names = ["kernel"]
        arrays = [tensors[f"{prefix}/{leaf}"].astype(np.float32) for leaf in names]
        layer.set_weights([array.reshape(weight.shape) for array, weight in zip(arrays, layer.weights, strict=True)])


def from_frozen(work: Work, base: keras.Model) -> keras.Model:
    """Return a classifier of what stays frozen, for ``--frozen-once``: of features, or of the output of block 12."""
    if work.options.kind == "probe":
        inputs = keras.Input((2048,))
        return keras.Model(inputs, keras.layers.Dense(work.classes, activation="softmax")(inputs))
    tail = keras.Model(below_tail(base).output, keras.layers.GlobalAveragePooling2D()(base.output))
    inputs = keras.Input(tail.input_shape[1:])
    x = tail(inputs, training=False)
    return keras.Model(inputs, keras.layers.Dense(work.classes, activation="softmax")(x))


def below_tail(base: keras.Model) -> keras.Model:
    """Return blocks 1 to 12; block 13 begins with an activation and its shortcut takes the same input."""
    return keras.Model(base.input, base.get_layer("block13_sepconv1_act").input)


def compute_frozen(work: Work) -> np.ndarray:
    """Return what stays frozen of every image."""
    model, base = build(work)
    if work.options.kind == "probe":
        outputs = model.layers[-1].input
    else:
        outputs = below_tail(base)(model.layers[-4].output, training=False)
    return keras.Model(model.inputs, outputs).predict(work.images, batch_size=work.options.batch, verbose=0)


def cross_validate(work: Work) -> None:
    """Train a network in every fold and predict its test part."""
    inputs = compute_frozen(work) if work.options.frozen_once else work.images
    for train, test in work.folds():
        run_fold(work, inputs, train, test)


def run_fold(work: Work, inputs: np.ndarray, train: np.ndarray, test: np.ndarray) -> None:
    """Train a new network on the rows ``train`` and predict the rows ``test``."""
    options = work.options
    keras.utils.clear_session()
    model, base = build(work)
    if options.frozen_once:
        model = from_frozen(work, base)

    def phase(name: str, epochs: int, rate: float) -> None:
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=CLIP)
        model.compile(optimizer, "sparse_categorical_crossentropy")

        def fit(rows: np.ndarray, number: int) -> None:
            model.fit(inputs[rows], work.labels[rows], batch_size=options.batch, epochs=number, verbose=0)

        work.time(name, train, fit, epochs)

    if options.kind == "full":
        base.trainable = True
        phase("full", options.tail_epochs, TAIL_RATE)
    else:
        phase("head", options.epochs, HEAD_RATE)
    if options.kind == "finetune":
        base.trainable = True
        for layer in base.layers:
            layer.trainable = layer.name.startswith(("block13", "block14")) or tail_shortcut(layer)
        phase("tail", options.tail_epochs, TAIL_RATE)

    def predict(rows: np.ndarray, _: int) -> None:
        work.predictions[rows] = model.predict(inputs[rows], batch_size=options.batch, verbose=0).argmax(1)

    work.time("predict", test, predict)


def tail_shortcut(layer: keras.layers.Layer) -> bool:
    """Return whether ``layer`` belongs to the shortcut of block 13."""
    return bool(layer.weights) and not layer.name.startswith("block") and layer.weights[0].shape[-1] == 1024


def pass_forward(work: Work) -> None:
    """Compute the features of all images."""
    model, _ = build(work)
    features = keras.Model(model.inputs, model.layers[-1].input)
    images, batch = work.images, work.options.batch
    work.time(
        "forward",
        np.arange(len(images)),
        lambda rows, _: features.predict(images[rows], batch_size=batch, verbose=0),
    )


def main() -> None:
    work = read_work(__doc__ or "")
    keras.utils.set_random_seed(work.options.seed)
    if work.options.kind == "forward":
        pass_forward(work)
    else:
        cross_validate(work)
    work.answer(f"Keras {keras.__version__} on TensorFlow")


if __name__ == "__main__":
    main()
