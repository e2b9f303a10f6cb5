"""A backbone as its rules look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fer_bench.arrays import Array
from fer_bench.networks import backbone as backbones
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.forward import Extraction, Output
from fer_bench.networks.parameters import divide, run
from fer_bench.registry import Component
from fer_bench.specs import BackboneParams, BackboneSpec
from fer_bench.testing.conformance.comparing import differing

BATCH = 3


class BackboneSubject:
    """A backbone that is built, run and differentiated once for all rules.

    Args:
        component: with the parameters to be checked.
    """

    def __init__(self, component: Component[BackboneSpec]):
        assert isinstance(component.params, BackboneParams)
        self.component, self.spec, self.params = component, component.spec, component.params

    def build(self, seed: int = 0, precision: str = "float32", **params: Any) -> Backbone:
        """Return the backbone as the host builds it, with some parameters changed."""
        component = replace(self.component, params=self.params.model_copy(update=params))
        return backbones.build(component, precision, seed)

    @cached_property
    def module(self) -> nnx.Module:
        """The backbone as its author returns it."""
        factory = self.component.resolve(self.spec.build)
        return factory(self.params, rngs=nnx.Rngs(0), compute_dtype=jnp.dtype("float32"))

    @cached_property
    def built(self) -> Backbone:
        """The backbone in the host's hands."""
        return self.build()

    @cached_property
    def other(self) -> Backbone:
        """The backbone with weights that another seed drew."""
        return self.build(seed=1, weights="random")

    @cached_property
    def images(self) -> Array:
        """(BATCH, s, s, 3) uint8, noise."""
        side = self.params.input_size
        return np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)

    @cached_property
    def run(self) -> Any:
        """Compiled (state, images) -> features (b, feature_size)."""
        return jax.jit(partial(self.built.prefix, stop=len(self.spec.stages)))

    @cached_property
    def features(self) -> Array:
        """(BATCH, feature_size) of `images`."""
        return self.features_of(self.images)

    def features_of(self, images: Sequence[Array] | Array, built: Backbone | None = None) -> Array:
        """Return the features of images, (n, feature_size) as the host gets them; ``built`` may be another build."""
        built = built or self.built
        if built.extractor is None:
            return np.asarray(self.run(built.state, images))
        ((values, _, _),) = Extraction(built, [Output(1, 1, np.dtype(np.float32), rounded=False)])(list(images))
        return values[:, 0]

    @cached_property
    def chain(self) -> tuple[Array, list[str]]:
        """Features from stages that are compiled one by one, and what these changed in their own state."""
        x, changed = jax.jit(partial(self.built.prefix, stop=0))({}, self.images), []
        for stage in self.spec.stages:
            graph = self.built.graphs[stage]

            @jax.jit
            def step(state: Any, x: jax.Array, graph: Any = graph) -> tuple[jax.Array, Any]:
                module = nnx.merge(graph, state)
                return module(x), nnx.to_pure_dict(nnx.state(module))

            before = self.built.state[stage]
            x, after = step(before, x)
            changed += [f"{stage}{path}" for path in differing(before, after)]
        features = np.asarray(x)
        return (features.mean((1, 2)) if features.ndim == 4 else features), changed

    @cached_property
    def gradients(self) -> tuple[dict[str, Array], Array]:
        """Gradients of a cross-entropy: of every parameter by name, and of the input (BATCH, s, s, c)."""
        parameters, others = divide(self.built)
        x = self.built.prefix({}, jnp.asarray(self.images), 0)
        head = jnp.asarray(np.random.default_rng(1).normal(size=(self.spec.feature_size, 2)) * 0.1, jnp.float32)

        @jax.jit
        def gradients(parameters: Any, x: jax.Array) -> Any:
            def loss(parameters: Any, x: jax.Array) -> jax.Array:
                features, _ = run(self.built, {**others, **parameters}, x, 0, train_norm=None)
                return -jax.nn.log_softmax(features @ head)[:, 0].mean()

            return jax.grad(loss, argnums=(0, 1))(parameters, x)

        of_parameters, of_input = gradients(parameters, x)
        return {name: np.asarray(value) for name, value in of_parameters.items()}, np.asarray(of_input)
