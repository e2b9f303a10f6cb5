"""Keras on its JAX backend is the independent implementation that this package is held against."""

import os
from functools import partial

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx


@pytest.fixture(scope="session")
def keras_model():
    """Keras's Xception for any size, with weights and BatchNorm statistics that are drawn and fit each other.

    NumPy draws them, since Keras compiles each draw.
    """
    keras = pytest.importorskip("keras")
    with keras.StatelessScope(initialize_variables=False):
        model = keras.applications.Xception(weights=None, include_top=False, input_shape=(None, None, 3))
    rng = np.random.default_rng(7)
    for variable in model.variables:
        variable._initializer = partial(_draw, rng, variable.name)
    with keras.StatelessScope():
        pass  # at whose end Keras fills what has no value yet
    return model


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5 if name == "gamma" else 3.0, shape).astype(dtype)
    spread = 0.3 if len(shape) == 1 else (9 if name == "depthwise_kernel" else np.prod(shape[:-1])) ** -0.5
    return rng.normal(0, spread, shape).astype(dtype)


@pytest.fixture(scope="session")
def keras_files(keras_model, tmp_path_factory):
    """The same model as every kind of file that Keras 3 writes, by kind."""
    import keras

    folder = tmp_path_factory.mktemp("keras")
    image = keras.Input((71, 71, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras_model(image))
    whole = keras.Model(image, keras.layers.Dense(7, name="expression")(pooled))
    files = {
        "weights": folder / "xception.weights.h5",
        "legacy": folder / "xception.h5",
        "archive": folder / "xception.keras",
        "nested weights": folder / "whole.weights.h5",
        "nested legacy": folder / "whole.h5",
        "nested archive": folder / "whole.keras",
    }
    for kind, path in files.items():
        model = whole if kind.startswith("nested") else keras_model
        model.save_weights(path) if kind.endswith("weights") else model.save(path)
    return files


@pytest.fixture(scope="session")
def apply():
    """Return a function that applies a module the way the host does: split, jit of a pure function, merge."""

    def run(module: nnx.Module, x):
        graph, state = nnx.split(module)
        pure = nnx.to_pure_dict(state)
        return jax.jit(lambda state, x: nnx.merge(graph, state)(x))(pure, x)

    return run


@pytest.fixture(scope="session")
def picture():
    """Return a function from a side in pixels to a smooth (1, s, s, 3) picture in [-1, 1], the same everywhere."""

    def draw(size: int, shift: float = 0.0):
        y, x = np.mgrid[0:size, 0:size] / (size - 1)
        channels = [np.sin(5 * x + 3 * y * y + c + shift) * np.cos(7 * y - 2 * x * c) for c in range(3)]
        return jnp.asarray(np.stack(channels, axis=-1)[None], jnp.float32)

    return draw


def relative_error(actual, expected) -> float:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="session", name="relative_error")
def _relative_error():
    return relative_error
