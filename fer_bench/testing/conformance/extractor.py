"""Rules for frozen-only backbones, whose features are computed outside of JAX: what `RULES` of backbones ask of stages
and gradients does not apply to them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_bench.testing.conformance import backbone
from fer_bench.testing.conformance.backbone_subject import BackboneSubject
from fer_bench.testing.conformance.rules import ConformanceRule, rule

SHARED = ("spec-pickles", "weights-match-their-hash", "deterministic", "batch-independent", "input-is-honoured")
"""Rules that ask the same of every backbone, as far as it has no gradients."""

RULES: list[ConformanceRule[BackboneSubject]] = []


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
            subject.features_of(images)
        except Exception as error:
            yield f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


RULES += [known for known in backbone.RULES if known.name in SHARED]
