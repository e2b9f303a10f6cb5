"""The linear head against scikit-learn, which solves the same problem in float64 by other code."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import convex
from fer_bench.specs import ConvexPhase


def _task(n: int, f: int, classes: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = rng.normal(size=(classes, f))
    features = np.maximum(rng.normal(size=(n, f)) + 0.3 * centres[labels], 0) * rng.exponential(size=f)
    features[:, 0] = 3.0  # a feature that is dead on all samples
    return features.astype(np.float32), labels


def _outputs(features):
    return Outputs([features[:, None]])


def _all_log_probabilities(heads, features):
    rows = np.arange(len(features))
    return np.stack([heads.log_probabilities(i, _outputs(features), rows) for i in range(len(heads.loss))])


def _objective(coefficients, log_probabilities, labels, c):
    return -log_probabilities[np.arange(len(labels)), labels].mean() + (coefficients**2).sum() / (2 * c * len(labels))


CASES = [
    (2, 0.01, True, 1),
    (7, 0.001, True, 1),
    (7, 1.0, True, 1),
    (7, 0.01, False, 1),
    (7, 0.01, True, 5),
    (2, 1.0, False, 5),
]


@pytest.mark.parametrize(("classes", "c", "standardize", "pieces"), CASES)
def test_agrees_with_scikit_learn(classes, c, standardize, pieces, monkeypatch):
    monkeypatch.setattr(convex, "PIECE_BYTES", 4 * 300 * (2 * 40 + 6 * 5 * classes) // pieces)
    monkeypatch.setattr(convex, "KEPT_BYTES", convex.PIECE_BYTES)
    features, labels = _task(300, 40, classes)
    train = np.stack([np.arange(300) % 5 != fold for fold in range(5)])
    heads = convex.fit(
        _outputs(features),
        labels,
        train,
        classes,
        ConvexPhase(c=c, standardize=standardize, max_iterations=2000, tolerance=1e-5),
    )
    for fold, part in enumerate(train):
        scaler = StandardScaler(with_mean=standardize, with_std=standardize).fit(features[part].astype(np.float64))
        scaled = scaler.transform(features.astype(np.float64))
        peer = LogisticRegression(C=c if classes > 2 else 2 * c, max_iter=10_000, tol=1e-8).fit(
            scaled[part], labels[part]
        )
        expected = peer.predict_log_proba(scaled)
        if classes > 2:  # for two classes scikit-learn fits one vector where we fit two opposite ones: half the penalty
            loss = _objective(peer.coef_, expected[part], labels[part], c)
            assert heads.loss[fold] == pytest.approx(loss, abs=1e-4)
        np.testing.assert_allclose(np.exp(_all_log_probabilities(heads, features)[fold]), np.exp(expected), atol=0.01)
        assert (_all_log_probabilities(heads, features)[fold].argmax(1) == expected.argmax(1)).mean() > 0.985


def test_a_head_does_not_depend_on_those_beside_it():
    features, labels = _task(301, 30, 3)
    train = np.stack([np.arange(301) % 4 != fold for fold in range(4)])
    phase = ConvexPhase(c=0.1, standardize=True, max_iterations=500, tolerance=1e-5)
    together = convex.fit(_outputs(features), labels, train, 3, phase)
    alone = convex.fit(_outputs(features), labels, train[2:3], 3, phase)
    np.testing.assert_allclose(
        _all_log_probabilities(together, features)[2], _all_log_probabilities(alone, features)[0], atol=1e-4
    )


def test_test_samples_do_not_leak_into_the_head():
    features, labels = _task(301, 30, 3)
    train = np.arange(301)[None] < 150
    phase = ConvexPhase(c=0.1, standardize=True, max_iterations=500, tolerance=1e-5)
    changed = features.copy()
    changed[150:] = changed[150:][::-1] * 2 + 1
    before = convex.fit(_outputs(features), labels, train, 3, phase)
    after = convex.fit(_outputs(changed), np.where(np.arange(301) < 150, labels, 0), train, 3, phase)
    np.testing.assert_allclose(
        *(_all_log_probabilities(heads, features[:150])[0] for heads in (before, after)), atol=1e-4
    )


@pytest.mark.parametrize("trained", [20, 40, 60, 80, 100])
def test_a_feature_that_is_constant_in_training_has_no_weight(trained):
    features, labels = _task(2000, 30, 3)
    train = np.arange(2000)[None] < trained
    features[:, 0] = np.where(train[0], 3.1, 7.3)
    phase = ConvexPhase(c=0.1, standardize=True, max_iterations=500, tolerance=1e-5)
    heads = convex.fit(_outputs(features), labels, train, 3, phase)
    assert np.abs(heads.weights[0]).max() < 1e-4 < np.abs(heads.weights[1:]).max()


def test_stops_at_the_iteration_limit():
    features, labels = _task(301, 30, 3)
    phase = ConvexPhase(c=100.0, standardize=True, max_iterations=3, tolerance=1e-9)
    heads = convex.fit(_outputs(features), labels, np.ones((4, 301), bool), 3, phase)
    assert heads.iterations.tolist() == [3] * 4
    assert (heads.gradient > 1e-9).all()


def test_separable_data_is_learnt_and_probabilities_sum_to_one():
    features = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    labels = np.repeat(np.arange(4), 10)
    heads = convex.fit(
        _outputs(features),
        labels,
        np.ones((1, 40), bool),
        4,
        ConvexPhase(c=10, standardize=False, max_iterations=200, tolerance=1e-6),
    )
    assert (_all_log_probabilities(heads, features)[0].argmax(1) == labels).all()
    np.testing.assert_allclose(np.exp(_all_log_probabilities(heads, features)[0]).sum(1), 1, atol=1e-5)


def test_pieces_change_rounding_alone(monkeypatch):
    features, labels = _task(301, 30, 3)
    features += 100  # rounding would show if moments were not merged around the mean
    train = np.stack([np.arange(301) % 4 != fold for fold in range(4)])
    phase = ConvexPhase(c=0.1, standardize=True, max_iterations=500, tolerance=1e-5)
    whole = convex.fit(_outputs(features), labels, train, 3, phase)
    taken = []
    take = Outputs.take
    monkeypatch.setattr(Outputs, "take", lambda self, rows, variant=0: taken.append(len(rows)) or take(self, rows))
    monkeypatch.setattr(convex, "PIECE_BYTES", 4 * 50 * (2 * 30 + 6 * 4 * 3))
    monkeypatch.setattr(convex, "KEPT_BYTES", convex.PIECE_BYTES)
    pieces = convex.fit(_outputs(features), labels, train, 3, phase)
    assert max(taken) <= 50
    np.testing.assert_allclose(pieces.centre, features.mean(0), rtol=1e-6)
    np.testing.assert_allclose(pieces.spread[1:], features.std(0, dtype=np.float64)[1:], rtol=1e-4)
    np.testing.assert_allclose(pieces.loss, whole.loss, rtol=1e-5)
    np.testing.assert_allclose(
        _all_log_probabilities(pieces, features), _all_log_probabilities(whole, features), atol=2e-3
    )
