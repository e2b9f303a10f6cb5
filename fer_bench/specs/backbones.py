"""What plugins return of a backbone: its stages, what the first of them expects, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field, field_validator

from fer_bench.specs.params import Params

LARGEST_SIDE = 1024
"""Pixels: of the images that any backbone takes."""


class BackboneParams(Params):
    """Parameters that every backbone has; subclasses narrow the ranges and set the defaults.

    A field whose ``json_schema_extra`` is ``{"file": True}`` is the path of a file, or empty: a cell records the file's
    name and sha256, and not where it lies. One with ``{"code": True}`` is a reference ``package.module:attribute`` to a
    user's own code, or empty, which counts as a plugin's code does. Of any other text that a user sets, a cell hides
    folders and user names.
    """

    input_size: int = Field(224, ge=1, description="side of the square input, pixels")
    weights: str = Field("random", description="name of a WeightsSpec, or 'random'")

    @field_validator("input_size")
    @classmethod
    def _no_larger(cls, side: int) -> int:
        """Hold for subclasses too, also if their own field has another range."""
        if side > LARGEST_SIDE:
            raise ValueError(f"the side of an input is at most {LARGEST_SIDE} pixels")
        return side


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInput:
    """What a backbone's first stage expects, so that the host can prepare images on the device.

    Attributes:
        channels: 3, or 1 for grey; the host repeats or averages channels to fit.
        value_range: what 0 and 255 become.
        resize: ``jax.image.resize`` kernel, antialiased when shrinking.
    """

    channels: Literal[1, 3] = 3
    value_range: tuple[float, float] = (-1.0, 1.0)
    resize: Literal["linear", "cubic"] = "linear"


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSpec:
    """One set of pre-trained weights.

    Attributes:
        name: as in ``backbone[weights=name]``.
        file: ``"package:path"`` of a safetensors file inside the plugin's wheel. Empty where ``build`` reads what
            ``fer-bench weights fetch`` got (`fer_bench.keeping.published.fetched_file`), and then ``digests`` and
            ``convert`` are empty too; or where ``build`` gets the weights by itself, and then ``url`` is empty too.
        digests: ``"package:path"`` of a JSON file that pins ``{tensor: sha256 of its little-endian bytes}``.
        convert: reference to ``(path: Path) -> dict[str, numpy.ndarray]``, from a published file to the plugin's
            tensors; raises FerBenchError that lists every mismatch at once.
        url: the published file, or with ``by_hand`` the page that it lies behind.
        sha256: of the published file; empty where it is not published.
        source: who trained it.
        licence: of the weights; its SPDX identifier where it has one.
        data: what the weights were trained on, and on which terms that may be used.
        by_hand: whether only a person with a browser gets the file, which is then named by the backbone's parameter
            ``file``; ``source`` says which file it is.
    """

    name: str
    file: str
    digests: str
    convert: str
    url: str
    sha256: str
    source: str
    licence: str
    data: str = ""
    by_hand: bool = False


class Extractor(Protocol):
    """A network that is computed outside of JAX: what ``build`` of a frozen-only backbone returns.

    Attributes:
        feature_size: length of the feature vector.
        parameter_count: how many numbers the network has; 0 if that is unknown.
        digest: sha256 of these numbers, since cached features belong to them.
        batch: images that one call gets at the most, >= 1.
    """

    feature_size: int
    parameter_count: int
    digest: str
    batch: int

    def __call__(self, images: Sequence[Any]) -> Any:
        """Return the features of images, (n, feature_size) float32; those of an image do not depend on the others.

        Args:
            images: n arrays (h, w, 3) uint8, RGB, in the size in which they are stored; sizes may differ. The extractor
                resizes, crops and scales them as its network wants it.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkInput:
    """What a network outside of JAX takes: of a pixel v of 0 to 255 the number
    ``(low + v / 255 * (high - low) - mean) / std``.

    Attributes:
        side: of its square images, pixels.
        any_side: whether the network takes other sides, too.
        value_range: low and high.
        mean: one, or those of red, green and blue; likewise ``std``.
        std: above 0.
    """

    side: int
    any_side: bool = False
    value_range: tuple[float, float]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@runtime_checkable
class AdjustableExtractor(Protocol):
    """An `Extractor` whose network may be given other input than its card says, which ``fer-bench verify`` tries.

    Attributes:
        network_input: as its card says; None if it is fixed within the network.
    """

    network_input: NetworkInput | None

    def with_input(self, network_input: NetworkInput) -> Extractor:
        """Return the same network with other input; its side is another only if ``any_side`` says so."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneSpec:
    """A backbone: named stages in order, from an image batch to features.

    ``build(params, rngs=nnx.Rngs, compute_dtype=jnp.dtype)`` returns an ``nnx.Module`` in eval mode, weights loaded,
    that has every stage as an attribute, each an ``nnx.Module`` itself. The first stage takes (b, s, s, c) float32 in
    ``image_input.value_range`` with s = ``params.input_size``; each takes what the one before returns, one array; the
    last returns (b, h, w, ``feature_size``), which the host averages over space, or (b, ``feature_size``), float32.
    With ``half_precision`` a stage may also get bfloat16, and returns it then.

    A frozen-only backbone is computed outside of JAX, such as by onnxruntime or torch: its ``build`` returns an
    `Extractor` instead, and no gradient reaches it. Strategies that train by gradients are refused before a run.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        build: reference to the function above.
        stages: attribute names, in order; a frozen-only backbone leaves the default.
        feature_size: length of the feature vector; 0 for a frozen-only backbone, whose extractor says it.
        image_input: what the first stage expects; a frozen-only backbone leaves the default.
        frozen_only: whether ``build`` returns an `Extractor`.
        half_precision: whether every stage also takes bfloat16 and then returns bfloat16, or the last one float32, with
            sums over space, batch and channels in float32. The host gives it where products are bfloat16 on an
            accelerator; parameters are float32 always. Without it every stage gets float32.
        by_params: reference to ``(params) -> Mapping[str, object]``, values of other fields of this spec (``stages``,
            ``feature_size``, ``image_input``, ``answers``) for these parameters, where the fields themselves are those
            of the defaults. Empty if none depends on the parameters.
        named_by: parameter whose value may also stand behind the name: where it is ``name``, users may write
            ``keras-resnet50`` for ``keras[name=resnet50]``. Empty if there is none.
        weights: pre-trained weights, the default first.
        answers: of a finished classifier, whose eight features are probabilities of `fer_bench.labels.EXPRESSIONS` in
            that order: reference to ``(params) -> Sequence[str]``, those that it knows. Empty for all others.
        notes: reference to ``(params) -> Sequence[str]``, what a user should know before believing a score, such as
            what it was trained on; printed when a run begins. Empty if there is nothing.
        files: reference to ``(params) -> Mapping[str, Path]``, by any name the files that no parameter names and that
            decide the features, such as weights that a library keeps; a cell records their sha256. It is asked before
            a run begins: it raises `fer_bench.errors.MissingError` with every way to get what is not on this machine,
            and FerBenchError with all that else keeps the backbone from being built. Empty if there are none.
        params: parameters with defaults.
    """

    name: str
    summary: str
    build: str
    stages: tuple[str, ...] = ("features",)
    feature_size: int = 0
    image_input: ImageInput = ImageInput()
    frozen_only: bool = False
    half_precision: bool = False
    by_params: str = ""
    named_by: str = ""
    weights: tuple[WeightsSpec, ...] = ()
    answers: str = ""
    notes: str = ""
    files: str = ""
    params: type[BackboneParams] = BackboneParams
