"""Claims of intervals of a fixed model, and why ECE has none."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim
from simulated_people import Faces

from fer_bench.evaluation.intervals import bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD, Metric, score_seeds


def interval_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _fixed_models()
    yield from _calibration()


@functools.cache
def _find_truth(metric: Metric) -> float:
    """Return the score of a method of ``Faces`` on many people."""
    return Faces(people=6000, methods=1).estimates(np.random.default_rng(9), metric)[0].value


def _fixed_models() -> Iterator[Claim]:
    for name in ("accuracy", "uar", "macro_f1", "brier"):
        metric = STANDARD[name]
        for people in (10, 20, 60):
            faces = Faces(people=people, methods=1)

            def covers(rng: np.random.Generator, faces: Faces = faces, metric: Metric = metric) -> bool:
                true, (table,), _, person = faces.draw(rng)
                found = bootstrap_interval(metric, true, table, person, resamples=1000)
                return found.low <= _find_truth(metric) <= found.high

            yield Claim(
                name=f"{metric.title}: the interval of a fixed model covers", setting=f"{people} people",
                promised=(0.9 if people == 10 else 0.93, 0.97), happens=covers, draws=1000, quick=40,
            )  # fmt: skip


def _calibration() -> Iterator[Claim]:
    """Yield why ECE has no interval, test or order, and why the folds of a seed are pooled."""

    def draw(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Return labels and probabilities of a calibrated model: each label is drawn from its probabilities."""
        table = rng.dirichlet(np.full(7, 0.3), size=images)
        return (rng.uniform(size=(images, 1)) > table.cumsum(axis=1)[:, :6]).sum(axis=1), table

    for images in (50, 350, 3500):

        def covers(rng: np.random.Generator, images: int = images) -> bool:
            return bootstrap_interval(STANDARD["ece"], *draw(rng, images), resamples=200).low <= 0

        def large(rng: np.random.Generator, images: int = images, folds: int = 1) -> bool:
            true, table = draw(rng, images)
            return score_seeds(STANDARD["ece"], true, table, np.arange(images) % folds).mean() > 0.03

        setting = f"{images} images of a calibrated model"
        yield Claim(
            name="ECE: a bootstrap interval covers 0 (so there is none)", setting=setting, promised=(0, 1),
            happens=covers, draws=300 if images < 1000 else 100,
        )  # fmt: skip
        yield Claim(
            name="ECE: above 3 points (so there is no order by it)", setting=setting, promised=(0, 1), happens=large,
            draws=1000,
        )  # fmt: skip
        yield Claim(
            name="ECE: mean of five folds above 3 points (so folds are pooled)", setting=setting, promised=(0, 1),
            happens=functools.partial(large, folds=5), draws=1000,
        )  # fmt: skip
