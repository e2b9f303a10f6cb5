"""The converter: what it accepts, and that it reports every fault at once."""

import builtins
import zipfile

import numpy as np
import pytest
from fer_bench_xception import XceptionParams, checkpoint
from fer_bench_xception.model import build
from flax import nnx
from safetensors.numpy import save_file

from fer_bench import FerBenchError

KINDS = ["weights", "legacy", "archive", "nested weights", "nested legacy", "nested archive"]


@pytest.fixture(scope="module")
def expected(keras_model):
    """Our tensors, taken from the Keras model in memory by a mapping written out here once more."""
    tensors = {}
    shortcuts = iter((2, 3, 4, 13))
    shortcut_norms = iter((2, 3, 4, 13))
    for layer in keras_model.layers:
        if not layer.weights:
            continue
        kind = type(layer).__name__
        if layer.name.startswith("block"):
            base = layer.name.removesuffix("_bn").replace("_", "/") + ("/norm" if layer.name.endswith("_bn") else "")
        elif kind == "Conv2D":
            base = f"block{next(shortcuts)}/shortcut"
        else:
            base = f"block{next(shortcut_norms)}/shortcut/norm"
        names = {4: ("scale", "bias", "mean", "var"), 2: ("depthwise", "pointwise"), 1: ("kernel",)}[len(layer.weights)]
        for name, weight in zip(names, layer.weights, strict=True):
            tensors[f"{base}/{name}"] = np.array(weight.value)
    return tensors


@pytest.fixture
def named(keras_model):
    """The weights as a flat dict of Keras's names."""
    return {
        f"{layer.name}/{weight.name}": np.array(weight.value)
        for layer in keras_model.layers
        for weight in layer.weights
    }


def check_same(actual, expected):
    assert sorted(actual) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name].ravel(), array.ravel(), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_file_that_keras_writes_gives_the_same_tensors(kind, keras_files, expected):
    check_same(checkpoint.read(keras_files[kind]), expected)


def test_keras_named_safetensors_give_the_same_tensors(named, expected, tmp_path):
    save_file(named, tmp_path / "x.safetensors")
    check_same(checkpoint.read(tmp_path / "x.safetensors"), expected)


@pytest.mark.parametrize("attributes", [True, False])
def test_the_published_layout_is_read_in_names_of_keras_1_and_with_classifier(named, expected, attributes, tmp_path):
    h5py = pytest.importorskip("h5py")
    old = {"moving_mean": "running_mean", "moving_variance": "running_std"}
    path = tmp_path / "published.h5"
    with h5py.File(path, "w") as file:
        layers = {}
        for name, array in {
            **named,
            "predictions/kernel": np.ones((2048, 10)),
            "predictions/bias": np.ones(10),
        }.items():
            layer, weight = name.split("/")
            auto = layer.replace("conv2d", "convolution2d").replace("batch_normalization", "batchnormalization")
            auto = auto if not layer.startswith("block") else layer
            layers.setdefault(auto, {})[f"{auto}_{old.get(weight, weight)}:0"] = array
        for layer, weights in layers.items():
            group = file.create_group(layer)
            for weight, array in weights.items():
                group[weight] = array
            if attributes:
                group.attrs["weight_names"] = [weight.encode() for weight in weights]
        if attributes:
            file.attrs["layer_names"] = [layer.encode() for layer in layers]
    check_same(checkpoint.read(path), expected)


def test_stored_types_are_float16_kernels_and_float32_statistics(keras_files):
    tensors = checkpoint.convert(keras_files["weights"])
    types = {("norm" if "/norm/" in name else "kernel", str(array.dtype)) for name, array in tensors.items()}
    assert types == {("norm", "float32"), ("kernel", "float16")}


def test_all_faults_are_reported_at_once(named, tmp_path):
    del named["block5_sepconv1/pointwise_kernel"]
    named["block1_conv1/kernel"] = named["block1_conv1/kernel"][..., :31]
    named["block1_conv2/kernel"] = named["block1_conv2/kernel"].astype(np.int32)
    named["block6_sepconv1_bn/gamma"] = np.full(728, np.nan, np.float32)
    named["other_layer/kernel"] = np.zeros((2, 2, 2), np.float32)
    save_file({name: np.ascontiguousarray(array) for name, array in named.items()}, tmp_path / "x.safetensors")
    with pytest.raises(FerBenchError) as caught:
        checkpoint.read(tmp_path / "x.safetensors")
    message = str(caught.value)
    assert "5 mismatches" in message
    for part in (
        "missing: block5_sepconv1/pointwise_kernel, expected (1, 1, 728, 728)",
        "block1_conv1/kernel: shape (3, 3, 3, 31), expected (3, 3, 3, 32)",
        "block1_conv2/kernel: type int32",
        "block6_sepconv1_bn/gamma: 728 of 728 values are not finite",
        "unexpected: other_layer/kernel (2, 2, 2)",
    ):
        assert part in message


def test_kernels_beyond_float16_are_named(named, tmp_path):
    named["block1_conv1/kernel"][0, 0, 0, 0] = 1e6
    save_file(named, tmp_path / "x.safetensors")
    with pytest.raises(FerBenchError, match="block1/conv1/kernel"):
        checkpoint.convert(tmp_path / "x.safetensors")


@pytest.mark.parametrize("kind", ["weights", "legacy", "archive"])
def test_a_truncated_file_is_one_clear_message(kind, keras_files, tmp_path):
    path = tmp_path / keras_files[kind].name
    content = keras_files[kind].read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FerBenchError, match="complete"):
        checkpoint.read(path)


@pytest.mark.parametrize("name", ["x.h5", "x.keras", "x.safetensors", "x"])
def test_noise_is_one_clear_message(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04not weights" * 50)
    with pytest.raises(FerBenchError, match="Cannot read"):
        checkpoint.read(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FerBenchError, match=r"nothing\.h5"):
        checkpoint.read(tmp_path / "nothing.h5")


def test_another_model_is_refused(tmp_path):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((64, 64, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.SeparableConv2D(8, 3)]
    )
    for name in ("m.weights.h5", "m.h5", "m.keras"):
        path = tmp_path / name
        model.save_weights(path) if name == "m.weights.h5" else model.save(path)
        with pytest.raises(FerBenchError, match="Xception"):
            checkpoint.read(path)


def test_other_names_in_safetensors_are_refused(tmp_path):
    save_file({"features.0.weight": np.zeros((2, 3, 3), np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(FerBenchError, match=r"0 of 234.*235"):
        checkpoint.read(tmp_path / "x.safetensors")


def test_an_archive_with_a_strange_config_is_refused(tmp_path):
    for config in (b"[]", b'{"config": {"layers": [1, {"config": {}}]}}', b"{"):
        with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
            archive.writestr("config.json", config)
            archive.writestr("model.weights.h5", b"")
        with pytest.raises(FerBenchError):
            checkpoint.read(tmp_path / "x.keras")


def test_without_h5py_the_message_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "x.h5").write_bytes(b"")
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(FerBenchError, match=r"fer-bench-xception\[convert\]"):
        checkpoint.read(tmp_path / "x.h5")


def test_assign_lists_what_does_not_fit_and_changes_nothing(expected):
    model = build(XceptionParams(), rngs=nnx.Rngs(0))
    before = np.array(model.block1.conv1.kernel[...])
    tensors = {name: array.reshape(1, -1) for name, array in list(expected.items())[:3]} | {"extra": np.ones(1)}
    with pytest.raises(FerBenchError) as caught:
        checkpoint.assign(model, tensors)
    assert "unexpected: extra" in str(caught.value)
    assert "missing: block" in str(caught.value)
    np.testing.assert_array_equal(model.block1.conv1.kernel[...], before)
