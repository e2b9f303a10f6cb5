"""What plugins return of a strategy: the phases of training that the host carries out."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, create_model

from fer_bench.specs.params import Params

Calibrate = Literal["none", "temperature", "bias"]
Views = Literal["image", "mirror", "crops"]
Aggregate = Literal["none", "mean", "majority"]


class StrategyParams(Params):
    """Parameters that every strategy has beside its own: how a trained model predicts. The host adds and obeys them.

    A validation part of training serves ``calibrate``: that of the strategy, or a fifth of the training part.
    """

    calibrate: Calibrate = Field(
        "none",
        description="temperature fits one temperature for all classes on a validation part of training, bias also a "
        "bias for each class; none leaves probabilities as they are",
    )
    views: Views = Field(
        "image",
        description="what is predicted of a test image: image as it is; mirror also its mirror image; crops its middle "
        "and its four corners; of several views, the mean probability counts",
    )
    aggregate: Aggregate = Field(
        "none",
        description="mean gives all test images of a sequence the answer with the highest mean log-probability, "
        "majority the shares of their answers; none answers for each image",
    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of: a class that is made in one process has no name in another."""
        return _remade, (_OWN[type(self)], self.model_dump(exclude_unset=True))


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
        min_samples: fewest training samples that it can be fitted to. A run with fewer is refused before any work.
        min_per_class: likewise, of each class that is in the training part.
    """

    estimator: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    min_samples: int = 1
    min_per_class: int = 1


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
            apart from the gradient, only kernels.
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
        patience: epochs without a lower loss on the validation part after which training stops and takes the best; 0
            trains to the end. Needs ``Plan.validation``.
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
        phases: in order. A ReadoutPhase or AnswerPhase is the only one; a ConvexPhase comes first, and gradient
            phases go on from its head.
        validation: share of the training part of each fold that is cut out as ``Fold.valid``, 0 to 0.5.
        pretrained: False starts from random weights, drawn by the cell's seed.
        calibrate: as in `StrategyParams`, which users set, like ``views`` and ``aggregate``: a strategy leaves all
            three as they are.
    """

    phases: tuple[Phase, ...]
    validation: float = 0.0
    pretrained: bool = True
    calibrate: Calibrate = "none"
    views: Views = "image"
    aggregate: Aggregate = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategySpec:
    """A way of adapting a backbone to labels.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        summary: one line.
        plan: reference to ``(params) -> Plan``.
        params: parameters with defaults; the host adds those of `StrategyParams`.

    Raises:
        ValueError: ``params`` has a parameter of `StrategyParams`.
    """

    name: str
    summary: str
    plan: str
    params: type[Params] = Params

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _with_common(self.params))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """Pickle what it was made of, as `StrategyParams` does."""
        own = {"name": self.name, "summary": self.summary, "plan": self.plan, "params": _OWN[self.params]}
        return functools.partial(StrategySpec, **own), ()


_OWN: dict[type[Params], type[Params]] = {}
"""Parameters of a strategy with those that all strategies have -> its own."""


def _remade(own: type[Params], values: dict[str, Any]) -> Params:
    return _with_common(own).model_validate(values)


def own_params(params: Params) -> Params:
    """Return those parameters of a strategy that it declares itself."""
    return _OWN[type(params)].model_validate(params.model_dump(exclude=set(StrategyParams.model_fields)))


@functools.cache
def _with_common(params: type[Params]) -> type[Params]:
    """Return parameters of a strategy with those that all strategies have."""
    if params in _OWN:
        return params
    if reserved := sorted(params.model_fields.keys() & StrategyParams.model_fields.keys()):
        raise ValueError(f"{params.__name__} has a parameter {reserved[0]!r}, which every strategy gets from fer-bench")
    bases = StrategyParams, params
    combined = create_model(params.__name__, __base__=bases, __module__=params.__module__, __doc__=params.__doc__)
    _OWN[combined] = params
    return combined
