"""The models of Keras as backbones: against Keras itself, in training, from files, and what is refused."""

import hashlib
import math
import os
import subprocess
import sys

import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from fer_bench_keras import KerasParams, keras_model
from fer_bench_keras.catalogue import APPLICATIONS
from fer_bench_keras.keras_model import _unfilled
from fer_bench_keras.network import build
from flax import nnx
from messages import says
from pydantic import ValidationError
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.networks.identity import identity
from fer_bench.networks.shapes import trace
from fer_bench.registry import Registry
from fer_bench.testing.conformance import cases


def make(name, seed=0, dtype=jnp.float32, **params):
    return build(KerasParams(name=name, **params), rngs=nnx.Rngs(seed), compute_dtype=dtype)


def compose(network, name, x):
    for stage in APPLICATIONS[name].cuts:
        x = getattr(network, stage)(x)
    return x


def images(size, count=3):
    return jnp.asarray(np.random.default_rng(1).uniform(0, 255, (count, size, size, 3)), jnp.float32)


def make_keras(application, size, seed=0):
    """Return Keras's own model with numbers that differ everywhere, statistics included."""
    model, _ = _unfilled(keras, getattr(keras.applications, application), (size, size, 3))
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name == "seed_generator_state":
            variable.assign(np.zeros(2))
            continue
        shape, spread = tuple(variable.shape), 1 / math.sqrt(max(1, math.prod(variable.shape[:-1])))
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, shape))
        else:
            variable.assign(random.normal(0, spread, shape))
    return model


def run(function, *arguments):
    """Run a function, compiled in a hurry."""
    return jax.jit(function).lower(*arguments).compile({"xla_backend_optimization_level": 0})(*arguments)


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """MobileNet at 32 pixels as Keras has it, and the file of its weights."""
    model = make_keras("MobileNet", 32)
    file = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    model.save_weights(file)
    return model, file


ALL = pytest.mark.skipif("FER_BENCH_TEST_ALL" not in os.environ, reason="'tox run -e exhaustive' tries all")


@pytest.mark.slow
@pytest.mark.parametrize(
    "application",
    [
        "MobileNetV3Small",
        *(pytest.param(name, marks=ALL) for name in ("EfficientNetV2B0", "ResNet50", "ConvNeXtTiny")),
    ],
)
def test_features_are_keras_features(application, tmp_path):
    model = make_keras(application, 32)
    model.save_weights(tmp_path / "it.weights.h5")
    module = getattr(keras.applications, APPLICATIONS[application.lower()].module)
    x = images(32)
    expected = run(lambda x: model(x, training=False), module.preprocess_input(np.array(x)))
    network = make(application.lower(), input_size=32, file=str(tmp_path / "it.weights.h5"))
    found = run(lambda x: compose(network, application.lower(), x), x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


OF_EACH_KIND = ("vgg16", "mobilenetv2", "inceptionv3", "efficientnetv2b0", "convnexttiny")
"""Together they have every kind of layer but separable convolutions and hard swishes, which other tests build."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n in OF_EACH_KIND else pytest.param(n, marks=ALL) for n in APPLICATIONS])
def test_every_stage_is_found_and_all_numbers_lie_in_one(name):
    application = APPLICATIONS[name]
    params = KerasParams(name=name, weights="random", input_size=application.smallest)
    network = nnx.eval_shape(lambda: build(params, rngs=nnx.Rngs(0)))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert round(count / 1e6, 1) == application.parameters
    graph, state = nnx.split(network)
    images = jax.ShapeDtypeStruct((1, params.input_size, params.input_size, 3), jnp.float32)
    features = jax.eval_shape(lambda state, x: compose(nnx.merge(graph, state), name, x), state, images)
    assert (features.shape[-1], features.dtype, features.ndim) == (application.feature_size, jnp.float32, 4)


def test_names_do_not_depend_on_what_was_built_before():
    keras.layers.Add()  # Keras counts it
    component = Registry.load().backbone("keras[name=xception,input_size=71]")
    first, again = trace(component), trace(component)
    assert list(first) == list(again)
    assert first["block1/block1_conv1/kernel"] == (3, 3, 3, 32)
    assert first["block2/conv2d/kernel"] == (1, 1, 64, 128)
    assert first["block13/batch_normalization_3/scale"] == (1024,)
    assert first["block14/block14_sepconv2/pointwise_kernel"] == (1, 1, 1536, 2048)


@ALL
@pytest.mark.slow
@pytest.mark.parametrize("case", cases("keras-mobilenet[input_size=32,weights=random]"), ids=str)
def test_mobilenet_keeps_the_rules(case):
    case.check()


def test_in_training_batchnorm_does_what_keras_does(mobilenet):
    model, file = mobilenet
    network = make("mobilenet", input_size=32, file=str(file))
    x = images(32, 8)
    prepared = keras.applications.mobilenet.preprocess_input(np.array(x))
    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    expected, statistics = run(lambda x: model.stateless_call(trainable, others, x, training=True), prepared)
    network.set_attributes(nnx.BatchNorm, use_running_average=False)
    graph, state = nnx.split(network)

    def train(state, x):
        network = nnx.merge(graph, state)
        return compose(network, "mobilenet", x), nnx.state(network, nnx.BatchStat)

    found, moved = run(train, state, x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * float(np.abs(expected).max()))
    named = dict(zip((variable.path for variable in model.non_trainable_variables), statistics, strict=True))
    np.testing.assert_allclose(
        moved["block13"]["conv_pw_13_bn"]["mean"][...], named["conv_pw_13_bn/moving_mean"], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(moved["stem"]["conv1_bn"]["var"][...], named["conv1_bn/moving_variance"], rtol=1e-5)
    before = model.get_layer("conv1_bn").moving_variance.value
    assert float(np.abs(moved["stem"]["conv1_bn"]["var"][...] - before).max()) > 1e-3


def test_bfloat16_is_close_and_parameters_stay_float32(mobilenet):
    model, file = mobilenet
    half = make("mobilenet", dtype=jnp.bfloat16, input_size=32, file=str(file))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half, nnx.Param))} == {jnp.dtype("float32")}
    x = images(32)
    found = run(lambda x: compose(half, "mobilenet", x), x)
    prepared = keras.applications.mobilenet.preprocess_input(np.array(x))
    expected = run(lambda x: model(x, training=False), prepared)
    assert found.dtype == jnp.float32
    difference = float(np.abs(found - expected).mean() / np.abs(expected).mean())
    assert 1e-5 < difference < 0.1


def test_random_weights_follow_the_seed_and_come_before_a_file(mobilenet):
    _, file = mobilenet
    first, again, other = (
        jax.tree.leaves(nnx.state(make("mobilenet", seed, input_size=32, weights="random"), nnx.Param))
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1)
    with pytest.raises(ValidationError, match="not both"):
        KerasParams(name="mobilenet", weights="random", file=str(file))
    # As the host does for 'scratch', whatever the user gave.
    params = KerasParams(name="mobilenet", input_size=32, file=str(file)).model_copy(update={"weights": "random"})
    drawn = jax.tree.leaves(nnx.state(build(params, rngs=nnx.Rngs(0)), nnx.Param))
    assert all(np.array_equal(a, b) for a, b in zip(first, drawn, strict=True))


def test_kernels_are_drawn_by_keras_initialisers():
    network = make("mobilenet", input_size=32, weights="random")
    kernel = np.asarray(network.block13.conv_pw_13.kernel[...])
    limit = math.sqrt(6 / (1024 + 1024))  # Glorot and Bengio 2010, eq. 16
    assert kernel.shape == (1, 1, 1024, 1024)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)


def test_files_that_are_not_the_weights_are_refused(mobilenet, tmp_path):
    _, file = mobilenet
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    cut = tmp_path / "cut.weights.h5"
    cut.write_bytes(file.read_bytes()[:100_000])
    for name, path, expected in (
        ("mobilenet", tmp_path / "nowhere.h5", "There is no file"),
        ("mobilenet", text, "does not hold the weights of 'mobilenet"),
        ("mobilenet", cut, "does not hold the weights of 'mobilenet"),
        ("mobilenetv2", file, "does not hold the weights of 'mobilenetv2"),
    ):
        with pytest.raises(FerBenchError, match=expected):
            make(name, input_size=32, file=str(path))


def test_weights_that_a_file_lacks_are_named(mobilenet, tmp_path):
    _, file = mobilenet
    lacking, holed = tmp_path / "lacking.weights.h5", tmp_path / "holed.weights.h5"
    for copy in (lacking, holed):
        copy.write_bytes(file.read_bytes())
    with h5py.File(lacking, "r+") as content:
        del content["layers/batch_normalization_3"]
    with h5py.File(holed, "r+") as content:
        content["layers/conv2d_2/vars/0"][0, 0, 0, 0] = np.inf
    with pytest.raises(FerBenchError, match=f"{lacking.name}.*mobilenet"):
        make("mobilenet", input_size=32, file=str(lacking))
    with pytest.raises(FerBenchError, match=r"1 of 135 arrays.*not finite.*\n.*conv_pw_2/kernel"):
        make("mobilenet", input_size=32, file=str(holed))


def test_keras_settings_stay(mobilenet):
    _, file = mobilenet
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("float64")
    try:
        network = make("mobilenet", input_size=32, file=str(file))
        assert (keras.config.image_data_format(), keras.config.dtype_policy().name) == ("channels_first", "float64")
        assert network.stem.conv1.kernel[...].dtype == jnp.float32
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy("float32")
    assert run(lambda x: compose(network, "mobilenet", x), images(32)).shape == (3, 1, 1, 1024)


def test_weights_that_cannot_be_had_are_reported_when_the_grid_is_made_with_all_ways_out(monkeypatch, tmp_path):
    from keras.src.utils import file_utils

    def nobody(url, *arguments):
        raise OSError(f"no route to {url}")

    keras_model.find_weights.cache_clear()
    monkeypatch.setattr(file_utils, "urlretrieve", nobody)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    command = ["run", "--dataset", "synthetic[n=70]", "--backbone", "keras-mobilenet[input_size=128]"]
    done = CliRunner().invoke(app, [*command, "--backbone", "keras[name=ConvNeXtTiny]", "--strategy", "linear-probe"])
    parts = ["keras[name=mobilenet]", "no route", "mobilenet_1_0_128_tf_no_top.h5", str(tmp_path / "models")]
    parts += ["keras[name=mobilenet,file=", "weights=random", "keras[name=convnexttiny]", "convnext_tiny_notop.h5"]
    assert isinstance(done.exception, FerBenchError)
    assert says(str(done.exception), *parts)
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models" / "mobilenet_1_0_128_tf_no_top.h5").write_bytes(b"weights")
    component = Registry.load().backbone("keras-mobilenet[input_size=128]")
    assert identity(component, "float32")["files"] == {"weights 'imagenet'": hashlib.sha256(b"weights").hexdigest()}


def test_old_names_are_the_same_backbone_and_models_have_their_own_size():
    registry = Registry.load()
    for old, new in (
        ("keras-xception", "keras[name=xception]"),
        ("keras-resnet50[weights=random]", "keras[weights=random,name=ResNet50]"),
        ("fer-bench-keras/keras-vgg16[input_size=64]", "keras[name=vgg16,input_size=64]"),
    ):
        assert registry.backbone(old) == registry.backbone(new)
        assert str(registry.backbone(old)) == str(registry.backbone(new))
    xception = registry.backbone("keras-xception")
    assert str(xception) == "keras[name=xception]"
    assert (xception.params.input_size, xception.spec.feature_size, len(xception.spec.stages)) == (299, 2048, 14)
    for wrong, parts in (
        ("keras-xception[input_size=70]", ("Xception", "71", "70")),
        ("keras-resnet5", ("'resnet5'", "'resnet50'")),
        ("keras", ("keras[name=resnet50]", "convnexttiny")),
    ):
        with pytest.raises(FerBenchError) as error:
            identity(registry.backbone(wrong), "float32")
        assert says(str(error.value), *parts)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_importing_the_plugin_imports_neither_jax_nor_keras():
    done = run_python("import fer_bench_keras, sys; print({'jax', 'keras', 'numpy'} & set(sys.modules))")
    assert (done.stdout.strip(), done.returncode) == ("set()", 0), done.stderr


def test_another_backend_is_refused_where_keras_runs_on_it_and_ignored_where_it_does_not(monkeypatch):
    code = """
import os
from fer_bench_keras.keras_model import import_keras
print(import_keras().backend.backend(), os.environ["KERAS_BACKEND"])
"""
    done = run_python(code, KERAS_BACKEND="numpy")
    assert done.stdout.strip() == "jax numpy", done.stderr
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(FerBenchError, match="with the backend 'numpy'"):
        keras_model.import_keras()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["linear-probe", pytest.param("finetune[epochs=1,from_stage=block13]", marks=ALL)])
def test_a_run_trains_from_a_file(strategy, mobilenet, tmp_path, monkeypatch):
    _, file = mobilenet
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    command = ["run", "--dataset", "synthetic[n=28]", "--folds", "2", "--runs-dir", "runs", "--strategy", strategy]
    done = CliRunner().invoke(app, [*command, "--backbone", f"keras-mobilenet[input_size=32,file={file}]"])
    assert done.exit_code == 0, done.output
    assert "name=mobilenet" in done.output
    (cell, *_) = (tmp_path / "runs").rglob("cell.json")
    assert "mobilenet.weights.h5" in cell.read_text()
    assert str(tmp_path) not in cell.read_text()
