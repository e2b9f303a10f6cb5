"""Make a model of ``keras.applications`` on the JAX backend, and leave Keras's settings as they were."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fer_bench.errors import FerBenchError, bullet_list

if TYPE_CHECKING:
    from fer_bench_keras import KerasParams

Values = dict[int, jax.Array]
"""``id`` of a Keras variable -> its value."""
Initializers = dict[int, Any]
"""Likewise -> ``(shape, dtype) -> value``."""


def import_keras() -> ModuleType:
    """Import Keras on its JAX backend, whatever the environment and the user's configuration file prefer.

    Raises:
        FerBenchError: it runs on another backend already.
    """
    before = os.environ.get("KERAS_BACKEND")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "jax"
    try:
        import keras
    finally:
        os.environ.pop("KERAS_BACKEND", None)
        if before is not None:
            os.environ["KERAS_BACKEND"] = before
    if keras.backend.backend() != "jax":
        raise FerBenchError(
            f"Keras was imported with the backend {keras.backend.backend()!r} before fer-bench needed it; its models "
            "run only on JAX. Set KERAS_BACKEND=jax, or do not import Keras first."
        )
    return keras


@contextlib.contextmanager
def _settings(keras: ModuleType, compute_dtype: jnp.dtype[Any]) -> Iterator[None]:
    """Let models be made as fer-bench computes, and print nothing where a leaderboard may go."""
    config = keras.config
    before = config.image_data_format(), config.floatx(), config.dtype_policy()
    policy = "float32" if compute_dtype == jnp.float32 else f"mixed_{compute_dtype.name}"
    try:
        config.set_image_data_format("channels_last")
        config.set_floatx("float32")
        config.set_dtype_policy(policy)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        config.set_image_data_format(before[0])
        config.set_floatx(before[1])
        config.set_dtype_policy(before[2])


def make(params: KerasParams, rngs: nnx.Rngs, compute_dtype: jnp.dtype[Any]) -> tuple[Any, Values]:
    """Return a Keras model without its classifier, and the values of its variables.

    Args:
        params: which model, its size and its weights; ``weights="random"`` comes before a file.
        rngs: random streams; the initial values of random weights are drawn from ``params``, by Keras's initialisers.
        compute_dtype: of the products, ``float32`` or ``bfloat16``.

    Raises:
        FerBenchError: the weights cannot be had, or are not those of this model.
    """
    keras = import_keras()
    function = getattr(keras.applications, params.application)
    shape = (params.input_size, params.input_size, 3)
    random = params.weights == "random"
    download = not random and not params.file
    initializers: Initializers = {}
    # Constants that the model holds must be numbers even where a caller only traces this function.
    with _settings(keras, compute_dtype), jax.ensure_compile_time_eval():
        try:
            if download:
                model = function(include_top=False, weights="imagenet", input_shape=shape)
            else:
                model, initializers = _unfilled(keras, function, shape)
        except Exception as error:
            if not download:
                raise
            raise FerBenchError(
                f"Keras cannot load the ImageNet weights of {params.application}: {error}\n"
                "Without a connection, take the file from .keras/models in the home folder of a machine that has one: "
                f"keras-{params.application.lower()}[file=WEIGHTS.h5]"
            ) from error
        if not random and params.file:
            _load(model, params.file)
        _quieten(keras, model)
    if random:
        return model, {id(variable): _draw(variable, initializers, rngs) for variable in model.variables}
    return model, {id(variable): jnp.asarray(variable.value) for variable in model.variables}


def _unfilled(keras: ModuleType, function: Any, shape: tuple[int, int, int]) -> tuple[Any, Initializers]:
    """Return a model full of NaN, and how Keras would have filled it, which takes long and would not be used."""
    with keras.StatelessScope(initialize_variables=False):
        model = function(include_top=False, weights=None, input_shape=shape)
    initializers: Initializers = {}
    for variable in model.variables:
        initializers[id(variable)] = variable._initializer
        variable._initializer = _nan
    with keras.StatelessScope():
        pass  # at whose end Keras fills what has no value yet
    return model, initializers


def _nan(shape: tuple[int, ...], dtype: str) -> jax.Array:
    value = np.nan if jnp.issubdtype(dtype, jnp.floating) else 0
    return jnp.asarray(np.full(shape, value, dtype))  # NumPy compiles nothing for a new shape


def _draw(variable: Any, initializers: Initializers, rngs: nnx.Rngs) -> jax.Array:
    """Draw the initial value of a variable as Keras would, by a key of ours."""
    initializer = initializers[id(variable)]
    if hasattr(initializer, "seed"):
        initializer = initializer.clone()
        initializer.seed = rngs.params()
    return jnp.asarray(initializer(tuple(variable.shape), dtype=variable.dtype))


def _load(model: Any, file: str) -> None:
    """Load weights into a model full of NaN, and make sure that the file had all: of some Keras only warns."""
    problem = f"{file!r} does not hold the weights of {model.name!r} without its classifier (include_top=False)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(file)
    except FileNotFoundError:
        raise FerBenchError(f"There is no file {file!r}.") from None
    except Exception as error:  # of h5py, zipfile or Keras, as the file has it
        raise FerBenchError(f"{problem}, as Keras's save_weights writes them: {error}") from error
    faulty = [variable.path for variable in model.variables if not np.isfinite(np.asarray(variable.value)).all()]
    if faulty:
        count = f"{len(faulty)} of {len(model.variables)} arrays"
        raise FerBenchError(f"{problem}: {count} are not in it, or not finite.\n{bullet_list(faulty, 10)}")


def _quieten(keras: ModuleType, model: Any) -> None:
    """Turn the model's own dropout off, for which the host gives no random numbers."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
