"""The parts of an exported graph that need no converter, against the code and the libraries that they stand for.

The whole, for every strategy that leaves a model: tests/test_export_onnx.py, which runs in ``tox run -e extras``.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from messages import says
from onnx import TensorProto, helper
from sklearn.neighbors import KNeighborsClassifier

from fer_bench.errors import FerBenchError
from fer_bench.learning import calibration
from fer_bench.models import export, onnx_graph
from fer_bench.models.lowering import lowered
from fer_bench.models.nodes import Nodes
from fer_bench.models.preparation import preparation
from fer_bench.networks.transforms import to_batch, to_input
from fer_bench.specs import ImageInput
from fer_bench.tasks import windows


def _runner(graph):
    model = onnx_graph._as_model(graph)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize(
    ("channels", "spec", "views"),
    [
        (1, ImageInput(channels=1), "image"),
        (3, ImageInput(channels=1, value_range=(0.0, 1.0)), "image"),
        (1, ImageInput(channels=3, resize="cubic"), "image"),
        (3, ImageInput(channels=3, value_range=(0.0, 255.0), resize="cubic"), "image"),
        (3, ImageInput(channels=3), "mirror"),
        (1, ImageInput(channels=1, resize="cubic"), "crops"),
    ],
)
def test_images_are_prepared_as_in_training(channels, spec, views):
    """Sizes that grow, shrink, do both, and stay; 100 x 150 is the size of the training images, of which the windows
    only are at most twice as large as the input.
    """
    rng = np.random.default_rng(0)
    for training in ((100, 70), (100, 150)):
        run = _runner(preparation(channels, training, 71, spec, views))
        for shape in (training, (48, 48), (71, 71), (30, 150), (2, 3)):
            images = list(rng.integers(0, 256, (2, *shape, channels), np.uint8))
            seen = [images]
            if views == "mirror":
                seen = [images, [image[:, ::-1] for image in images]]
            elif views == "crops":
                seen = [[windows.cut(image, window) for image in images] for window in windows.WINDOWS]
            large = max(seen[0][0].shape[:2]) > 142
            batches = [to_batch(view, None if shape == training and not large else 71, channels) for view in seen]
            expected = np.concatenate([np.asarray(to_input(batch, 71, spec)) for batch in batches])
            atol = 2e-5 * (spec.value_range[1] - spec.value_range[0])
            np.testing.assert_allclose(run(np.stack(images)), expected, atol=atol, err_msg=str(shape))


def test_bytes_of_high_images_differ_by_one_at_most():
    image = np.random.default_rng(0).integers(0, 256, (1, 200, 60, 1), np.uint8)
    spec = ImageInput(channels=1, value_range=(0.0, 255.0))
    made = _runner(preparation(1, None, 71, spec))(image)
    assert np.abs(made - np.asarray(to_input(to_batch(list(image), 71, 1), 71, spec))).max() < 1.001


def test_a_function_keeps_its_numbers_without_platforms_windows_and_own_derivatives():
    @jax.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (twice(x), None), lambda _, gradient: (2 * gradient,))

    def function(x):
        x = jax.lax.platform_dependent(x, cpu=lambda x: x + 1, default=lambda x: 1 + x)
        x = jax.lax.optimization_barrier(jax.nn.relu(twice(x)))
        pooled = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        return pooled - jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 3, 1), (1, 2, 2, 1), "SAME")

    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(lowered(function))(x), jax.jit(function)(x), rtol=1e-6, atol=1e-6)
    text = str(jax.make_jaxpr(lowered(function))(x))
    assert not [word for word in ("platform_index", "reduce_window", "custom", "barrier", "cond[") if word in text]


def test_another_platform_than_the_cpu_is_taken():
    function = lowered(lambda x: jax.lax.platform_dependent(x, cpu=lambda x: x, default=lambda x: x + 1))
    assert function(jnp.float32(1)) == 2


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_vote_as_in_scikit_learn(weights):
    """Also for the training samples themselves, whose distance is 0; class 1 has none."""
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 2, 3], 60)
    known = rng.normal(size=(60, 20)).astype(np.float32) + labels[:, None]
    known = (known / np.linalg.norm(known, axis=1, keepdims=True)).astype(np.float32)
    classifier = KNeighborsClassifier(7, weights=weights).fit(known, labels)
    asked = np.concatenate([known[:9], known[:9] + rng.normal(size=(9, 20)).astype(np.float32) / np.float32(9)])
    np.testing.assert_allclose(
        _runner(onnx_graph._neighbours(classifier))(asked), classifier.predict_proba(asked), atol=1e-5
    )
    with pytest.raises(FerBenchError, match="manhattan"):
        onnx_graph._neighbours(KNeighborsClassifier(7, metric="manhattan").fit(known, labels))


def _model(classes=("happiness", "sadness", "anger"), scaling=None, estimator=None, views="image"):
    record, asked = SimpleNamespace(calibration=scaling), SimpleNamespace(views=views)
    return SimpleNamespace(classes=classes, record=record, estimator=estimator, asked=asked)


def test_probabilities_are_calibrated_as_in_predict():
    logits = np.array([[2.0, 1.0, -1.0], [0.0, 90.0, -90.0]], np.float32)
    share = np.exp(logits.astype(float) - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    np.testing.assert_allclose(_runner(onnx_graph._answer(_model()))(logits), share, atol=1e-7)
    for biases in ((), (0.5, 0.0, -0.5)):
        scaling = SimpleNamespace(temperature=1.7, biases=biases)
        expected = calibration.scale(share.astype(np.float32), 1.7, biases)
        np.testing.assert_allclose(_runner(onnx_graph._answer(_model(scaling=scaling)))(logits), expected, atol=1e-6)


def test_probabilities_of_several_views_are_averaged_before_they_are_calibrated():
    """Two images, each beside its mirror image: first both images, then both mirror images."""
    share = np.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.4, 0.5, 0.1], [0.2, 0.6, 0.2]])
    means, logits = np.array([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4]]), np.log(share).astype(np.float32)
    np.testing.assert_allclose(_runner(onnx_graph._answer(_model(views="mirror")))(logits), means, atol=1e-6)
    run = _runner(onnx_graph._answer(_model(views="mirror", scaling=SimpleNamespace(temperature=2.0, biases=()))))
    roots = np.sqrt(means)
    np.testing.assert_allclose(run(logits), roots / roots.sum(1, keepdims=True), atol=1e-6)


def test_a_class_that_an_estimator_never_saw_has_probability_0():
    estimator = SimpleNamespace(classes_=np.array([0, 2]))
    said = np.array([[0.25, 0.75]], np.float32)
    run = _runner(onnx_graph._answer(_model(estimator=estimator)))
    np.testing.assert_array_equal(run(said), [[0.25, 0, 0.75]])


def test_a_graph_that_answers_differently_is_not_accepted():
    """A graph that gives equal probabilities, for a model that is sure."""
    graph = Nodes()
    counts = graph.add("Slice", graph.add("Shape", "images"), np.array([0]), np.array([1]))
    equal = graph.add("Expand", np.full((1, 2), 0.5, np.float32), graph.add("Concat", counts, np.array([1]), axis=0))
    graph.add("Identity", equal, output="said")
    given = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "height", "width", 1])
    said = helper.make_tensor_value_info("said", TensorProto.FLOAT, ["n", 2])
    content = onnx_graph._as_model(graph.finish("equal", given, said)).SerializeToString()

    def model_of(share):
        return SimpleNamespace(
            backbone=SimpleNamespace(name="tiny", input_size=8),
            record=SimpleNamespace(shape=None, channels=1),
            predict=lambda images: np.tile(np.float32([share, 1 - share]), (len(images), 1)),
        )

    assert export._compare(content, model_of(0.50005)) == pytest.approx(5e-5, rel=1e-2)
    with pytest.raises(FerBenchError) as refused:
        export._compare(content, model_of(0.9))
    assert says(str(refused.value), "tiny", "0.4", "0.0001")
    with pytest.raises(FerBenchError, match="onnxruntime"):
        export._compare(content[:60], model_of(0.5))
