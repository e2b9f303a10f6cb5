"""What plugins return: frozen descriptions of data sets, protocols, backbones, strategies and metrics.

A spec carries names and numbers; whatever is heavy (a TFDS builder, a Flax module) it names as an
``"package.module:attribute"`` reference, so that listing plugins imports neither jax nor TFDS.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

INTERFACE_VERSION = 1
"""The version of this module's contracts; it grows when a plugin written for the former one would break."""

LARGEST_SIDE = 1024
"""Pixels: of the images that any backbone takes."""
MOST_FOLDS = 100_000
"""Of one protocol, repetitions counted."""


def resolve(reference: str) -> Any:
    """Import and return what ``"package.module:attribute"`` names.

    Raises:
        ValueError: ``reference`` has another form.
        ImportError: the module cannot be imported, or has no such attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{reference!r} is not of the form 'package.module:attribute'")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ImportError(f"module {module_name!r} has no attribute {attribute!r}") from error


class Params(BaseModel):
    """The parameters of a component, as a frozen pydantic model with a default for every field.

    Users set them as ``name[field=value,…]`` and in YAML; an unknown field or a value out of range is an error
    that names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DatasetParams(Params):
    """Parameters that every data set has.

    Fields whose ``json_schema_extra`` is ``{"view": True}`` choose among prepared samples; all others choose what
    is prepared.
    """

    split: str = Field("", description="use only this official split", json_schema_extra={"view": True})


class BackboneParams(Params):
    """Parameters that every backbone has; subclasses narrow the ranges and set the defaults.

    A field whose ``json_schema_extra`` is ``{"file": True}`` is the path of a file, or empty: a cell records the file's
    name and sha256, and not where it lies. Of any other text that a user sets, a cell hides folders and user names.
    """

    input_size: int = Field(224, ge=1, description="side of the square input, pixels")
    weights: str = Field("random", description="name of a WeightsSpec, or 'random'")

    @field_validator("input_size")
    @classmethod
    def _no_larger(cls, side: int) -> int:
        """Hold for subclasses too, whatever range their own field has."""
        if side > LARGEST_SIDE:
            raise ValueError(f"the side of an input is at most {LARGEST_SIDE} pixels")
        return side


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image of a data set, as an adapter reads it.

    Attributes:
        id: unique and stable within the data set: a relative path or a row number.
        image: path of an image file, or its encoded bytes (PNG, JPEG, TIFF, …); any size; grey or colour.
        label: native label name.
        split: official split, or empty.
        subject: identity of the person, or empty where unknown.
        sequence: the video or burst that the image was taken from, or empty.
        groups: attributes, which become columns for group scores (``{"country": "ES"}``).
        soft_label: native label name -> its weight, such as votes, at least 0; a label that is not named has 0. The
            host scales the sum to 1. All samples of a data set have one, or none has.
        box: left, top, right, bottom in pixels of the picture that ``image`` was cut out of; None where it is whole.
    """

    id: str
    image: Path | bytes
    label: str
    split: str = ""
    subject: str = ""
    sequence: str = ""
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    soft_label: Mapping[str, float] = field(default_factory=dict[str, float])
    box: tuple[int, int, int, int] | None = None


SplitRole = Literal["train", "validation", "test"]
"""What an official split is for."""

Counts = Mapping[str, Mapping[str, int]]
"""Split -> label -> number of samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSpec:
    """A data set.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        title: for people.
        builder: reference to a ``fer_bench.data.builder.FerBuilder`` subclass.
        labels: native label names in the data set's own order; empty where the data decide (a manifest).
        expressions: native label -> the one of `fer_bench.labels.EXPRESSIONS` that it means, or ``""`` where it means
            none; label sets map by it. A label that is not named is told by its spelling.
        identity: whether samples carry a subject: ``"yes"``, ``"no"``, ``"maybe"`` where the data decide, or
            ``"proxy"`` where something stands for the person, such as the film that a face is from.
        splits: official split names; empty where there are none.
        roles: official split -> what it is for; the protocol ``official`` goes by it. Told by their names if empty.
        expected_counts: split -> label -> samples, where published; the label ``""`` stands for all of a split.
        variants: the same for each release or parameter, where the numbers depend on it: ``"release=2021"`` -> ….
        licence: of the images.
        citation: one line.
        access: how to get it and in which layouts it may lie on disk; empty if the package makes it itself.
        synthetic: drawn by a program; tables say so.
        params: parameters with defaults.
    """

    name: str
    title: str
    builder: str
    labels: tuple[str, ...]
    identity: Literal["yes", "no", "maybe", "proxy"]
    licence: str
    citation: str
    access: str = ""
    splits: tuple[str, ...] = ()
    roles: Mapping[str, SplitRole] = field(default_factory=dict[str, SplitRole])
    expressions: Mapping[str, str] = field(default_factory=dict[str, str])
    expected_counts: Counts = field(default_factory=dict[str, Mapping[str, int]])
    variants: Mapping[str, Counts] = field(default_factory=dict[str, Counts])
    synthetic: bool = False
    params: type[DatasetParams] = DatasetParams


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
        file: ``"package:path"`` of a safetensors file inside the plugin's wheel; empty where ``build`` gets the weights
            by itself, and then ``digests``, ``convert``, ``url`` and ``sha256`` are empty too.
        digests: ``"package:path"`` of a JSON file that pins ``{tensor: sha256 of its little-endian bytes}``.
        convert: reference to ``(path: Path) -> dict[str, numpy.ndarray]``, from a published file to the plugin's
            tensors; raises FerBenchError that lists every mismatch at once.
        url: the published file.
        sha256: of the published file.
        source: who trained it, on what.
        licence: of the weights.
    """

    name: str
    file: str
    digests: str
    convert: str
    url: str
    sha256: str
    source: str
    licence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneSpec:
    """A backbone: named stages in order, from an image batch to features.

    ``build(params, rngs=nnx.Rngs, compute_dtype=jnp.dtype)`` returns an ``nnx.Module`` in eval mode, weights loaded,
    that has every stage as an attribute, each an ``nnx.Module`` itself. The first stage takes (b, s, s, c) float32 in
    ``image_input.value_range`` with s = ``params.input_size``; each takes what the one before returns, one array; the
    last returns (b, h, w, ``feature_size``), which the host averages over space, or (b, ``feature_size``), float32.

    A module that computes elsewhere, with numbers that are no ``nnx.Param``, may say how many in ``parameter_count``.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        build: reference to the function above.
        stages: attribute names, in order.
        feature_size: length of the feature vector.
        image_input: what the first stage expects.
        weights: pre-trained weights, the default first.
        answers: of a finished classifier, whose eight features are probabilities of `fer_bench.labels.EXPRESSIONS` in
            that order: reference to ``(params) -> Sequence[str]``, those that it knows. Empty for all others.
        notes: reference to ``(params) -> Sequence[str]``, what a user should know before believing a score, such as
            what it was trained on; printed when a run begins. Empty if there is nothing.
        params: parameters with defaults.
    """

    name: str
    summary: str
    build: str
    stages: tuple[str, ...]
    feature_size: int
    image_input: ImageInput = ImageInput()
    weights: tuple[WeightsSpec, ...] = ()
    answers: str = ""
    notes: str = ""
    params: type[BackboneParams] = BackboneParams


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvexPhase:
    """Fit the linear head to convergence on the features of the frozen backbone: multinomial logistic regression.

    Minimises ``c * sum(cross-entropy) + ||W||^2 / 2`` as scikit-learn's ``LogisticRegression`` does, the
    intercept free.

    Attributes:
        c: inverse strength of the penalty, > 0.
        standardize: scale each feature by the mean and deviation of the training part.
        max_iterations: of L-BFGS, >= 1.
        tolerance: stop when the largest gradient entry of the mean loss falls below it, > 0.
    """

    c: float
    standardize: bool
    max_iterations: int
    tolerance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadoutPhase:
    """Fit a scikit-learn classifier on the features of the frozen backbone, one a fold.

    Attributes:
        estimator: reference to ``(**options) -> estimator`` with ``fit``, ``predict_proba`` and ``classes_``.
        options: plain values.
    """

    estimator: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How fast some of the parameters learn.

    Without ``head``, a rule is about the stages of the backbone from ``start`` to before ``stop``, each a name or a
    position as in a Python slice (``-2`` is the last but one), and there about the parameters whose path below the
    stage (``sepconv1/pointwise``) ``leaves`` matches as a whole.

    Attributes:
        rate: factor of the phase's learning rate; 0 keeps the parameters as they are, to the bit.
        start: first stage; None is the first of all.
        stop: the stage after the last; None goes to the end.
        leaves: regular expression.
        head: the rule is about the linear head instead (``kernel``, ``bias``).
        rank: above 0, the parameters stay and every matrix among them gets a trained change of this rank; what is no
            matrix stays. Kernels of 1x1 convolutions are matrices (Hu et al., arXiv:2106.09685, sec. 4.1).
    """

    rate: float = 1.0
    start: str | int | None = None
    stop: str | int | None = None
    leaves: str = ".*"
    head: bool = False
    rank: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientPhase:
    """Train by mini-batch gradients of the cross-entropy.

    Every parameter of the model must be matched by exactly one rule. What lies below the first stage that learns runs
    once and comes from the cache.

    Attributes:
        name: for the history.
        rules: which parameters learn, and how fast.
        epochs: passes over the training part, >= 1.
        batch: samples a step, >= 1; the rest of an epoch that fills no batch is left out of it.
        learning_rate: the highest, > 0.
        optimizer: ``adamw`` (Loshchilov & Hutter, arXiv:1711.05101) or ``sgd`` with momentum 0.9; both decay weights
            apart from the gradient, kernels alone.
        schedule: after the warm-up, ``cosine`` to 0 or ``constant``.
        warmup: share of the steps in which the rate grows linearly, 0 to below 1.
        weight_decay: >= 0.
        clip: largest norm of the gradient over all parameters, > 0.
        label_smoothing: share of the target that is spread over all classes, 0 to below 1.
        labels: ``hard`` trains on the class of each sample; ``soft`` on how much of each class annotators saw in it,
            for data sets that say so.
        balance: ``weights`` weighs each class by its rarity, ``sampling`` draws all classes equally often; of soft
            labels, by what is expected of them.
        flip: mirror half of the images; the cache holds them.
        augment: further changes of images, new at each step: ``affine`` (rotate, scale, shift), ``colour`` (brightness,
            contrast, saturation), ``erase`` (a rectangle of noise). No cache holds them: the phase runs from the image.
        mixup: parameter alpha of the Beta distribution by which two images and their targets are mixed (Zhang et al.,
            arXiv:1710.09412); 0 mixes nothing. It turns the cache off, too.
        cutmix: likewise, of pasting a rectangle (Yun et al., arXiv:1905.04899); only one of the two.
        dropout: share of the features that the head does not see, 0 to below 1.
        batch_norm: ``frozen`` normalises by stored statistics, ``train`` by those of the batch in the stages that
            learn, and updates what is stored.
        patience: stop after so many epochs without a lower loss on the validation part, and take the best; 0 trains to
            the end. Needs ``Plan.validation``.
    """

    name: str
    rules: tuple[Rule, ...]
    epochs: int
    batch: int = 32
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip: float = 1.0
    label_smoothing: float = 0.0
    labels: Literal["hard", "soft"] = "hard"
    balance: Literal["none", "weights", "sampling"] = "none"
    flip: bool = False
    augment: tuple[Literal["affine", "colour", "erase"], ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    dropout: float = 0.0
    batch_norm: Literal["frozen", "train"] = "frozen"
    patience: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPhase:
    """Fit nothing: take the probabilities that a finished classifier gives (`BackboneSpec.answers`).

    Classes that it does not know get probability 0; what it gives to classes that the task does not have is dropped,
    and the rest scaled to sum to 1.
    """


Phase = ConvexPhase | ReadoutPhase | GradientPhase | AnswerPhase


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a strategy wants done, phase by phase; the host's engine does it.

    Attributes:
        phases: in order. A ReadoutPhase or AnswerPhase stands alone; a ConvexPhase comes first, and its head is where
            gradient phases go on.
        validation: share of the training part of each fold that is cut out as ``Fold.valid``, 0 to 0.5.
        pretrained: False starts from random weights, drawn by the cell's seed.
    """

    phases: tuple[Phase, ...]
    validation: float = 0.0
    pretrained: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategySpec:
    """A way of adapting a backbone to labels.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        plan: reference to ``(params) -> Plan``.
        params: parameters with defaults.
    """

    name: str
    summary: str
    plan: str
    params: type[Params] = Params


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolSpec:
    """A way of dealing the samples of a data set to training and test.

    ``splitter`` is a reference to ``(params, samples, seed) -> splitter``. ``samples`` is a
    `fer_bench.tasks.splitting.Samples`; ``seed``, 0 to 4294967295, decides every random choice. The splitter has the
    interface of scikit-learn's: ``split(X, y, groups)`` yields, fold by fold, the positions of the samples that train
    and of those that are tested. The host calls it with the labels as X and y, and with the groups where they stay
    apart. A `FerBenchError` says in words why samples cannot be dealt.

    A parameter whose ``json_schema_extra`` is ``{"setting": "folds"}`` takes the run's setting of that name where the
    brackets do not say it; likewise ``repeats`` and ``test_split``.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        splitter: reference to the function above; empty where ``settle`` always names another one.
        settle: reference to ``(params, samples) -> (name, values, why)``, of a protocol that depends on the data: the
            name of the one that is taken, values for its parameters, and the reason in words. Empty for all others.
        groups: what becomes of samples that belong together: ``apart`` keeps them in one part, ``ignored`` does not
            look at them, ``published`` takes the parts of the data set as they are; ``--leak-free`` mends them.
        tests: how often a sample is tested: ``once`` each; ``repeatedly``, each equally often; ``some`` at most once.
        seeded: whether other seeds give other folds.
        trains_on_others: no sample of the tested data set trains; the data sets of ``--train-on`` do.
        params: parameters with defaults.
    """

    name: str
    summary: str
    splitter: str = ""
    settle: str = ""
    groups: Literal["apart", "ignored", "published"] = "apart"
    tests: Literal["once", "repeatedly", "some"] = "once"
    seeded: bool = True
    trains_on_others: bool = False
    params: type[Params] = Params


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricSpec:
    """A number for the predictions of a cell, row or resample.

    ``metric`` is a reference to ``(params) -> (true, predictions) -> float``: ``true`` are labels from 0, (n,) int64;
    ``predictions`` probabilities, (n, c) float64 whose rows sum to 1, or with ``needs="labels"`` predicted labels,
    (n,) int64. Intervals call it on resamples, in which a class may be missing.

    A metric that asks for more gets it by keyword: ``soft_labels``, (n, c) float64, the shares of annotators who named
    each class; ``groups``, a dict from the name of an attribute, such as ``sex``, to the (n,) names of the samples'
    groups, str objects that are empty where one is not known. It is left out where the data have no such thing, and
    cannot be gated, since a frozen baseline holds none.

    Attributes:
        name: an identifier in lower case, such as ``top2_accuracy``, that the core does not use.
        title: how tables print it.
        metric: reference to the function above.
        higher_is_better: its direction.
        lowest: the least it can be; likewise ``highest``. Either may be infinite; what lies outside is an error.
        needs: what it is given.
        soft_labels: whether it is also given soft labels; likewise ``groups``.
        params: parameters with defaults.
    """

    name: str
    title: str
    metric: str
    higher_is_better: bool
    lowest: float = 0.0
    highest: float = 1.0
    needs: Literal["labels", "probabilities"] = "probabilities"
    params: type[Params] = Params
    soft_labels: bool = False
    groups: bool = False
