"""What annotators agree on, and how a method does against one of them: an upper limit for every score.

Soft labels are (n, c) float, the share of an image's annotators who gave each class; rows sum to 1. E. Barsoum et al.,
"Training deep networks for facial expression recognition with crowd-sourced label distribution" (ICMI 2016), publish
ten votes an image. Each score here is a mean over images and annotators: what is expected of one annotator who is
drawn at random from those of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.classification import read_answers


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How answers agree with annotators, each 0 to 1.

    Attributes:
        accuracy: share of (image, annotator) pairs that agree.
        uar: mean over classes of the share of those annotators who gave the class that agree.
    """

    accuracy: float
    uar: float


def score_against_annotators(soft: Array, answers: Array) -> Agreement:
    """Return how answers agree with an annotator drawn at random.

    Args:
        soft: (n, c) shares of annotators.
        answers: (n, c) float, the share of each image's answer that is of each class; rows sum to 1.
    """
    votes = soft.sum(axis=0)
    agreeing = (soft * answers).sum(axis=0)
    return Agreement(
        accuracy=float(agreeing.sum() / len(soft)), uar=float((agreeing[votes > 0] / votes[votes > 0]).mean())
    )


def score_annotators(soft: Array, labels: Array) -> Agreement:
    """Return how one annotator does against the labels: their accuracy and UAR.

    An annotator is one of those who made the label, so that both are a little too high.

    Args:
        soft: (n, c) shares of annotators.
        labels: (n,) int.
    """
    agreeing = soft[np.arange(len(soft)), labels]
    by_class = np.bincount(labels, agreeing) / np.maximum(np.bincount(labels), 1)
    return Agreement(accuracy=float(agreeing.mean()), uar=float(by_class[np.bincount(labels) > 0].mean()))


def find_ceiling(soft: Array) -> Agreement:
    """Return the largest accuracy and the largest UAR that any answers reach against annotators drawn at random.

    The accuracy is that of the class with most votes, the UAR that of the class with the largest part of its own votes.
    """
    votes = np.maximum(soft.sum(axis=0), np.finfo(float).tiny)
    best = [_choose(soft), _choose(soft / votes)]
    return Agreement(
        accuracy=score_against_annotators(soft, best[0]).accuracy, uar=score_against_annotators(soft, best[1]).uar
    )


def answers_of(probabilities: Array) -> Array:
    """Return (n, c) float, the share of each image's answer that is of each class; classes that tie share it."""
    rows, labels, weights = read_answers(probabilities)
    answers = np.zeros(probabilities.shape)
    answers[rows, labels] = weights
    return answers


def _choose(values: Array) -> Array:
    return np.eye(values.shape[1])[values.argmax(axis=1)]
