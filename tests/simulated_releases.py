"""Releases of a method that are drawn with their predictions, from known recalls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special
from simulated_people import PRIOR

from fer_bench.evaluation.guards import Answers


@dataclass(frozen=True, kw_only=True)
class Releases:
    """Predictions of one method at several releases, whose recalls are known.

    Attributes:
        people: how many.
        recalls: of each class, at each release.
        images: of a person, on average; their number is gamma distributed. 1: of each exactly.
        alike: intra-class correlation of a person's images on the latent scale.
        apart: share of a person's part that a release has to itself.
        agree: latent correlation of the answers of two releases to an image, beyond what the person explains.
    """

    people: int
    recalls: tuple[tuple[float, ...], ...]
    images: int = 20
    alike: float = 0.15
    apart: float = 0.0
    agree: float = 0.8

    def draw(self, rng: np.random.Generator) -> list[Answers]:
        """Return what each release answers."""
        sizes = np.maximum(2, rng.gamma(2, self.images / 2, size=self.people).astype(int))
        sizes = sizes if self.images > 1 else np.ones(self.people, int)
        person = np.repeat(np.arange(self.people), sizes)
        mixes = rng.dirichlet(PRIOR * 20, size=self.people).cumsum(axis=1)
        true = (rng.uniform(size=(len(person), 1)) > mixes[person, :6]).sum(axis=1)
        same = rng.normal(size=self.people)
        image, one = rng.normal(size=len(person)), np.zeros(len(person), np.int64)
        answers: list[Answers] = []
        for recalls in self.recalls:
            own = math.sqrt(self.agree) * image + math.sqrt(1 - self.agree) * rng.normal(size=len(person))
            hard = math.sqrt(1 - self.apart) * same + math.sqrt(self.apart) * rng.normal(size=self.people)
            latent = math.sqrt(self.alike) * hard[person] + math.sqrt(1 - self.alike) * own
            right = special.ndtr(latent) < np.array(recalls)[true]
            label = np.where(right, true, (true + rng.integers(1, 7, size=len(true))) % 7)
            table = 0.8 * np.eye(7)[label] + 0.2 / 7
            answers.append(Answers(true=true, probabilities=table, seeds=one, splits=one, units=person))
        return answers
