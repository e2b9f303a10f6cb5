"""Make a model of ``keras.applications`` on the JAX backend, and leave Keras's settings as they were."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fer_bench.errors import FerBenchError, MissingError, bullet_list
from fer_bench_keras.catalogue import APPLICATIONS

if TYPE_CHECKING:
    from fer_bench_keras import KerasParams

Values = dict[int, jax.Array]
"""``id`` of a Keras variable -> its value."""
Initializers = dict[int, Any]
"""Likewise -> ``(shape, dtype) -> value``."""


def import_keras() -> ModuleType:
    """Import Keras on its JAX backend, also if the environment or the user's configuration file prefers another.

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
def settings(keras: ModuleType, compute_dtype: jnp.dtype[Any]) -> Iterator[None]:
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
    function = getattr(keras.applications, params.application.name)
    random = params.weights == "random"
    file = None if random else params.file or str(find_weights(params.name, params.input_size))
    # Constants that the model holds must be numbers even where a caller only traces this function.
    with settings(keras, compute_dtype), jax.ensure_compile_time_eval():
        model, initializers = _unfilled(keras, function, (params.input_size, params.input_size, 3))
        if file is not None:
            _load(model, file)
        _quieten(keras, model)
    if random:
        return model, {id(variable): _draw(variable, initializers, rngs) for variable in model.variables}
    return model, {id(variable): jnp.asarray(variable.value) for variable in model.variables}


class _Located(Exception):
    """Ends the making of a model once Keras says where its weights are."""


@functools.lru_cache
def find_weights(name: str, input_size: int) -> Path:
    """Return the file of a model's ImageNet weights in Keras's folder; Keras downloads it if it is not there.

    Which file it is, only the function that makes the model knows: so that is called, and left when it asks for the
    file.

    Args:
        name: of the model, in lower case.
        input_size: side of the input, pixels, on which the file of some models depends.

    Raises:
        MissingError: it is not there and cannot be downloaded.
    """
    keras = import_keras()
    from keras.src.utils import file_utils

    application, get_file, wanted = APPLICATIONS[name], file_utils.get_file, list[str]()

    def locate(fname: str, *arguments: Any, **keywords: Any) -> None:
        wanted.append(fname)
        raise _Located(get_file(fname, *arguments, **keywords))

    function = getattr(keras.applications, application.name)
    file_utils.get_file = locate
    try:
        with settings(keras, jnp.dtype("float32")), keras.StatelessScope(initialize_variables=False):
            function(include_top=False, weights="imagenet", input_shape=(input_size, input_size, 3))
    except _Located as found:
        return Path(str(found))
    except Exception as error:  # Keras raises a bare Exception where it cannot download
        folder = Path(str(file_utils.config.keras_home())).expanduser() / "models"
        raise MissingError(
            f"The ImageNet weights of keras[name={name}] are not on this machine, and Keras cannot download them: "
            f"{error}\nTo get them, one of:\n"
            + bullet_list(
                [
                    "run the command again where there is a connection",
                    f"copy {wanted[0] if wanted else 'the file'} to {folder}, from .keras/models of another machine",
                    f"name a file of weights of the model without its classifier: keras[name={name},file=WEIGHTS.h5]",
                    f"start with random weights: keras[name={name},weights=random]",
                ]
            )
        ) from error
    finally:
        file_utils.get_file = get_file
    raise MissingError(f"Keras makes {application.name} without asking for a file of weights.")


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
