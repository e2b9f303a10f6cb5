"""Finished classifiers: from the expressions that they know to the classes of a task."""

from __future__ import annotations

import numpy as np
import pytest
from messages import says

from fer_bench.errors import PluginError
from fer_bench.labels import EXPRESSIONS
from fer_bench.networks import answers
from fer_bench.registry import Registry


def _row(**shares: float) -> list[float]:
    return [shares.get(name, 0.0) for name in EXPRESSIONS]


def test_unknown_classes_get_nothing_and_the_rest_is_scaled():
    given = np.array([_row(happiness=0.5, anger=0.3, fear=0.2), _row(fear=1.0)])
    taken = answers.take(given, ("happiness", "anger", "fear"), ("Happy", "contempt", "angry"))
    np.testing.assert_allclose(taken[0], [0.625, 0, 0.375], rtol=1e-6)
    np.testing.assert_allclose(taken[1], [0.5, 0, 0.5])  # nothing left of it: even over what the classifier knows
    assert taken.dtype == np.float32


def test_what_is_missing_and_dropped_is_said():
    said = answers.describe(("happiness", "anger", "fear"), ("Happy", "contempt", "angry"))
    assert says(said, "contempt", "probability 0", "fear", "dropped", "sum to 1")
    said = answers.describe(("anger", "fear"), ("fear", "angry"))
    assert not any(word in said for word in ("probability", "dropped"))


def test_a_task_without_a_class_that_it_knows_is_an_error():
    with pytest.raises(PluginError, match=r"anger, fear.*bored, calm"):
        answers.columns(("anger", "fear"), ("bored", "calm"))


@pytest.mark.parametrize(
    ("features", "known", "message"),
    [(8, "('glee',)", "glee"), (3, "('fear',)", "3 features"), (8, "()", "expected 8")],
)
def test_a_classifier_that_declares_something_else_is_named(write_plugin, features, known, message):
    write_plugin(
        "finished",
        f"""
        from fer_bench import hookimpl
        from fer_bench.specs import BackboneSpec

        def know(params):
            return {known}

        @hookimpl
        def fer_bench_backbones():
            return [BackboneSpec(name="oracle", summary="", build="finished:build", stages=("all",),
                                 feature_size={features}, answers="finished:know")]
        """,
    )
    with pytest.raises(PluginError, match=message):
        answers.known(Registry.load().backbone("oracle"))
