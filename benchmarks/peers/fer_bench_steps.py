"""The steps of fer-bench without its command around them: features, or training of everything, of images in memory.

It answers as the plain scripts do, so that ``forward`` and ``full`` are timed alike on all sides.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import numpy as np
from work import CLIP, TAIL_RATE, Work, read_work

from fer_bench.cli.huge_pages import restart_with_them
from fer_bench.learning.gradient import Trainer
from fer_bench.learning.state import Model
from fer_bench.learning.training import Progress, Training
from fer_bench.networks.backbone import Backbone, build
from fer_bench.networks.forward import BATCH, Forward, Output, accelerator_batch
from fer_bench.networks.identity import resolve_precision
from fer_bench.registry import Registry
from fer_bench.specs import GradientPhase, Rule
from fer_bench.tasks.folds import Fold


class Pictures:
    """The images, as a trainer takes them."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray, variant: Any = 0) -> np.ndarray:
        return self.images[rows]


def batch_of(backbone: Backbone) -> int:
    """Return how many images go through a backbone at once."""
    cpu = jax.default_backend() == "cpu"
    return BATCH if cpu else accelerator_batch(backbone.input_size**2, 0, None, 1)


def pass_forward(work: Work, backbone: Backbone) -> None:
    """Compute the features of all images."""
    batch = batch_of(backbone)
    forward = Forward(backbone, [Output(len(backbone.stages), 1, np.dtype(np.float16))], batch)

    def run(rows: np.ndarray, _: int) -> None:
        for at in range(0, len(rows), batch):
            part = rows[at : at + batch]
            filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part))])
            forward(work.images[filled])

    work.time("forward", np.arange(len(work.images)), run)


def phase_of(batch: int, epochs: int) -> GradientPhase:
    """Return how everything is trained."""
    return GradientPhase(
        name="full",
        rules=(Rule(), Rule(head=True)),
        epochs=epochs,
        batch=batch,
        learning_rate=TAIL_RATE,
        schedule="constant",
        warmup=0.0,
        clip=CLIP,
    )


def train_all(work: Work, backbone: Backbone) -> None:
    """Train everything in every fold and predict its test part."""
    options, inputs = work.options, Pictures(work.images)
    targets = np.eye(work.classes, dtype=np.float32)[work.labels]
    begin = Model.first(backbone, work.classes)
    phase = phase_of(options.batch, 1 if work.sampled else options.tail_epochs)
    trainer = Trainer(backbone, phase, begin.shapes)
    for train, test in work.folds():
        models = [begin]

        def fit(rows: np.ndarray, _: int, models: list[Model] = models) -> None:
            part = np.isin(np.arange(len(work.labels)), rows)
            fold = Fold(0, part, ~part)
            training = Training(trainer, inputs, targets, fold, options.seed, lambda _: None)
            models[:] = [jax.block_until_ready(training.run(Progress(begin)).model)]

        def predict(rows: np.ndarray, _: int, models: list[Model] = models) -> None:
            work.predictions[rows] = trainer.predict(models[0], inputs, rows).argmax(1)

        work.time("full", train, fit, options.tail_epochs)
        work.time("predict", test, predict)


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Add the backbone, which may be a small one where only the program is tried."""
    parser.add_argument("--backbone", default="xception")


def main() -> None:
    restart_with_them(["--images"])  # as `fer-bench run` does
    work = read_work(__doc__ or "", add_backbone)
    # Compilation is not timed, so that the next round need not repeat it.
    jax.config.update("jax_compilation_cache_dir", str(work.options.images.parent / "compiled"))
    precision = resolve_precision("auto")
    backbone = build(
        Registry.load().backbone(f"{work.options.backbone}[input_size={work.options.size}]"), precision, seed=0
    )
    if work.options.kind == "forward":
        pass_forward(work, backbone)
    else:
        train_all(work, backbone)
    work.answer(f"jax {jax.__version__}, {precision}")


if __name__ == "__main__":
    main()
