"""A learner on drawn features, as a linear probe is one: what cross-validation of it shows, and what is true."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.metrics import Metric

PRIOR = np.array([0.138, 0.015, 0.143, 0.251, 0.169, 0.111, 0.173])
"""Of FER2013's seven classes."""
APART, OWN = 1.5, 0.4
"""Distance of the classes from 0, and what people and their expressions add, in standard deviations of an image."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Ridge regression on normally distributed features of people, who are dealt to folds.

    Attributes:
        people: how many.
        features: of an image.
        folds: K; as many as people leave one out.
        images: of a person, on average.
        prior: share of each class.
    """

    people: int
    features: int
    folds: int = 5
    images: int = 40
    prior: tuple[float, ...] = tuple(PRIOR.tolist())

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return features, labels and people."""
        sizes = np.maximum(2, rng.gamma(2, self.images / 2, size=self.people).astype(int))
        person = np.repeat(np.arange(self.people), sizes)
        mixes = rng.dirichlet(np.array(self.prior) * 20, size=self.people).cumsum(axis=1)
        true = (rng.uniform(size=(len(person), 1)) > mixes[person, :6]).sum(axis=1)
        x = rng.normal(size=(len(true), self.features)) + OWN * rng.normal(size=(self.people, self.features))[person]
        x += OWN * rng.normal(size=(self.people, 7, self.features))[person, true]
        x[np.arange(len(true)), true] += APART
        return x, true, person

    def cross_validate(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return labels, probabilities and people of all folds, and the images of a training part on average."""
        x, true, person = self.draw(rng)
        fold = (rng.permutation(self.people) % self.folds)[person]
        table, trained = np.zeros((len(true), 7)), 0
        for number in range(self.folds):
            test = fold == number
            table[test] = predict(fit(x[~test], true[~test]), x[test])
            trained += int((~test).sum())
        return true, table, person, trained / self.folds

    def covers(self, metric: Metric, rng: np.random.Generator, corrected: bool = True) -> bool:
        """Return whether the interval of a cross-validation holds the score of the algorithm."""
        true, table, person, trained = self.cross_validate(rng)
        ratio = len(true) / trained if corrected else 0.0
        found = algorithm_interval(measure(metric, true, table, units=person), self.people, ratio)
        return found.low <= find_truth(self, metric) <= found.high


def fit(x: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the weights of a ridge regression of one-hot labels, (features + 1, 7)."""
    x = np.column_stack([x, np.ones(len(x))])
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(7)[true])


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return probabilities of the classes, (n, 7)."""
    scores = np.exp(4 * (np.column_stack([x, np.ones(len(x))]) @ weights))
    return scores / scores.sum(axis=1, keepdims=True)


@functools.cache
def find_truth(learner: Learner, metric: Metric) -> float:
    """Return the mean score over trainings with as many people as a fold trains on, on many other people."""
    rng, scores = np.random.default_rng(5), []
    training = replace(learner, people=round(learner.people * (1 - 1 / learner.folds)))
    for _ in range(60):
        weights = fit(*training.draw(rng)[:2])
        x, true, _ = replace(learner, people=400).draw(rng)
        scores.append(metric.score(true, predict(weights, x)))
    return float(np.mean(scores))
