"""Learners on drawn features, as of a frozen backbone: what cross-validation of them shows, and what is true."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.evaluation.cross_validation import CrossValidation, measure_folds
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.intervals import algorithm_interval
from fer_bench.evaluation.jackknife import measure_training
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.tasks.pairs import choose_pairs

PRIOR = np.array([0.138, 0.015, 0.143, 0.251, 0.169, 0.111, 0.173])
"""Of FER2013's seven classes."""
APART, OWN = 1.5, 0.4
"""Distance of the classes from 0, and what people and their expressions add, in standard deviations of an image."""
Predict = Callable[[np.ndarray], np.ndarray]
"""Gives probabilities, (n, 7), of features, (n, d)."""
PLAIN, WITHOUT, WHOLE, JACKKNIFE = "plain", "without", "whole", "jackknife"
Covered = dict[tuple[str, str], bool]
"""Whether an interval holds the truth, by the name of the metric and one of these four."""


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
        seeds: how often the people are dealt to folds, each time with trainings of their own.
    """

    people: int
    features: int
    folds: int = 5
    images: int = 40
    prior: tuple[float, ...] = tuple(PRIOR.tolist())
    noise: float = 0.0
    rule: str = "ridge regression"
    seeds: int = 1

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

    def train(
        self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray, fold: np.ndarray, left_out: np.ndarray
    ) -> list[Predict]:
        """Return what models have learned that are trained without some folds, each.

        Args:
            rng: of the noise.
            x: (n, d) features.
            true: (n,) labels.
            fold: (n,) int, of K.
            left_out: (m, K) bool, which folds each model is trained without.
        """
        models = RULES[self.rule](x, true, fold, left_out)
        if not self.noise:
            return models
        moved = np.exp(4 * self.noise * rng.normal(size=(len(models), 7)))
        return [lambda x, i=i: to_shares(models[i](x) * moved[i]) for i in range(len(models))]

    def deal(self, rng: np.random.Generator, true: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Return the fold of each image, as ``group-kfold`` and ``loso`` deal people to folds."""
        return person if self.folds == self.people else deal(true, person, self.folds, int(rng.integers(2**31)))

    def covers(self, rng: np.random.Generator, metrics: Sequence[str], *, jackknife: bool) -> Covered:
        """Return which intervals of cross-validations hold the score of the algorithm, by metric and interval: PLAIN,
        that of the product; WITHOUT, without a term for training and without the noise that folds show; WHOLE, with the
        term of Nadeau and Bengio; and JACKKNIFE, of models that are trained without each two folds, too.
        """
        x, true, person = self.draw(rng)
        fold = np.stack([self.deal(rng, true, person) for _ in range(self.seeds)])
        table = np.concatenate([self.cross_validate(rng, x, true, one) for one in fold])
        ratio, seed = self.folds / (self.folds - 1), np.repeat(np.arange(self.seeds), len(true))
        columns = np.tile(true, self.seeds), table, seed
        further = self.leave_two_out(rng, x, true, fold) if jackknife else None
        covered: Covered = {}
        for name in metrics:
            metric, truth = STANDARD[name], find_truths(replace(self, seeds=1))[name]
            estimate = measure(metric, *columns, np.tile(person, self.seeds))
            crossed = {
                PLAIN: measure_folds(metric, *columns, fold.ravel(), ratio),
                WITHOUT: Plain(folds=self.folds, tested_per_trained=0.0),
                WHOLE: Plain(folds=self.folds, tested_per_trained=ratio),
            }
            if further is not None:
                training = measure_training(metric, *columns, fold.ravel(), *further)
                crossed[JACKKNIFE] = replace(crossed[PLAIN], training=training)
            for kind, one in crossed.items():
                found = algorithm_interval(estimate, one)
                covered[name, kind] = found.low <= truth <= found.high
        return covered

    def leave_two_out(
        self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray, folds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what models without two folds predict of these: rows, the other fold, and probabilities.

        Args:
            rng: of the trainings.
            x: (n, d) features.
            true: (n,) labels.
            folds: (seeds, n), the fold of each image; rows count the images of all seeds.
        """
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for seed, fold in enumerate(folds):
            pairs = np.array(choose_pairs(self.folds, int(rng.integers(2**31))))
            left_out = (pairs[:, :, None] == np.arange(self.folds)).any(axis=1)
            for (i, j), predict in zip(pairs, self.train(rng, x, true, fold, left_out), strict=True):
                rows = np.flatnonzero((fold == i) | (fold == j))
                parts.append((seed * len(true) + rows, i + j - fold[rows], predict(x[rows])))
        rows, without, fewer = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(without), np.concatenate(fewer)

    def cross_validate(self, rng: np.random.Generator, x: np.ndarray, true: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """Return the probabilities of each image by a model that is trained on the other folds."""
        table = np.zeros((len(true), 7))
        for number, predict in enumerate(self.train(rng, x, true, fold, np.eye(self.folds, dtype=bool))):
            table[fold == number] = predict(x[fold == number])
        return table


class Plain(CrossValidation):
    """The correction as Nadeau and Bengio write it."""

    def count_training(self, units: float) -> float:
        """Return by what the variance over units is multiplied."""
        return 1 + self.tested_per_trained


def to_shares(values: np.ndarray) -> np.ndarray:
    """Return positive values of classes, (..., 7), as shares of their sum."""
    return values / values.sum(axis=-1, keepdims=True)


def add_one(x: np.ndarray) -> np.ndarray:
    """Return features, (n, d), with a constant one beside."""
    return np.column_stack([x, np.ones(len(x))])


def deal(true: np.ndarray, person: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each image, in the way of `stratified_by_group` and in a quarter of its time.

    Those whose classes are most uneven come first, each into the fold that leaves the classes most even, of equals
    into the smallest.
    """
    images = np.zeros((int(person.max()) + 1, int(true.max()) + 1))
    np.add.at(images, (person, true), 1)
    images = images[:, images.any(axis=0)]
    order = np.arange(len(images))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-images[order].std(axis=1), kind="stable")]
    shares, fold_of = images / images.sum(axis=0), np.zeros(len(images), int)
    held, sizes = np.zeros((folds, images.shape[1])), np.zeros(folds)
    for one in order:
        after = held + shares[one]
        squares = (held**2).sum(axis=0) - held**2 + after**2
        spread = np.sqrt(np.maximum(0, squares / folds - ((held.sum(axis=0) + shares[one]) / folds) ** 2)).mean(axis=1)
        best = np.flatnonzero(np.isclose(spread, spread.min()))
        fold_of[one] = best = best[sizes[best].argmin()]
        held[best] += shares[one]
        sizes[best] += images[one].sum()
    return fold_of[person]


def fit_ridge(x: np.ndarray, true: np.ndarray) -> Predict:
    """Fit a ridge regression of one-hot labels."""
    return fit_ridges(x, true, np.zeros(len(x), int), np.zeros((1, 1), bool))[0]


def fit_ridges(x: np.ndarray, true: np.ndarray, fold: np.ndarray, left_out: np.ndarray) -> list[Predict]:
    """Fit ridge regressions of one-hot labels, each without some folds; arguments as of `Learner.train`."""
    columns = [(add_one(x[fold == number]), np.eye(7)[true[fold == number]]) for number in range(left_out.shape[1])]
    squares = np.array([part.T @ part for part, _ in columns])
    products = np.array([part.T @ labels for part, labels in columns])
    kept = (~left_out).astype(float)
    left = np.tensordot(kept, squares, axes=1) + np.eye(x.shape[1] + 1)
    weights = np.linalg.solve(left, np.tensordot(kept, products, axes=1))
    return [lambda x, own=own: to_shares(np.exp(4 * (add_one(x) @ own))) for own in weights]


def fit_neighbours(x: np.ndarray, true: np.ndarray, fold: np.ndarray, left_out: np.ndarray) -> list[Predict]:
    """Remember the images: the classes of the nearest 15 are the answer."""

    def remember(x: np.ndarray, true: np.ndarray) -> Predict:
        squares = (x**2).sum(axis=1)
        return lambda other: np.eye(7)[true[(squares - 2 * other @ x.T).argpartition(14, axis=1)[:, :15]]].mean(axis=1)

    return [remember(x[~out[fold]], true[~out[fold]]) for out in left_out]


def fit_logistic(x: np.ndarray, true: np.ndarray, fold: np.ndarray, left_out: np.ndarray) -> list[Predict]:
    """Fit multinomial logistic regressions, whose loss is that of a linear probe, side by side; each costs half the
    squares of its weights.

    Each step minimises the quadratic bound of D. Böhning, "Multinomial logistic regression algorithm" (Annals of the
    Institute of Statistical Mathematics 44, 1992), with momentum, until no slope is above 0.001 an image, as
    scikit-learn stops with its ``tol`` of 0.001.
    """
    x, kept = add_one(x), (~left_out[:, fold]).astype(float)
    there = np.array([np.bincount(true[rows > 0], minlength=7) > 0 for rows in kept])[:, None]
    cost = np.r_[np.ones(x.shape[1] - 1), 1e-3][:, None]  # of a constant hardly any
    bound = np.linalg.inv(np.array([(x * rows[:, None]).T @ x for rows in kept]) / 2 + cost * np.eye(len(cost)))
    labels, last = np.eye(7)[true], np.zeros((len(kept), x.shape[1], 7))
    weights = last
    for _ in range(200):
        ahead = weights + 0.6 * (weights - last)
        shares = to_shares(np.exp(x @ ahead) * there)
        slope = x.T @ ((shares - labels) * kept[:, :, None]) + cost * ahead
        last, weights = weights, ahead - bound @ slope
        if np.abs(slope).max() < 1e-3 * len(x):
            break
    return [
        lambda x, own=own, have=have: to_shares(np.exp(add_one(x) @ own) * have)
        for own, have in zip(weights, there, strict=True)
    ]


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], list[Predict]]
RULES: dict[str, Fit] = {
    "ridge regression": fit_ridges,
    "nearest neighbours": fit_neighbours,
    "logistic regression": fit_logistic,
}


@functools.cache
def find_truths(learner: Learner) -> dict[str, float]:
    """Return the mean scores over trainings with as many people as a fold trains on, each on other people.

    Noise takes more trainings: with 120, the mean would be off by a fifth of the standard deviation of a score.
    """
    rng = np.random.default_rng(5)
    training = replace(learner, people=round(learner.people * (1 - 1 / learner.folds)))
    scores: dict[str, list[float]] = {name: [] for name in ("accuracy", "uar", "macro_f1")}
    for _ in range(600 if learner.noise else 120):
        x, true, _ = training.draw(rng)
        (predict,) = learner.train(rng, x, true, np.zeros(len(x), int), np.zeros((1, 1), bool))
        x, true, _ = replace(learner, people=150).draw(rng)
        table = predict(x)
        for name, values in scores.items():
            values.append(STANDARD[name].score(true, table))
    return {name: float(np.mean(values)) for name, values in scores.items()}
