"""Rules for backbones, on float32 and drawn images; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pydantic import ValidationError

from fer_bench.keeping.weights import verify
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.parameters import divide
from fer_bench.registry import marked
from fer_bench.sizes import number_of
from fer_bench.testing.conformance.backbone_subject import BackboneSubject
from fer_bench.testing.conformance.comparing import apart
from fer_bench.testing.conformance.rules import ConformanceRule, NotApplicable, rule
from fer_bench.testing.conformance.spec import add_pickle_rule

HALF_TOLERANCE = 0.1
"""Largest norm of what half precision changes, relative to that of the features."""


RULES: list[ConformanceRule[BackboneSubject]] = []


add_pickle_rule(RULES, lambda subject: subject.component)


@rule(
    RULES,
    expected="stages are distinct Python identifiers, and 'build' returns a module that has each as an attribute",
    fix="name in BackboneSpec.stages the attributes of the module, each an nnx.Module, in the order in which they run",
)
def builds(subject: BackboneSubject) -> Iterator[str]:
    """Yield what is wrong with the stages; building raises where it fails."""
    stages = subject.spec.stages
    if not stages:
        yield "stages is empty"
    yield from (f"{stage!r} is not a Python identifier" for stage in stages if not stage.isidentifier())
    yield from (f"{stage!r} is named twice" for stage in sorted(set(stages)) if stages.count(stage) > 1)
    _ = subject.built


@rule(
    RULES,
    needs=["builds"],
    expected="every stage returns one floating-point array that keeps the batch axis, and the last features as "
    "declared, (b, h, w, feature_size) or (b, feature_size) in float32, for every batch size and both precisions",
    fix="return only x from each stage, cast the last to float32, and set BackboneSpec.feature_size",
)
def shapes(subject: BackboneSubject) -> Iterator[str]:
    """Yield each stage whose output has another form."""
    for precision in ("float32", "bfloat16"):
        built = subject.built if precision == "float32" else subject.build(precision=precision)
        yield from (f"in {precision}: {fault}" for fault in _shape_faults(subject, built, subject.params.input_size))


@rule(
    RULES,
    needs=["shapes"],
    expected="with half_precision parameters and statistics stay float32, and every stage returns bfloat16 where it is "
    "given bfloat16, but for features, which may be float32, and these differ from those of float32 by a few percent",
    fix="hold float32, return x.dtype and sum in float32 (x.mean(..., dtype=jnp.float32)), or leave half_precision out",
)
def half_precision(subject: BackboneSubject) -> Iterator[str]:
    """Yield what is held in half precision, stages that leave it, and how far features are from those of float32."""
    if not subject.spec.half_precision:
        raise NotApplicable("its stages are always given float32")
    built = replace(subject.build(precision="bfloat16"), activations=jnp.dtype(jnp.bfloat16))
    types = [(name, leaf.dtype) for table in divide(built) for name, leaf in table.items()]
    faults = [f"{name} is held as {dtype}" for name, dtype in types if dtype in (jnp.bfloat16, jnp.float16)]
    if faults := [*faults, *_shape_faults(subject, built, subject.params.input_size)]:
        return (yield from faults)
    run = jax.jit(partial(built.prefix, stop=len(subject.spec.stages)))
    features, exact = np.asarray(run(built.state, subject.images)), subject.features
    error = float(np.linalg.norm(features - exact) / max(np.linalg.norm(exact), 1e-6))
    if not error <= HALF_TOLERANCE:
        yield f"features differ by {error:.3g} of their norm from those of float32"


@rule(
    RULES,
    needs=["shapes"],
    expected="the smallest input_size that the parameters allow gives features too",
    fix="raise the lower bound: input_size: int = Field(224, ge=SMALLEST) in your BackboneParams",
)
def smallest_input(subject: BackboneSubject) -> Iterator[str]:
    """Yield what goes wrong at the smallest size."""
    bounds = type(subject.params).model_fields["input_size"].metadata
    low = max([int(b.ge) for b in bounds if hasattr(b, "ge")] + [int(b.gt) + 1 for b in bounds if hasattr(b, "gt")])
    try:
        type(subject.params).model_validate(subject.params.model_dump() | {"input_size": low})
    except ValidationError as error:
        raise NotApplicable(f"input_size={low} does not go with the other parameters: {error}") from error
    try:
        faults = list(_shape_faults(subject, subject.build(input_size=low, weights="random"), low))
    except Exception as error:
        faults = [f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"]
    yield from (f"at input_size={low}: {fault}" for fault in faults)


@rule(
    RULES,
    needs=["builds"],
    expected="every parameter belongs to exactly one stage, since the host trains and keeps stages apart",
    fix="move what is outside of the stages into one of them, and let no two stages hold the same variable",
)
def stages_hold_all_parameters(subject: BackboneSubject) -> Iterator[str]:
    """Yield each parameter outside of the stages or in two of them."""
    owners: dict[int, list[str]] = {}
    for stage in subject.spec.stages:
        for path, variable in nnx.graph.iter_graph(getattr(subject.module, stage)):
            if isinstance(variable, nnx.Param):
                owners.setdefault(id(variable), []).append("/".join(map(str, (stage, *path))))
    yield from (f"{' and '.join(names)} are one parameter" for names in owners.values() if len(names) > 1)
    for path, variable in nnx.graph.iter_graph(subject.module):
        if isinstance(variable, nnx.Param) and id(variable) not in owners:
            yield f"{'/'.join(map(str, path))} is in no stage"


@rule(
    RULES,
    needs=["shapes"],
    expected="the stages one after the other compute what the module itself does when it is called",
    fix="let __call__ apply the stages in the declared order, and nothing else before, between or after them",
)
def stages_compose(subject: BackboneSubject) -> Iterator[str]:
    """Yield how far the module is from its stages."""
    subject.module.eval()
    module: Any = subject.module
    if not callable(module):
        raise NotApplicable("the module has no __call__ to compare with")
    x = subject.built.prefix({}, jnp.asarray(subject.images), 0)
    graph, state = nnx.split(module)
    whole = np.asarray(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x))
    whole = whole.mean((1, 2)) if whole.ndim == 4 else whole
    if whole.shape != subject.features.shape:
        yield f"the module returns features {whole.shape}, its stages {subject.features.shape}"
    elif fault := apart(whole, subject.features):
        yield fault


@rule(
    RULES,
    needs=["shapes"],
    expected="stages that are compiled one by one compute what all of them compute together, so that the first ones "
    "can be frozen and their output kept",
    fix="hand everything on through the one array that a stage returns: no globals, no shared modules, no attributes",
)
def prefix_splits(subject: BackboneSubject) -> Iterator[str]:
    """Yield how far the stages are from the whole."""
    features, _ = subject.chain
    if fault := apart(features, subject.features):
        yield fault


@rule(
    RULES,
    needs=["shapes"],
    expected="one seed gives the same weights and the same features to the bit; another seed draws other weights, "
    "as the digest of an extractor tells",
    fix="draw every initial value from 'rngs' and nothing from global random states, the time or the id of an object; "
    "hash the numbers",
)
def deterministic(subject: BackboneSubject) -> Iterator[str]:
    """Yield what differs between two builds or two runs."""
    again = subject.build()
    yield from (
        f"stage {stage!r} has other weights when it is built again"
        for stage, one, two in zip(again.stages, subject.built.digests(), again.digests(), strict=True)
        if one != two
    )
    for what, built in {"in a second run": subject.built, "when it is built again": again}.items():
        if not np.array_equal(subject.features_of(subject.images, built), subject.features, equal_nan=True):
            yield f"the same images have other features {what}"
    if subject.spec.frozen_only and not (subject.spec.weights and subject.params.weights == "random"):
        return
    random = subject.build(weights="random")
    if random.parameters and random.digests() == subject.other.digests():
        yield "seeds 0 and 1 draw the same weights where weights=random"


@rule(
    RULES,
    needs=["shapes"],
    expected="in eval mode the features of an image do not depend on the others of its batch, and no state changes",
    fix="let eval() reach every BatchNorm and Dropout (in Flax, lists of modules are nnx.List); compute nothing over "
    "the axis of the batch",
)
def batch_independent(subject: BackboneSubject) -> Iterator[str]:
    """Yield how far the neighbours of an image move its features."""
    images = subject.images.copy()
    images[1:] = 255 - images[1:] // 4
    if fault := apart(subject.features_of(images)[:1], subject.features[:1]):
        yield f"with other neighbours in the batch, an image's features change: {fault}"
    if subject.spec.frozen_only:
        return
    _, changed = subject.chain
    yield from (f"a run changes the state {name}" for name in changed)


@rule(
    RULES,
    needs=["shapes"],
    expected="the gradient of every trainable parameter is finite, and no stage is cut off from the loss",
    fix="guard divisions, square roots and logarithms near 0, and keep stop_gradient and rounding out of the stages",
)
def gradients(subject: BackboneSubject) -> Iterator[str]:
    """Yield each parameter with a gradient that is not finite, and each stage with none but zeros."""
    of_parameters, _ = subject.gradients
    yield from (
        f"the gradient of {name} is not finite" for name, g in of_parameters.items() if not np.isfinite(g).all()
    )
    for stage in subject.spec.stages:
        own = [g for name, g in of_parameters.items() if name.startswith(f"{stage}/")]
        if own and not any(np.any(g) for g in own):
            yield f"every gradient of stage {stage!r} is 0"


@rule(
    RULES,
    needs=["shapes"],
    expected="images of one shape are compiled once, for any content and any seed of the weights",
    fix="let shapes and types depend only on the parameters, and give every variable an explicit float32",
)
def one_compilation(subject: BackboneSubject) -> Iterator[str]:
    """Yield how often the backbone was compiled."""
    fresh: Any = jax.jit(partial(subject.built.prefix, stop=len(subject.spec.stages)))
    for state in (subject.built.state, subject.other.state):
        for images in (subject.images, 255 - subject.images):
            jax.block_until_ready(fresh(state, images))
    if (times := fresh._cache_size()) != 1:
        yield f"{number_of(times, 'compilation')} for 2 batches of one shape and weights of 2 seeds"


@rule(
    RULES,
    needs=["shapes"],
    expected="value_range is two rising finite numbers; black, white and grey images have finite features, which "
    "differ; every channel of the input reaches the features",
    fix="declare in ImageInput what the first stage takes; do not scale pixels or drop channels so that images are "
    "lost, nor divide by the deviation of an image",
)
def input_is_honoured(subject: BackboneSubject) -> Iterator[str]:
    """Yield what is wrong with the declared input, and what of it has no effect."""
    declared = subject.spec.image_input
    low, high = declared.value_range
    if not (np.isfinite([low, high]).all() and low < high):
        yield f"value_range is {declared.value_range}"
    if declared.channels not in (1, 3):
        yield f"channels is {declared.channels}"
    flat = np.broadcast_to(np.array([0, 255, 128], np.uint8)[:, None, None, None], subject.images.shape)
    features = subject.features_of(flat)
    if not np.isfinite(features).all():
        yield "features of black, white or grey images are not finite"
    elif np.array_equal(features[0], features[1]):
        yield "a black image and a white one have the same features"
    if subject.spec.frozen_only:
        return
    _, of_input = subject.gradients
    yield from (
        f"channel {i} of the input has no effect" for i in range(of_input.shape[-1]) if not of_input[..., i].any()
    )


@rule(
    RULES,
    expected="the 'weights' parameter is 'random' or the name of a WeightsSpec; every packaged file matches its "
    "digests; source and licence are stated",
    fix="run 'fer-bench weights verify NAME', pin the new digests if the file was meant to change, fill the spec in",
)
def weights_match_their_hash(subject: BackboneSubject) -> Iterator[str]:
    """Yield what is wrong with the declared weights."""
    if "weights" in marked(type(subject.params), "file"):
        raise NotApplicable("the weights are a file of the user's, which a cell records by content")
    declared = subject.spec.weights
    names = [weights.name for weights in declared]
    if subject.params.weights not in (*names, "random"):
        yield f"weights={subject.params.weights}; declared: {', '.join(names) or 'none'}"
    for weights in declared:
        if weights.file:
            verify(weights)
        yield from (
            f"weights {weights.name!r} have no {name}" for name in ("source", "licence") if not getattr(weights, name)
        )
    if not declared and subject.params.weights == "random":
        raise NotApplicable("the backbone declares no weights")


def _shape_faults(subject: BackboneSubject, built: Backbone, size: int) -> Iterator[str]:
    """Yield each stage whose output has another form than the contract says; nothing is computed."""
    spec = subject.spec
    for batch in (1, 5):
        images = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8)
        x: Any = jax.eval_shape(partial(built.prefix, stop=0), {}, images)
        for stage in spec.stages:
            x = jax.eval_shape(
                lambda state, x, graph=built.graphs[stage]: nnx.merge(graph, state)(x), built.state[stage], x
            )
            if not isinstance(x, jax.ShapeDtypeStruct):
                yield f"stage {stage!r} returns {type(x).__name__}, not one array"
                return
            if not jnp.issubdtype(x.dtype, jnp.floating) or x.shape[:1] != (batch,):
                yield f"stage {stage!r} returns {x.shape} {x.dtype} for a batch of {batch}"
                return
            if built.activations != jnp.float32 and x.dtype != built.activations and stage != spec.stages[-1]:
                yield f"stage {stage!r} returns {x.dtype} where it is given {built.activations}"
        types = {jnp.dtype(jnp.float32), built.activations}
        if x.ndim not in (2, 4) or x.shape[-1] != spec.feature_size or x.dtype not in types or 0 in x.shape:
            yield (
                f"the last stage returns {x.shape} {x.dtype}; declared are "
                f"{number_of(spec.feature_size, 'feature')} in float32"
            )
            return
