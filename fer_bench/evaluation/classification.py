"""Metrics that are functions of the confusion matrix, for one table or many at once.

A table is (c, c): rows are true classes, columns predicted ones; leading axes are free, so that a thousand
bootstrap resamples are one call. Counts need not be whole.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.checks import check_labels, check_predictions, fix, remember_last


def count_confusion(true: Array, predicted: Array, classes: int | None = None) -> Array:
    """Return the (c, c) int64 confusion matrix of (n,) labels from 0; rows are true classes.

    Raises:
        ValueError: see ``check_labels``.
    """
    true, predicted = check_labels(true, predicted, classes)
    c = classes if classes is not None else int(max(true.max(), predicted.max())) + 1
    return np.bincount(true * c + predicted, minlength=c * c).reshape(c, c)


MOST_COPIES = 420
"""How often a row may be repeated for its shared answers; 1 to 7 divide it, and shares of more classes are off by less
than 1 / 420."""


MANY = 32
"""Classes; the maximum over fewer takes a fifth of the time class by class."""


def find_largest(probabilities: Array) -> Array:
    """Return which classes have the largest probability of each row of (n, c) probabilities, (n, c) bool.

    That is the one rule for answers: where several classes share the largest probability, all of them are answers.
    """
    return probabilities == find_confidence(probabilities)[:, None]


@remember_last
def find_confidence(probabilities: Array) -> Array:
    """Return the largest probability of each row of (n, c) probabilities, (n,)."""
    if probabilities.shape[1] > MANY:
        return fix(probabilities.max(axis=1))
    return fix(functools.reduce(np.maximum, probabilities.T[1:], probabilities[:, 0].copy()))


def repeat_answers(probabilities: Array) -> tuple[Array, Array]:
    """Return the answers of (n, c) probabilities as whole labels: rows (a,) int and labels (a,) int.

    Where classes share the largest probability anywhere, every row is repeated as often, with each of its classes in
    turn: a function of labels whose value depends on shares of samples, not on how many there are, then sees what
    ``read_answers`` counts.
    """
    largest = find_largest(probabilities)
    counts = largest.sum(axis=1)
    copies = min(math.lcm(*np.unique(counts).tolist()), MOST_COPIES)
    if copies == 1:
        return np.arange(len(largest)), largest.argmax(axis=1)
    rows = np.repeat(np.arange(len(largest)), copies)
    turn = np.tile(np.arange(copies), len(largest)) % counts[rows]
    ordered = np.argsort(~largest, axis=1, kind="stable")
    return rows, ordered[rows, turn]


@remember_last
def read_answers(probabilities: Array) -> tuple[Array, Array, Array]:
    """Return the answers of (n, c) probabilities: rows (a,) int, labels (a,) int and weights (a,) float.

    An answer is the class of the largest probability. Where t classes share the largest, each of them is an answer of
    weight 1 / t: the expected count of a draw among them, which favours no class and depends on no order of samples.
    """
    largest = find_largest(probabilities)
    if np.count_nonzero(largest) == len(largest):
        return fix(np.arange(len(largest))), fix(largest.argmax(axis=1)), fix(np.ones(len(largest)))
    rows, labels = np.nonzero(largest)
    return rows, labels, fix(1 / np.bincount(rows)[rows])


def count_answers(true: Array, probabilities: Array, part: Array | None = None) -> Array:
    """Return the (p, c, c) float64 confusion matrices of the parts of the rows; one matrix without parts.

    Args:
        true: (n,) int labels from 0.
        probabilities: (n, c) float; ties are shared, see ``read_answers``.
        part: (n,) int from 0 to p - 1.
    """
    true, probabilities = check_predictions(true, probabilities)
    rows, labels, weights = read_answers(probabilities)
    classes = probabilities.shape[1]
    cells = true[rows] * classes + labels + (0 if part is None else part[rows].astype(np.int64) * classes**2)
    parts = 1 if part is None else int(part.max()) + 1
    return np.bincount(cells, weights=weights, minlength=parts * classes**2).reshape(parts, classes, classes)


def measure_hits(true: Array, probabilities: Array) -> Array:
    """Return whether each sample was labelled right, (n,) float: 1, 0, or 1 / t where t classes share the largest."""
    true, probabilities = check_predictions(true, probabilities)
    rows, labels, weights = read_answers(probabilities)
    return np.bincount(rows, weights=weights * (labels == true[rows]), minlength=len(true))


def accuracy_of(tables: Array) -> Array:
    """Return the share on the diagonal of (…, c, c) tables, (…) float in 0 to 1."""
    return _diagonal(tables).sum(axis=-1) / tables.sum(axis=(-2, -1))


def accuracy_per_hit(images: Array) -> Array:
    """Return what a right answer in each class adds to the accuracy, (c,), of (c,) images of each class."""
    return np.full(len(images), 1 / images.sum())


def recall_of(tables: Array) -> Array:
    """Return the recall of each class, (…, c) float in 0 to 1; NaN for a class that does not occur."""
    return _divide(_diagonal(tables), tables.sum(axis=-1), np.nan)


def precision_of(tables: Array) -> Array:
    """Return the precision of each class, (…, c) float in 0 to 1; NaN for a class that is never predicted."""
    return _divide(_diagonal(tables), tables.sum(axis=-2), np.nan)


def uar_of(tables: Array) -> Array:
    """Return the unweighted average recall, (…) float in 0 to 1, over the classes that occur.

    B. Schuller, S. Steidl and A. Batliner, "The INTERSPEECH 2009 Emotion Challenge" (2009).
    """
    totals = tables.sum(axis=-1)
    return _divide(_diagonal(tables), totals, 0.0).sum(axis=-1) / (totals > 0).sum(axis=-1)


def uar_per_hit(images: Array) -> Array:
    """Return what a right answer in each class adds to the UAR, (c,), of (c,) images of each class."""
    return _divide(np.ones(len(images)), images * np.count_nonzero(images), 0.0)


def macro_f1_of(tables: Array) -> Array:
    """Return the mean F1, (…) float in 0 to 1, over the classes that are true or predicted at least once.

    A class that is only true or only predicted counts 0, as in scikit-learn's ``f1_score(average="macro")``.
    """
    sums = tables.sum(axis=-1) + tables.sum(axis=-2)
    return _divide(2 * _diagonal(tables), sums, 0.0).sum(axis=-1) / (sums > 0).sum(axis=-1)


def kappa_of(tables: Array) -> Array:
    """Return Cohen's kappa, (…) float in -1 to 1; 0 where all samples are and are called one class.

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).
    """
    n = tables.sum(axis=(-2, -1))
    chance = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / n**2
    return _divide(accuracy_of(tables) - chance, 1 - chance, 0.0)


def accuracy(true: Array, predicted: Array) -> float:
    """Return the share of samples that were labelled right, 0 to 1; both are (n,) labels from 0."""
    return float(accuracy_of(count_confusion(true, predicted)))


def uar(true: Array, predicted: Array) -> float:
    """Return the unweighted average recall (balanced accuracy), 0 to 1, over the classes that occur in ``true``."""
    return float(uar_of(count_confusion(true, predicted)))


def macro_f1(true: Array, predicted: Array) -> float:
    """Return the mean F1 over the classes that occur in ``true`` or ``predicted``, 0 to 1; see ``macro_f1_of``."""
    return float(macro_f1_of(count_confusion(true, predicted)))


def kappa(true: Array, predicted: Array) -> float:
    """Return Cohen's kappa, -1 to 1; 0 is what agreement by chance would give."""
    return float(kappa_of(count_confusion(true, predicted)))


def _diagonal(tables: Array) -> Array:
    return np.diagonal(tables, axis1=-2, axis2=-1)


def _divide(above: Array, below: Array, otherwise: float) -> Array:
    """Return above / below, and ``otherwise`` where below is 0."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, otherwise), where=below != 0)
