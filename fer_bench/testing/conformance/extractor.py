"""Rules for frozen-only backbones, whose features are computed outside of JAX: what `RULES` of backbones ask of stages
and gradients does not apply to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fer_bench.arrays import Array
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.forward import Extraction, Output
from fer_bench.testing.conformance import backbone
from fer_bench.testing.conformance.backbone_subject import BackboneSubject
from fer_bench.testing.conformance.comparing import apart
from fer_bench.testing.conformance.rules import ConformanceRule, rule

SHARED = ("spec-pickles", "weights-match-their-hash")
"""Rules that ask the same of every backbone."""

RULES: list[ConformanceRule[BackboneSubject]] = [known for known in backbone.RULES if known.name in SHARED]


@rule(
    RULES,
    expected="'build' returns a fer_bench.specs.Extractor: a callable with feature_size, parameter_count, digest and "
    "batch; BackboneSpec.stages has its default",
    fix="set these attributes in the class that 'build' returns",
)
def builds(subject: BackboneSubject) -> Iterator[str]:
    """Building raises where it fails."""
    _ = subject.built
    yield from ()


@rule(
    RULES,
    needs=["builds"],
    expected="features are (n, feature_size) float32 for one image, for more images than 'batch' says, and for images "
    "of several sizes",
    fix="resize every image to the side of the input, stack them, and cast what the network returns to float32",
)
def shapes(subject: BackboneSubject) -> Iterator[str]:
    """Yield which images give no features."""
    image = subject.images[0]
    batch = subject.built.extractor.batch if subject.built.extractor else 1
    for what, images in {
        "one image": [image],
        "several sizes": [image, image[: max(1, len(image) // 2)], np.tile(image, (2, 3, 1))],
        "two batches": [image] * (batch + 1),
    }.items():
        try:
            _extract(subject.built, images)
        except Exception as error:
            yield f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


@rule(
    RULES,
    needs=["shapes"],
    expected="the same images have the same features to the bit, also when the backbone is built again; the digest is "
    "then the same, and that of weights which another seed draws is another",
    fix="draw random weights from 'rngs' and nothing from global random states; switch dropout off; hash the numbers",
)
def deterministic(subject: BackboneSubject) -> Iterator[str]:
    """Yield what differs between two builds or two runs."""
    again = subject.build()
    if again.digests() != subject.built.digests():
        yield "the digest is another when it is built again"
    images = list(subject.images)
    features = _extract(subject.built, images)
    for what, built in {"in a second run": subject.built, "when it is built again": again}.items():
        if not np.array_equal(_extract(built, images), features, equal_nan=True):
            yield f"the same images have other features {what}"
    if subject.params.weights == "random" and subject.spec.weights and subject.other.digests() == again.digests():
        yield "seeds 0 and 1 draw the same weights where weights=random"


@rule(
    RULES,
    needs=["shapes"],
    expected="the features of an image do not depend on the others of its batch",
    fix="put the network into its mode for inference; compute nothing over the axis of the batch",
)
def batch_independent(subject: BackboneSubject) -> Iterator[str]:
    """Yield how far the neighbours of an image move its features."""
    others = [subject.images[0], *(255 - subject.images[1:] // 4)]
    alone = _extract(subject.built, [subject.images[0]])
    if fault := apart(_extract(subject.built, others)[:1], alone):
        yield f"with other neighbours in the batch, an image's features change: {fault}"


@rule(
    RULES,
    needs=["shapes"],
    expected="black, white and grey images have finite features, which differ",
    fix="scale uint8 pixels as the network wants them; do not divide by the deviation of an image",
)
def input_is_honoured(subject: BackboneSubject) -> Iterator[str]:
    """Yield what images are lost."""
    flat = [np.full_like(subject.images[0], value) for value in (0, 255, 128)]
    features = _extract(subject.built, flat)
    if not np.isfinite(features).all():
        yield "features of black, white or grey images are not finite"
    elif np.array_equal(features[0], features[1]):
        yield "a black image and a white one have the same features"


def _extract(built: Backbone, images: Sequence[Array]) -> Array:
    """Return the features of images, each (h, w, 3) uint8, as the host gets them, (n, feature_size) float32."""
    ((values, _, _),) = Extraction(built, [Output(1, 1, np.dtype(np.float32), rounded=False)])(images)
    return values[:, 0]
