"""Calibration: temperatures and biases against another optimiser, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from fer_bench.evaluation.calibration import nll
from fer_bench.learning.calibration import COLDEST, HOTTEST, LARGEST_BIAS, Scaling, fit, scale, unscale


def _draw(seed, n=400, classes=5, temperature=2.5, biases=0.0):
    """Return probabilities and labels of which the labels follow ``softmax(log p / temperature + biases)``."""
    rng = np.random.default_rng(seed)
    p = softmax(3 * rng.normal(size=(n, classes)), axis=1)
    true = softmax(np.log(p) / temperature + biases, axis=1)
    return p, np.array([rng.choice(classes, p=row) for row in true])


def test_a_temperature_by_hand():
    # Two classes, 80 % said of the first, which is right in 60 of 100: 0.6 = 1 / (1 + 4^(-1/T)), T = ln 4 / ln 1.5.
    p, labels = np.tile([0.8, 0.2], (100, 1)), np.array([0] * 60 + [1] * 40)
    fitted = fit(p, labels, biased=False)
    assert fitted.temperature == pytest.approx(np.log(4) / np.log(1.5), abs=1e-7)
    assert (fitted.biases, fitted.images, fitted.bounded) == ((), 100, False)
    np.testing.assert_allclose(scale(p, fitted.temperature, ()), np.tile([0.6, 0.4], (100, 1)), atol=1e-8)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_that_of_another_optimiser(seed, biased):
    p, labels = _draw(seed, biases=np.array([0.8, 0, 0, 0, -0.8]))

    def loss(values):
        logits = np.log(p) / np.exp(values[0]) + (values[1:] if biased else 0)
        return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()

    options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 20_000, "maxfev": 20_000, "adaptive": True}
    other = minimize(loss, np.zeros(6 if biased else 1), method="Nelder-Mead", options=options)
    other = minimize(loss, other.x, method="Nelder-Mead", options=options)
    fitted = fit(p, labels, biased)
    assert fitted.temperature == pytest.approx(np.exp(other.x[0]), rel=1e-4)
    assert nll(labels, scale(p, fitted.temperature, fitted.biases)) == pytest.approx(other.fun, abs=1e-8)
    if biased:
        np.testing.assert_allclose(fitted.biases, other.x[1:] - other.x[1:].mean(), atol=1e-3)


def test_the_truth_is_fitted_from_many_samples():
    biases = np.array([1.0, 0.5, 0, -0.5, -1.0])
    p, labels = _draw(0, n=40_000, temperature=1.7, biases=biases)
    fitted = fit(p, labels, biased=True)
    assert fitted.temperature == pytest.approx(1.7, abs=0.05)
    np.testing.assert_allclose(fitted.biases, biases, atol=0.08)


@pytest.mark.parametrize(("biased", "labels_of"), [(False, "argmax"), (True, "argmax"), (False, "argmin")])
def test_a_temperature_without_a_minimum_stops_at_its_bound_and_says_so(biased, labels_of):
    p, _ = _draw(1)
    fitted = fit(p, getattr(p, labels_of)(1), biased)
    assert fitted.temperature == pytest.approx(COLDEST if labels_of == "argmax" else HOTTEST, rel=1e-6)
    assert fitted.bounded


def test_a_class_that_no_sample_has_leaves_a_temperature():
    p, labels = _draw(2)
    kept = labels != 4
    fitted = fit(p[kept], labels[kept], biased=False)
    assert not fitted.bounded
    assert fitted.temperature > 1
    assert np.ptp(fit(p[kept], labels[kept], biased=True).biases) <= 2 * LARGEST_BIAS


@pytest.mark.parametrize("known", [Scaling(COLDEST, (), 9, True), Scaling(3.0, (2.0, -1.0, 0.0, 0.0, -1.0), 9, False)])
def test_uncalibrated_probabilities_come_back(known):
    p, labels = _draw(3)
    p = p.astype(np.float32)
    scaled = scale(p, known.temperature, known.biases)
    np.testing.assert_allclose(scaled.sum(1), 1, atol=1e-12)
    back = unscale(scaled, known.temperature, known.biases)
    np.testing.assert_allclose(back, p, atol=1e-6)
    assert nll(labels, back) == pytest.approx(nll(labels, p), abs=1e-6)


def test_probabilities_of_nothing_are_calibrated_without_infinities():
    p = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 5, np.float32)
    fitted = fit(p, np.arange(15) // 3 % 3, biased=False)
    assert np.isfinite(scale(p, fitted.temperature, ())).all()
    assert fitted.temperature == HOTTEST
    assert np.isfinite(unscale(p, fitted.temperature, ())).all()
