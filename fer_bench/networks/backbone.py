"""A built backbone as pure functions: from stored images to the output of any stage, and from there to features."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fer_bench.errors import PluginError, bullet_list
from fer_bench.keeping.weights import ensure_pinned
from fer_bench.labels import EXPRESSIONS
from fer_bench.networks import devices
from fer_bench.networks.transforms import to_input
from fer_bench.registry import Component
from fer_bench.sizes import number_of
from fer_bench.specs import BackboneParams, BackboneSpec, Extractor, ImageInput

_FLOAT32 = jnp.dtype(jnp.float32)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A backbone in memory; its functions are pure, to be jitted.

    A function of some stages reads only the state of these, so that nothing else can change what it returns.

    Attributes:
        name: as the user typed it.
        stages: names, in order.
        parameters: how many numbers its trainable parameters have; BatchNorm statistics do not count.
        state: stage name -> pytree of the stage's arrays.
        input_size: side of the input, pixels.
        image_input: what the first stage expects.
        graphs: stage name -> the stage without its arrays.
        feature_size: length of the feature vector.
        extractor: what computes the features of a frozen-only backbone, outside of JAX. Then its one stage has neither
            arrays nor a graph, and no function of stages can be called.
        activations: type of what its stages take and return, float32 or bfloat16.
    """

    name: str
    stages: tuple[str, ...]
    parameters: int
    state: dict[str, Any]
    input_size: int
    image_input: ImageInput
    graphs: dict[str, Any]
    feature_size: int
    extractor: Extractor | None = None
    activations: jnp.dtype = _FLOAT32

    def prefix(self, state: dict[str, Any], images: jax.Array, stop: int) -> jax.Array:
        """Return what the first ``stop`` stages make of images.

        Args:
            state: as the attribute; the first ``stop`` stages are enough.
            images: (b, h, w, 1 or 3) uint8.
            stop: 0 gives the prepared input, ``len(stages)`` the features (b, feature_size) float32; the rest is of
                type ``activations``.
        """
        return self.outputs(state, images, (stop,))[stop]

    def outputs(self, state: dict[str, Any], images: jax.Array, stops: Collection[int]) -> dict[int, jax.Array]:
        """Return what `prefix` returns for each of some stops, in one pass.

        What runs after a stage does not change the rounding of what it returns: XLA fuses nothing across stages.
        """
        x, outputs_at = self.entering(to_input(images, self.input_size, self.image_input), 0), dict[int, jax.Array]()
        for stop in range(max(stops) + 1):
            if stop:
                stage = self.stages[stop - 1]
                x = jax.lax.optimization_barrier(nnx.merge(self.graphs[stage], state[stage])(x))
            if stop in stops:
                outputs_at[stop] = self.pooled(x) if stop == len(self.stages) else x
        return outputs_at

    def rest(self, state: dict[str, Any], x: jax.Array, start: int) -> jax.Array:
        """Return the features (b, feature_size) float32 that follow from ``x``, the output of `prefix` at ``start``."""
        x = self.entering(x, start)
        if start == len(self.stages):
            return x
        for stage in self.stages[start:]:
            x = nnx.merge(self.graphs[stage], state[stage])(x)
        return self.pooled(x)

    def entering(self, x: jax.Array, start: int) -> jax.Array:
        """Return ``x``, the output of `prefix` at ``start`` as it was kept, in the type in which it goes on."""
        return x.astype(self.activations if start < len(self.stages) else jnp.float32)

    def pooled(self, x: jax.Array) -> jax.Array:
        """Return the features (b, f) of what the last stage returned: averaged over space, sums in float32."""
        if x.dtype == jnp.bfloat16:
            x = x.astype(jnp.float32)
        return jnp.mean(x, axis=(1, 2)) if x.ndim == 4 else x

    def shapes(self, images: Any, stops: Collection[int]) -> dict[int, Any]:
        """Return the shape and type of what `outputs` returns; nothing is computed.

        Args:
            images: (b, h, w, 1 or 3) uint8, or b images for an extractor.
            stops: as for `outputs`.
        """
        if self.extractor is not None:
            return {stop: jax.ShapeDtypeStruct((len(images), self.feature_size), jnp.float32) for stop in stops}
        return jax.eval_shape(partial(self.outputs, stops=stops), self.state, images)

    def digests(self) -> tuple[str, ...]:
        """Return for each stage a sha256 of its arrays."""
        if self.extractor is not None:
            return (self.extractor.digest,)
        return tuple(_digest(self.state[stage]) for stage in self.stages)


def build(component: Component[BackboneSpec], precision: str, seed: int) -> Backbone:
    """Build a backbone with its weights.

    Args:
        component: the backbone.
        precision: of the products, ``float32`` or ``bfloat16``.
        seed: of the initial values, where weights are random.

    Raises:
        PluginError: the plugin raised, or built something without the stages that it declares, or no `Extractor` though
            it is frozen-only.
        FerBenchError: the packaged weights do not have the pinned digests.
    """
    spec, params = component.spec, component.params
    assert isinstance(params, BackboneParams)
    factory = component.resolve(spec.build)
    for weights in spec.weights:
        if weights.name == params.weights and weights.file:
            ensure_pinned(weights)

    def make() -> Any:
        backbone = factory(params, rngs=nnx.Rngs(seed), compute_dtype=jnp.dtype(precision))
        if not spec.frozen_only:
            backbone.eval()
        return backbone

    module = component.call(f"build backbone {str(component)!r}", make)
    if spec.frozen_only:
        return _hold_extractor(component, module)
    missing = [stage for stage in spec.stages if not isinstance(getattr(module, stage, None), nnx.Module)]
    if missing:
        raise PluginError(
            f"Backbone {spec.name!r} of plugin {component.plugin.name!r} lacks the stages {missing} that it declares; "
            "each is an attribute that holds an nnx.Module."
        )
    split = {stage: nnx.split(getattr(module, stage)) for stage in spec.stages}
    return Backbone(
        name=str(component),
        stages=spec.stages,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))),
        state={stage: nnx.to_pure_dict(state) for stage, (_, state) in split.items()},
        input_size=params.input_size,
        image_input=spec.image_input,
        graphs={stage: graph for stage, (graph, _) in split.items()},
        feature_size=spec.feature_size,
        activations=activations(spec, precision),
    )


def activations(spec: BackboneSpec, precision: str) -> jnp.dtype:
    """Return the type of what the stages of a backbone take and return on this machine.

    Memory limits an accelerator, and half the bytes are read in half the time; a CPU would convert them to float32 and
    back for each operation.
    """
    half = spec.half_precision and precision == "bfloat16" and devices.accelerated()
    return jnp.dtype(jnp.bfloat16) if half else _FLOAT32


def _hold_extractor(component: Component[BackboneSpec], extractor: Extractor) -> Backbone:
    """Return a frozen-only backbone; raise PluginError if ``extractor`` is none, or does not fit its spec."""
    spec, params = component.spec, component.params
    assert isinstance(params, BackboneParams)
    faults: list[str] = []
    for name, least in (("feature_size", 1), ("parameter_count", 0), ("batch", 1)):
        value = getattr(extractor, name, None)
        if not isinstance(value, int) or value < least:
            faults.append(f"{name} is {value!r}; expected a whole number of at least {least}")
    if not isinstance(digest := getattr(extractor, "digest", None), str):
        faults.append(f"digest is {digest!r}; expected a text")
    if not callable(extractor):
        faults.append("it cannot be called with images")
    if len(spec.stages) != 1:
        faults.append(f"the spec has the stages {spec.stages}; expected the default")
    if spec.answers and not faults and extractor.feature_size != len(EXPRESSIONS):
        faults.append(f"it answers with {number_of(extractor.feature_size, 'feature')}; expected {len(EXPRESSIONS)}")
    if faults:
        raise PluginError(
            f"Backbone {spec.name!r} of plugin {component.plugin.name!r} is frozen-only, and built a "
            f"{type(extractor).__name__} that does not fit fer_bench.specs.Extractor:\n{bullet_list(faults)}"
        )
    return Backbone(
        name=str(component),
        stages=spec.stages,
        parameters=extractor.parameter_count,
        state={},
        input_size=params.input_size,
        image_input=spec.image_input,
        graphs={},
        feature_size=extractor.feature_size,
        extractor=extractor,
    )


def _digest(state: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if key else leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()
