"""K-fold transfer learning as a Keras user writes it: ``keras.applications.Xception`` and ``fit``, in every fold.

BatchNorm keeps its ImageNet statistics throughout, as Keras's own guide to transfer learning has it.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from safetensors.numpy import load_file
from work import HEAD_RATE, TAIL_RATE, Clock, Work, clock, read_work, write_answer

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


def cross_validate(work: Work, clock: Clock) -> None:
    """Train a network in every fold and predict its test part."""
    for train, test in work.folds():
        run_fold(work, clock, train, test)


def run_fold(work: Work, clock: Clock, train: np.ndarray, test: np.ndarray) -> None:
    """Train a new network on the rows ``train`` and predict the rows ``test``."""
    options = work.options
    keras.utils.clear_session()
    model, base = build(work)

    def phase(epochs: int, rate: float) -> None:
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        once = 1 if options.sample else epochs
        fit = {"batch_size": options.batch, "epochs": once, "verbose": 0}
        clock.time(lambda: model.fit(work.images[train], work.labels[train], **fit), epochs)

    if options.kind == "full":
        base.trainable = True
        phase(options.tail_epochs, TAIL_RATE)
    else:
        phase(options.epochs, HEAD_RATE)
    if options.kind == "finetune":
        base.trainable = True
        for layer in base.layers:
            layer.trainable = layer.name.startswith(("block13", "block14")) or tail_shortcut(layer)
        phase(options.tail_epochs, TAIL_RATE)

    def predict() -> None:
        scores = model.predict(work.images[test], batch_size=options.batch, verbose=0)
        work.predictions[test] = scores.argmax(1)

    clock.time(predict)


def tail_shortcut(layer: keras.layers.Layer) -> bool:
    """Return whether ``layer`` belongs to the shortcut of block 13."""
    return bool(layer.weights) and not layer.name.startswith("block") and layer.weights[0].shape[-1] == 1024


def pass_forward(work: Work, clock: Clock) -> None:
    """Compute the features of all images, after a batch to warm up."""
    model, _ = build(work)
    features = keras.Model(model.inputs, model.layers[-1].input)
    batch = work.options.batch
    features.predict(work.images[:batch], batch_size=batch, verbose=0)
    clock.time(lambda: features.predict(work.images, batch_size=batch, verbose=0))


def main() -> None:
    work = read_work(__doc__ or "")
    keras.utils.set_random_seed(0)
    seconds = clock(work)
    if work.options.kind == "forward":
        pass_forward(work, seconds)
    else:
        cross_validate(work, seconds)
    write_answer(work, f"Keras {keras.__version__} on TensorFlow", seconds)


if __name__ == "__main__":
    main()
