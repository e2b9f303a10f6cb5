"""People who are drawn with the predictions of methods about them, from a known truth."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.metrics import STANDARD, Metric

PRIOR = np.array([0.138, 0.015, 0.143, 0.251, 0.169, 0.111, 0.173])
"""Of FER2013's seven classes."""
EASE = np.array([0.3, -0.5, 0.0, 1.5, 0.2, 1.0, 0.5])
"""Of each class, in logits."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Predictions of people who differ in size, expressions, difficulty, and in which method suits them.

    Attributes:
        people: how many.
        methods: how many, equally good but for ``gaps``.
        seeds: trainings of each method.
        noise: standard deviation of what a training adds to each class, in logits. 0.2 gives a standard deviation of
            the UAR over trainings of some 0.02, and 0.5 of 0.04.
        alike: intra-class correlation of a person's images on the latent scale.
        common: share of a person's difficulty that all methods have in common.
        images: of a person, on average; their number is gamma distributed.
        gaps: what each method is better by, in logits.
    """

    people: int
    methods: int = 2
    seeds: int = 1
    noise: float = 0.0
    alike: float = 0.45
    common: float = 0.5
    images: int = 20
    gaps: tuple[float, ...] = ()

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
        """Return labels, probabilities of each method, seeds and people of the predictions of all seeds."""
        sizes = np.maximum(2, rng.gamma(2, self.images / 2, size=self.people).astype(int))
        person = np.repeat(np.arange(self.people), sizes)
        mixes = rng.dirichlet(PRIOR * 20, size=self.people).cumsum(axis=1)
        true = (rng.uniform(size=(len(person), 1)) > mixes[person, :6]).sum(axis=1)
        spread = math.sqrt(self.alike / (1 - self.alike)) * math.pi / math.sqrt(3)
        hard = rng.normal(0, spread * math.sqrt(self.common), size=self.people)
        suits = rng.normal(0, spread * math.sqrt(1 - self.common), size=(self.methods, self.people))
        trained = rng.normal(0, self.noise, size=(self.methods, self.seeds, 7))
        image = rng.normal(0, 1, size=len(person))
        gaps = self.gaps or (0.0,) * self.methods
        found = []
        for method in range(self.methods):
            ease = EASE[true] + (hard + suits[method])[person] + image + gaps[method]
            chance = 1 / (1 + np.exp(-(ease + trained[method][:, true])))
            wrong = (true + rng.integers(1, 7, size=chance.shape)) % 7
            label = np.where(rng.uniform(size=chance.shape) < chance, true, wrong).ravel()
            confidence = rng.uniform(0.4, 0.95, size=label.shape)
            table = np.repeat((1 - confidence)[:, None] / 6, 7, axis=1)
            table[np.arange(len(label)), label] = confidence
            found.append(table)
        return (
            np.tile(true, self.seeds),
            found,
            np.repeat(np.arange(self.seeds), len(person)),
            np.tile(person, self.seeds),
        )

    def estimates(self, rng: np.random.Generator, metric: Metric) -> list[Estimate]:
        """Return the estimate of each method on people drawn anew."""
        true, methods, seeds, people = self.draw(rng)
        return [measure(metric, true, table, seeds, people) for table in methods]


@functools.cache
def _uar_curve() -> tuple[np.ndarray, np.ndarray]:
    """Return gaps in logits and the true UAR at each, from many people."""
    gaps = np.linspace(-2, 2, 11)
    known = Faces(people=2000, methods=11, gaps=tuple(gaps.tolist()))
    draws = [known.estimates(np.random.default_rng([14, index]), STANDARD["uar"]) for index in range(4)]
    return gaps, np.mean([[one.value for one in draw] for draw in draws], axis=0)


def find_uar(gap: float) -> float:
    """Return the true UAR of a method of ``Faces`` that is better by a gap in logits, -2 to 2."""
    return float(np.interp(gap, *_uar_curve()))
