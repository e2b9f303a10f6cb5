"""Learners on drawn features, as of a frozen backbone: what cross-validation of them shows, and what is true."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from fer_bench.evaluation.cross_validation import CrossValidation, measure_folds
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.jackknife import measure_training
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.tasks.pairs import choose_pairs
from fer_bench.tasks.splitters import stratified_by_group

PRIOR = np.array([0.138, 0.015, 0.143, 0.251, 0.169, 0.111, 0.173])
"""Of FER2013's seven classes."""
APART, OWN = 1.5, 0.4
"""Distance of the classes from 0, and what people and their expressions add, in standard deviations of an image."""
Predict = Callable[[np.ndarray], np.ndarray]
"""Gives probabilities, (n, 7), of features, (n, d)."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A rule of classification on normally distributed features of people, who are dealt to stratified folds.

    Attributes:
        people: how many.
        features: of an image.
        folds: K; as many as people leave one out.
        images: of a person, on average.
        prior: share of each class.
        noise: standard deviation of what a training adds to the score of each class by ridge regression. 0.1 gives a
            standard deviation of accuracy and UAR over trainings of some 0.03.
        rule: of ``RULES``.
    """

    people: int
    features: int
    folds: int = 5
    images: int = 40
    prior: tuple[float, ...] = tuple(PRIOR.tolist())
    noise: float = 0.0
    rule: str = "ridge regression"

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

    def train(self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray) -> Predict:
        """Return what one training has learned."""
        learned, moved = RULES[self.rule](x, true), self.noise * rng.normal(size=7)
        return (lambda x: to_shares(learned(x) * np.exp(4 * moved))) if self.noise else learned

    def deal(self, rng: np.random.Generator, true: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Return the fold of each image, as ``group-kfold`` and ``loso`` deal people to folds."""
        if self.folds == self.people:
            return person
        fold, splitter = np.zeros(len(true), int), stratified_by_group(self.folds, int(rng.integers(2**31)))
        with warnings.catch_warnings():  # of a class with fewer images than folds
            warnings.simplefilter("ignore")
            for number, (_, test) in enumerate(splitter.split(true, true, person)):
                fold[test] = number
        return fold

    def covers(
        self, metric: Metric, rng: np.random.Generator, share: float | None = None, *, jackknife: bool = False
    ) -> bool:
        """Return whether the interval of a cross-validation holds the score of the algorithm.

        Args:
            metric: of which.
            rng: of the draw.
            share: of the term of Nadeau and Bengio, without the noise that folds show; None: what the product takes.
            jackknife: train without each two folds, too.
        """
        x, true, person = self.draw(rng)
        fold = self.deal(rng, true, person)
        table = self.cross_validate(rng, x, true, fold)
        ratio, seed = self.folds / (self.folds - 1), np.zeros(len(true), int)
        if share is None:
            crossed = measure_folds(metric, true, table, seed, fold, ratio)
        else:
            crossed = Plain(folds=self.folds, tested_per_trained=share * ratio)
        if jackknife:
            further = self.leave_two_out(rng, x, true, fold)
            crossed = replace(crossed, training=measure_training(metric, true, table, seed, fold, *further))
        found = algorithm_interval(measure(metric, true, table, units=person), crossed)
        return found.low <= find_truths(self)[metric.name] <= found.high

    def leave_two_out(
        self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray, fold: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what models without two folds predict of these: rows, the other fold, and probabilities."""
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for two in choose_pairs(self.folds, int(rng.integers(2**31))):
            rows = np.flatnonzero(np.isin(fold, two))
            kept = ~np.isin(fold, two)
            parts.append((rows, sum(two) - fold[rows], self.train(rng, x[kept], true[kept])(x[rows])))
        rows, without, fewer = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(without), np.concatenate(fewer)

    def cross_validate(self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """Return the probabilities of each image by a model that is trained on the other folds."""
        table = np.zeros((len(true), 7))
        for number in np.unique(fold):
            test = fold == number
            table[test] = self.train(rng, x[~test], true[~test])(x[test])
        return table


class Plain(CrossValidation):
    """The correction as Nadeau and Bengio write it."""

    def count_training(self, units: float) -> float:
        """Return by what the variance over units is multiplied."""
        return 1 + self.tested_per_trained


def to_shares(values: np.ndarray) -> np.ndarray:
    """Return positive values of classes, (n, 7), as shares of their sum."""
    return values / values.sum(axis=1, keepdims=True)


def fit_ridge(x: np.ndarray, true: np.ndarray) -> Predict:
    """Fit a ridge regression of one-hot labels."""
    x = np.column_stack([x, np.ones(len(x))])
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(7)[true])
    return lambda x: to_shares(np.exp(4 * (np.column_stack([x, np.ones(len(x))]) @ weights)))


def fit_neighbours(x: np.ndarray, true: np.ndarray) -> Predict:
    """Remember the images: the classes of the nearest 15 are the answer."""
    squares = (x**2).sum(axis=1)
    return lambda other: np.eye(7)[true[(squares - 2 * other @ x.T).argpartition(14, axis=1)[:, :15]]].mean(axis=1)


def fit_logistic(x: np.ndarray, true: np.ndarray) -> Predict:
    """Fit a multinomial logistic regression, whose loss is that of a linear probe."""
    model = LogisticRegression(C=1.0, tol=1e-3, max_iter=200).fit(x, true)

    def predict(x: np.ndarray) -> np.ndarray:
        table = np.zeros((len(x), 7))
        table[:, model.classes_] = model.predict_proba(x)  # a class may be missing
        return table

    return predict


RULES: dict[str, Callable[[np.ndarray, np.ndarray], Predict]] = {
    "ridge regression": fit_ridge,
    "nearest neighbours": fit_neighbours,
    "logistic regression": fit_logistic,
}


@functools.cache
def find_truths(learner: Learner) -> dict[str, float]:
    """Return the mean scores over trainings with as many people as a fold trains on, each on other people."""
    rng = np.random.default_rng(5)
    training = replace(learner, people=round(learner.people * (1 - 1 / learner.folds)))
    scores: dict[str, list[float]] = {name: [] for name in ("accuracy", "uar", "macro_f1")}
    for _ in range(120):
        predict = learner.train(rng, *training.draw(rng)[:2])
        x, true, _ = replace(learner, people=150).draw(rng)
        table = predict(x)
        for name, values in scores.items():
            values.append(STANDARD[name].score(true, table))
    return {name: float(np.mean(values)) for name, values in scores.items()}
