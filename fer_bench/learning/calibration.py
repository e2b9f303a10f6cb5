"""Calibrate probabilities: one temperature for all classes, and a bias for each.

C. Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), section 4.2, temperature scaling;
A. Alexandari et al., "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation"
(ICML 2020), bias-corrected temperature scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from scipy.special import softmax

from fer_bench.arrays import Array

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures between which one is fitted. Where every sample is classified correctly, the likelihood grows without
end as the temperature falls; where the classifier is worse than equal probabilities, as it rises."""
LARGEST_BIAS = 10.0
"""Bound of a bias in both directions, in nats."""
SMALLEST = float(np.finfo(np.float32).tiny)
"""A probability below counts as this."""
_NEAR = 1e-3


@dataclass(frozen=True)
class Scaling:
    """How probabilities p are calibrated: to the softmax of ``log(p) / temperature + biases``.

    Attributes:
        temperature: above 1 where the model is too sure of itself.
        biases: one a class, in nats, with mean 0; none where only a temperature was fitted.
        images: that they were fitted on.
        bounded: whether the temperature or a bias reached its bound.
    """

    temperature: float
    biases: tuple[float, ...]
    images: int
    bounded: bool


def fit(probabilities: Array, labels: Array, biased: bool) -> Scaling:
    """Return the scaling with the smallest mean negative log-likelihood, which is convex in 1/temperature and biases.

    Args:
        probabilities: (n, c) of samples that the model was not trained on, rows sum to 1.
        labels: (n,) int.
        biased: whether each class gets a bias; each class must be among the labels then.
    """
    logs, classes = _log(probabilities), probabilities.shape[1]
    hit = np.eye(classes)[labels]
    low, high = 1 / HOTTEST, 1 / COLDEST

    def loss(values: Array) -> tuple[float, Array]:
        logits = values[0] * logs + values[1:]
        logits -= logits.max(1, keepdims=True)
        sums = np.log(np.exp(logits).sum(1, keepdims=True))
        residuals = np.exp(logits - sums) - hit
        slope = np.array([(residuals * logs).sum(), *residuals.sum(0)]) / len(labels)
        return float((sums[:, 0] - logits[hit == 1]).mean()), slope

    def steepness(inverse: float) -> float:
        return float(loss(np.array([inverse, *np.zeros(classes)]))[1][0])

    # The slope rises with 1/temperature, so that its zero, or the bound before it, is the only minimum.
    if steepness(high) <= 0:
        inverse = high
    elif steepness(low) >= 0:
        inverse = low
    else:
        inverse = float(scipy.optimize.brentq(steepness, low, high, xtol=1e-10))
    if not biased:
        return Scaling(1 / inverse, (), len(labels), inverse in (low, high))
    bounds = [(low, high), *[(-LARGEST_BIAS, LARGEST_BIAS)] * classes]
    begin = np.array([inverse, *np.zeros(classes)])
    solved = scipy.optimize.minimize(
        loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9}
    ).x
    biases = solved[1:] - solved[1:].mean()
    bounded = not low * (1 + _NEAR) < solved[0] < high * (1 - _NEAR) or np.ptp(solved[1:]) > LARGEST_BIAS
    return Scaling(1 / float(solved[0]), tuple(biases.tolist()), len(labels), bool(bounded))


def scale(probabilities: Array, temperature: float, biases: tuple[float, ...]) -> Array:
    """Return calibrated probabilities, (n, c) float64; their range lets `unscale` give back what they were made of.

    Args:
        probabilities: (n, c), rows sum to 1.
        temperature: as in `Scaling`, as ``biases``.
        biases: c of them or none.
    """
    return softmax(_log(probabilities) / temperature + np.asarray(biases or 0.0), axis=1)


def unscale(probabilities: Array, temperature: float, biases: tuple[float, ...]) -> Array:
    """Return the probabilities that `scale` calibrated, (n, c) float64; what is 0 stays 0."""
    with np.errstate(divide="ignore"):
        return softmax((np.log(probabilities.astype(np.float64)) - np.asarray(biases or 0.0)) * temperature, axis=1)


def _log(probabilities: Array) -> Array:
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
