"""Strategies that train by gradients, as data: which parameters learn in which phase, and how fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fer_bench.specs import ConvexPhase, GradientPhase, Params, Plan, Rule

HEAD_FIRST = ConvexPhase(c=0.1, standardize=False, max_iterations=500, tolerance=1e-4)
"""A head at its optimum, so that the first gradients do not wreck the features (Kumar et al., arXiv:2202.10054).

Fitted on features as they are: scaling would give those that hardly vary weights so large that a small change below
throws the logits about. A penalty this strong keeps the head from knowing its training part by heart, which would leave
the stages below nothing to learn from; docs/strategies.md has the figures."""
NORMS_AND_BIASES = r"(.*/)?(bias|scale)"


class TrainingParams(Params):
    """Parameters that all strategies here share."""

    epochs: int = Field(5, ge=1, le=10_000, description="passes over the training part, in each phase")
    batch: int = Field(32, ge=1, le=65_536, description="samples a step")
    learning_rate: float = Field(1e-4, ge=1e-9, le=100, description="the highest, of the backbone")
    head_rate: float = Field(10.0, ge=1e-6, le=1e6, description="factor of it for the head")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="optimizer")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the rate after the warm-up")
    warmup: float = Field(0.1, ge=0, le=0.99, description="share of the steps in which the rate grows")
    weight_decay: float = Field(1e-4, ge=0, le=100, description="of kernels, apart from the gradient")
    label_smoothing: float = Field(0.0, ge=0, le=0.99, description="share of the target spread over all classes")
    labels: Literal["hard", "soft"] = Field("hard", description="classes, or what annotators saw of each class")
    balance: Literal["none", "weights", "sampling"] = Field("none", description="how rare classes are made up for")
    flip: bool = Field(True, description="mirror half of the images")
    augment: tuple[Literal["affine", "colour", "erase"], ...] = Field(
        (), description="changes of images, new at each step; they turn the cache off"
    )
    mixup: float = Field(0.0, ge=0, le=100, description="alpha of mixing two images; turns the cache off")
    cutmix: float = Field(0.0, ge=0, le=100, description="alpha of pasting a rectangle; likewise")
    dropout: float = Field(0.0, ge=0, le=0.99, description="share of the features that the head does not see")
    batch_norm: Literal["frozen", "train"] = Field("frozen", description="stored statistics, or those of the batch")
    patience: int = Field(
        0, ge=0, le=10_000, description="stop after so many epochs without gain in validation; 0: never"
    )
    validation: float = Field(0.1, ge=0.01, le=0.5, description="share of the training part, cut if patience is set")

    @field_validator("augment", mode="before")
    @classmethod
    def _alone(cls, value: object) -> object:
        """Let ``augment=affine`` stand for a list of one."""
        return (value,) if isinstance(value, str) else value


class FullParams(TrainingParams):
    """Parameters of `full` and `lp-ft`."""


class FinetuneParams(TrainingParams):
    """Parameters of `finetune`."""

    from_stage: str | int = Field(-2, description="first stage that trains: a name, or -2 for the last two")


class GradualParams(TrainingParams):
    """Parameters of `gradual-unfreeze`."""

    epochs: int = Field(2, ge=1, le=10_000, description="passes over the training part, in each phase")
    stages: int = Field(3, ge=1, le=1000, description="stages that train in the end; one phase each")


class DiscriminativeParams(TrainingParams):
    """Parameters of `discriminative-lr`."""

    stages: int = Field(4, ge=1, le=1000, description="stages from the top that train")
    decay: float = Field(2.6, gt=1, le=100, description="each stage is so much slower than the one above")


class BitFitParams(TrainingParams):
    """Parameters of `bitfit`."""

    learning_rate: float = Field(1e-3, ge=1e-9, le=100, description="the highest, of the backbone")


class LoraParams(TrainingParams):
    """Parameters of `lora`."""

    learning_rate: float = Field(1e-3, ge=1e-9, le=100, description="the highest, of the backbone")
    rank: int = Field(8, ge=1, le=4096, description="of the change of each pointwise kernel")
    from_stage: str | int = Field(-2, description="first stage that changes: a name, or -2 for the last two")


class ScratchParams(TrainingParams):
    """Parameters of `scratch`."""

    epochs: int = Field(30, ge=1, le=10_000, description="passes over the training part")
    learning_rate: float = Field(1e-3, ge=1e-9, le=100, description="the highest")
    head_rate: float = Field(1.0, ge=1e-6, le=1e6, description="factor of it for the head")
    batch_norm: Literal["frozen", "train"] = Field("train", description="stored statistics, or those of the batch")


def plan_finetune(params: FinetuneParams) -> Plan:
    """Return the plan of Nasri et al. (ATSIP 2020): the head first, then the last stages with it."""
    return _plan(params, HEAD_FIRST, _phase(params, "finetune", _from(params.from_stage)))


def plan_gradual(params: GradualParams) -> Plan:
    """Return the plan of gradual unfreezing (Howard & Ruder, arXiv:1801.06146, sec. 3.3)."""
    phases = [_phase(params, f"last-{count}", _from(-count)) for count in range(1, params.stages + 1)]
    return _plan(params, HEAD_FIRST, *phases)


def plan_discriminative(params: DiscriminativeParams) -> Plan:
    """Return the plan of discriminative learning rates (Howard & Ruder, arXiv:1801.06146, sec. 3.2)."""
    rules = [Rule(rate=0, stop=-params.stages)]
    for above in range(params.stages):
        rules.append(Rule(rate=params.decay**-above, start=-above - 1, stop=-above or None))
    return _plan(params, HEAD_FIRST, _phase(params, "discriminative", tuple(rules)))


def plan_full(params: FullParams) -> Plan:
    """Return the plan of training everything at once."""
    return _plan(params, _phase(params, "full", (Rule(),)))


def plan_lp_ft(params: FullParams) -> Plan:
    """Return the plan of Kumar et al. (arXiv:2202.10054): linear probing, then fine-tuning of everything."""
    return _plan(params, HEAD_FIRST, _phase(params, "full", (Rule(),)))


def plan_bitfit(params: BitFitParams) -> Plan:
    """Return the plan of Ben Zaken et al. (arXiv:2106.10199), with the scales of norms (Frankle, arXiv:2003.00152)."""
    rules = (Rule(leaves=NORMS_AND_BIASES), Rule(rate=0, leaves=rf"(?!{NORMS_AND_BIASES}$).*"))
    return _plan(params, HEAD_FIRST, _phase(params, "bitfit", rules))


def plan_lora(params: LoraParams) -> Plan:
    """Return the plan of Hu et al. (arXiv:2106.09685) on pointwise kernels."""
    rules = (Rule(rate=0, stop=params.from_stage), Rule(start=params.from_stage, rank=params.rank))
    return _plan(params, HEAD_FIRST, _phase(params, "lora", rules))


def plan_scratch(params: ScratchParams) -> Plan:
    """Return the plan of training from random weights."""
    return Plan(
        phases=(_phase(params, "scratch", (Rule(),)),),
        validation=params.validation if params.patience else 0.0,
        pretrained=False,
    )


def _from(stage: str | int) -> tuple[Rule, ...]:
    return Rule(rate=0, stop=stage), Rule(start=stage)


def _plan(params: TrainingParams, *phases: ConvexPhase | GradientPhase) -> Plan:
    return Plan(phases=phases, validation=params.validation if params.patience else 0.0)


def _phase(params: TrainingParams, name: str, rules: tuple[Rule, ...]) -> GradientPhase:
    return GradientPhase(
        name=name,
        rules=(*rules, Rule(head=True, rate=params.head_rate)),
        epochs=params.epochs,
        batch=params.batch,
        learning_rate=params.learning_rate,
        optimizer=params.optimizer,
        schedule=params.schedule,
        warmup=params.warmup,
        weight_decay=params.weight_decay,
        label_smoothing=params.label_smoothing,
        labels=params.labels,
        balance=params.balance,
        flip=params.flip,
        augment=params.augment,
        mixup=params.mixup,
        cutmix=params.cutmix,
        dropout=params.dropout,
        batch_norm=params.batch_norm,
        patience=params.patience,
    )
