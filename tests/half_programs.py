"""The programs of a backbone as a GPU gets them, and which of their operations would store float32 images."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer
from fer_bench.learning.state import Batches, Model
from fer_bench.networks.backbone import Backbone
from fer_bench.networks.forward import Forward, Output
from fer_bench.specs import GradientPhase, Rule

BATCH = 4
CLASSES = 7
ELEMENTWISE = (
    "abs add and clamp compare convert divide erf erfc exponential is_finite log logistic maximum minimum multiply"
)
ELEMENTWISE += " negate not or power rsqrt select sign sqrt square subtract tanh"
FUSIBLE = {*ELEMENTWISE.split(), "broadcast_in_dim", "reduce", "reshape"}
"""Operations that XLA joins with those before or after them, so that what is between is not stored."""


def everything(batch_norm: str = "frozen") -> GradientPhase:
    """Return a phase that trains all parameters."""
    rules = (Rule(), Rule(head=True))
    return GradientPhase(name="all", rules=rules, epochs=1, batch=BATCH, learning_rate=1e-3, batch_norm=batch_norm)


def programs(backbone: Backbone, phase: GradientPhase, side: int, *names: str) -> dict[str, str]:
    """Return the text of `lowered_programs`, StableHLO."""
    return {name: program.as_text() for name, program in lowered_programs(backbone, phase, side, *names).items()}


def lowered_programs(
    backbone: Backbone,
    phase: GradientPhase,
    side: int,
    *names: str,
    place: Callable[[Any], Any] = lambda values: values,
) -> dict[str, Any]:
    """Return programs that work on images of (side, side), each lowered for CUDA.

    Args:
        backbone: built as on an accelerator.
        phase: that trains it.
        side: of the images, pixels.
        names: of the programs, as below; all where none is named.
        place: returns what arguments are traced with.
    """
    model = Model.first(backbone, CLASSES)
    images = np.zeros((BATCH, side, side, backbone.image_input.channels), np.uint8)
    trainer = Trainer(backbone, phase, model.shapes)
    kept: Any = images
    if trainer.start:  # what was kept of the stages before
        kept = np.zeros(backbone.shapes(images, [trainer.start])[trainer.start].shape, np.float16)
    table = {**model.parameters, **model.others}
    targets, rates = np.zeros((STEPS_AT_ONCE, BATCH, CLASSES), np.float32), np.zeros(STEPS_AT_ONCE, np.float32)
    batches = Batches(np.stack([kept] * STEPS_AT_ONCE), targets, rates)
    number = np.uint32(0)
    steps, measure, predict = trainer.programs
    forward = Forward(backbone, [Output(len(backbone.stages), 2, np.dtype(np.float16))], BATCH)._step
    traced: dict[str, Callable[[], Any]] = {
        "steps": lambda: steps.trace(
            *place((trainer.begin(model, 0), trainer.frozen(model), jnp.ones(CLASSES))),
            *place((batches, number, number, np.int32(4))),
        ),
        "statistics": lambda: measure.trace(*place((table, kept))),
        "prediction": lambda: predict.trace(*place((table, kept))),
        "forward": lambda: forward.trace(*place((backbone.state, images))),
    }
    return {name: traced[name]().lower(lowering_platforms=("cuda",)) for name in names or traced}


def features_apart(exact: Backbone, half: Backbone, images: np.ndarray) -> float:
    """Return by how much the features of two backbones differ, relative to the norm of the first one's."""
    one, other = (
        jax.jit(lambda state, x, run=backbone: run.prefix(state, x, len(run.stages)))
        .lower(backbone.state, images)
        .compile({"xla_backend_optimization_level": 0})(backbone.state, images)
        for backbone in (exact, half)
    )
    assert one.dtype == other.dtype == "float32"
    return float(jnp.linalg.norm(one - other) / jnp.linalg.norm(one))


def storing(text: str, shape: str = r"(\d+x){2}(\d{2,}|[4-9])") -> set[str]:
    """Return the operations that XLA would not join with others, on float32 arrays of a batch.

    Args:
        text: StableHLO.
        shape: regular expression of the array's shape after the batch: by default an image of more channels than a
            picture has.
    """
    lines = [line for line in text.splitlines() if re.search(rf"tensor<{BATCH}x{shape}xf32>", line)]
    operations = {re.sub(r".*?= \"?(?:stablehlo|chlo)\.(\w+).*", r"\1", line.strip()) for line in lines}
    return operations - FUSIBLE
