"""A Keras model as NNX stages: Keras computes, NNX holds the numbers.

Every layer that has variables becomes a module of its stage under the layer's name, and each variable a parameter
under the name that Flax has for it (``kernel``, ``bias``, ``scale``), so that a strategy's rules read as for any other
backbone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.typing import DTypeLike

from fer_bench_keras.keras_model import Values, import_keras, make

if TYPE_CHECKING:
    from fer_bench_keras import KerasParams

Place = tuple[str, str]
"""Names of a layer and of a number in it."""

_NORM = {"gamma": "scale", "beta": "bias"}
_BATCH_NORM = {**_NORM, "moving_mean": "mean", "moving_variance": "var"}


class Graph:
    """What a stage computes: a Keras model whose numbers are given from outside. Equal only to itself.

    Attributes:
        model: the part of the Keras model.
        prepare: comes before it.
        trainable: where the trainable variables lie, in Keras's order.
        other: likewise the others; an array is a constant.
    """

    def __init__(
        self, model: Any, prepare: Callable[[Array], Array], places: dict[int, Place], constants: Values
    ) -> None:
        self.model = model
        self.prepare = prepare
        self.trainable = [places[id(variable)] for variable in model.trainable_variables]
        self.other = [
            places.get(id(variable), constants.get(id(variable))) for variable in model.non_trainable_variables
        ]


class Layer(nnx.Module):
    """The parameters of one Keras layer."""


class Stage(nnx.Module):
    """Some layers of a Keras model in a row. Each layer with variables is an attribute."""

    def __init__(self, graph: Graph, layers: dict[str, nnx.Module]) -> None:
        self.graph = graph
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __call__(self, x: Array) -> Array:
        """Map what the stage before returns, or (b, s, s, 3) in 0 to 255, to (b, h, w, c) of the same type.

        Statistics of BatchNorm are those of the batch, and move, where its ``use_running_average`` is False.
        """
        graph = self.graph
        norms = [layer for layer in vars(self).values() if isinstance(layer, nnx.BatchNorm)]
        training = any(not norm.use_running_average for norm in norms)
        trainable = [self._at(place)[...] for place in graph.trainable]
        other = [self._at(place)[...] if isinstance(place, tuple) else place for place in graph.other]
        y, found = graph.model.stateless_call(trainable, other, graph.prepare(x), training=training)
        if training:
            for place, of_batch in zip(graph.other, found, strict=True):
                if isinstance(place, tuple):
                    stored, momentum = self._at(place), getattr(self, place[0]).momentum
                    stored[...] = momentum * stored[...] + (1 - momentum) * of_batch
        return y.astype(x.dtype)

    def _at(self, place: Place) -> nnx.Variable[Array]:
        return getattr(getattr(self, place[0]), place[1])


class Network(nnx.Module):
    """The stages of a Keras model, under the names that the catalogue gives them."""

    def __init__(self, stages: dict[str, Stage]) -> None:
        self.order = tuple(stages)
        for name, stage in stages.items():
            setattr(self, name, stage)

    def __call__(self, x: Array) -> Array:
        """Apply all stages to (b, s, s, 3) in 0 to 255; return (b, h, w, features) of the same type."""
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def build(params: KerasParams, *, rngs: nnx.Rngs, compute_dtype: DTypeLike = jnp.float32) -> Network:
    """Return a model of ``keras.applications`` without its classifier, in eval mode.

    Args:
        params: which model, its size and its weights; ``weights="random"`` comes before a file.
        rngs: random streams; random weights are drawn from ``params``.
        compute_dtype: ``float32``, or ``bfloat16`` for Keras's policy ``mixed_bfloat16``: parameters and sums over
            batches stay float32, what layers hand on does not.

    Raises:
        FerBenchError: Keras runs on another backend, or the weights cannot be had.
    """
    application = params.application
    model, values = make(params, rngs, jnp.dtype(compute_dtype))
    keras = import_keras()
    preprocess = importlib.import_module(f"keras.applications.{application.module}").preprocess_input

    def prepare(x: Array) -> Array:
        return preprocess(x.astype(jnp.float32), data_format="channels_last")

    names = _names(model)
    outputs = {names[id(operation)]: operation.output for operation in model.operations}
    stages: dict[str, Stage] = {}
    start = model.input
    with jax.ensure_compile_time_eval():
        for stage, cut in application.cuts.items():
            end = outputs[cut] if cut else model.output
            part = keras.Model(start, end)
            layers, places = _hold(keras, part, names, values)
            stages[stage] = Stage(Graph(part, (lambda x: x) if stages else prepare, places, values), layers)
            start = end
    network = Network(stages)
    network.eval()
    return network


def _leaves(layer: Any) -> Iterator[Any]:
    """Yield the layers that hold no other layer."""
    if parts := getattr(layer, "layers", None):
        for part in parts:
            yield from _leaves(part)
    else:
        yield layer


def _names(model: Any) -> dict[int, str]:
    """Return ``id`` of each layer -> its name, where those that Keras numbers within a process are numbered again.

    A sum that is written as ``+`` is an operation without being a layer; it has a name all the same.
    """
    layers = [*model.operations, *_leaves(model)]
    names = {id(layer): layer.name for layer in layers}
    numbered: dict[str, dict[int, int]] = {}
    for layer in layers:
        kind = _snake_case(type(layer).__name__)
        if found := re.fullmatch(rf"{kind}(?:_(\d+))?", layer.name):
            numbered.setdefault(kind, {})[int(found[1] or 0)] = id(layer)
    for kind, of_kind in numbered.items():
        for place, number in enumerate(sorted(of_kind)):
            names[of_kind[number]] = f"{kind}_{place}" if place else kind
    return names


def _snake_case(name: str) -> str:
    """Spell the name of a class as Keras spells the names of its layers: ``MaxPooling2D`` is ``max_pooling2d``."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()


def _hold(
    keras: Any, part: Any, names: dict[int, str], values: Values
) -> tuple[dict[str, nnx.Module], dict[int, Place]]:
    """Return by name a module for each layer with parameters, and where in them each Keras variable lies."""
    modules: dict[str, nnx.Module] = {}
    places: dict[int, Place] = {}
    for layer in _leaves(part):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        spelling = _BATCH_NORM if is_norm else _NORM if isinstance(layer, keras.layers.LayerNormalization) else {}
        held = [variable for variable in layer.variables if is_norm or variable.trainable]
        if not held:
            continue
        name = names[id(layer)]
        if is_norm:
            module: nnx.Module = _batch_norm(layer)
            layer.momentum = 0.0  # so that Keras hands out the statistics of the batch, and the stage averages
        else:
            module = Layer()
        for variable in held:
            leaf = spelling.get(str(variable.name), str(variable.name))
            places[id(variable)] = name, leaf
            if is_norm:
                getattr(module, leaf)[...] = values[id(variable)]
            else:
                setattr(module, leaf, nnx.Param(values[id(variable)]))
        modules[name] = module
    return modules, places


def _batch_norm(layer: Any) -> nnx.BatchNorm:
    (features,) = layer.moving_mean.shape
    return nnx.BatchNorm(
        features,
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        use_bias=layer.center,
        use_scale=layer.scale,
        rngs=nnx.Rngs(0),
    )
