"""IResNets: features of the references, what strategies train, what is refused. All rules: parity.py."""

from __future__ import annotations

import json

import fer_bench_iresnet
import jax
import numpy as np
import pytest
from fer_bench_iresnet.architectures import ARCHITECTURES
from fer_bench_iresnet.model import convolve
from half_programs import everything, features_apart, programs, storing
from hurry import in_a_hurry
from messages import says
from pydantic import ValidationError
from safetensors.numpy import save_file
from tiny_iresnets import GOLDEN, LAYOUTS, NATIVE, OTHER, PREFIXES, images, numbers, tiny
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.learning import rules
from fer_bench.networks import devices
from fer_bench.networks.backbone import build
from fer_bench.networks.shapes import trace
from fer_bench.plugins import Plugin
from fer_bench.registry import Component, Registry

PLUGIN = Plugin(name="iresnet", distribution="fer-bench-iresnet", version="0")
GOLDENS = json.loads(GOLDEN.read_text())
hurried = in_a_hurry()


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a small network of an architecture a component."""

    def component(name, **params):
        a = tiny(name)
        monkeypatch.setitem(ARCHITECTURES, name, a)
        kind = fer_bench_iresnet._params_of(a)
        monkeypatch.setattr(fer_bench_iresnet, kind.__name__, kind)
        return Component(fer_bench_iresnet._spec_of(a, kind), kind(**params), PLUGIN)

    return component


def published(tmp_path, layout, **changes):
    """Return a file as its publisher names it, with another model beside the network."""
    tensors = numbers(GOLDENS[layout]["shapes"])
    file = tmp_path / "model.safetensors"
    named = {PREFIXES[layout] + name: array for name, array in (tensors | changes).items()}
    save_file(named | {"head.kernel": np.zeros((3, 4), np.float32)}, file)
    return str(file)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_are_those_of_the_published_networks(layout, make, tmp_path):
    file = published(tmp_path, layout)
    for features, side in (("embedding", NATIVE), ("mean", OTHER)):
        backbone = build(make(LAYOUTS[layout], file=file, features=features, input_size=side), "float32", 0)
        program = jax.jit(lambda state, x, run=backbone: run.prefix(state, x, len(run.stages)))
        hurried = program.lower(backbone.state, images(side)).compile({"xla_backend_optimization_level": 0})
        expected = np.asarray(GOLDENS[layout]["features"][features])
        assert (
            np.abs(np.asarray(hurried(backbone.state, images(side))) - expected).max() < 1e-4 * np.abs(expected).max()
        )


def test_a_convolution_in_bfloat16_has_the_gradients_of_its_rounded_operands():
    key = jax.random.key(0)
    x, kernel = jax.random.normal(key, (2, 5, 4, 3)), jax.random.normal(key, (3, 3, 3, 2))

    def of(dtype):
        value, pull_back = jax.vjp(lambda x, kernel: convolve(x, kernel, 2, dtype), x, kernel)
        return value, *pull_back(value)

    for exact, rounded in zip(of("float32"), of("bfloat16"), strict=True):
        assert rounded.dtype == "float32"
        assert 0 < np.abs(exact - rounded).max() < 0.03 * np.abs(exact).max()


def test_features_of_images_in_half_precision_stay(make, monkeypatch):
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    component = make("adaface-ir50", weights="random")
    exact, half = (build(component, precision, 0) for precision in ("float32", "bfloat16"))
    assert half.activations == "bfloat16"
    assert 1e-4 < features_apart(exact, half, images(NATIVE)) < 1e-2
    for batch_norm in ("frozen", "train"):
        (stored,) = programs(half, everything(batch_norm), NATIVE, "steps").values()
        assert not storing(stored)
    (stored,) = programs(exact, everything(), NATIVE, "prediction").values()
    assert "convolution" in storing(stored)


def test_lora_and_bitfit_change_matrices_and_norms(make):
    backbone = make("arcface-r50", weights="random")
    shapes = trace(backbone)

    def learning(strategy):
        component = Registry.load().strategy(strategy)
        phase = component.resolve(component.spec.plan)(component.params).phases[-1]
        assigned = rules.assign(phase, backbone.spec.stages, shapes)
        return {path for path, rule in assigned.items() if rules.learns(rule, shapes[path]) and not rule.head}

    assert learning("lora") == {"pool/kernel", "layer4_0/shortcut/kernel"}
    assert learning("lora[from_stage=layer3_0]") == learning("lora") | {"layer3_0/shortcut/kernel"}
    assert learning("finetune[from_stage=layer4_0]") >= {"layer4_0/prelu/slope", "layer4_0/conv1/kernel", "pool/bias"}
    assert {path.rpartition("/")[2] for path in learning("bitfit")} == {"bias", "scale"}
    assert learning("bitfit") >= {"stem/conv/norm/scale", "layer1_0/norm/bias", "pool/embedding_norm/scale"}


def refusal(component):
    with pytest.raises(FerBenchError) as error:
        build(component, "float32", 0)
    return str(error.value)


def test_a_file_of_another_network_is_refused_with_all_mismatches(make, tmp_path):
    text = refusal(make("adaface-ir50", file=published(tmp_path, "InsightFace")))
    assert says(
        text, "adaface-ir50", "InsightFace", "7 mismatches", "embedding_norm/bias", "layer1.0.downsample.0.weight"
    )
    file = published(tmp_path, "AdaFace")
    text = refusal(make("arcface-r50", file=file))
    assert says(text, "arcface-r50", "AdaFace", "7 mismatches", "layer1_0/shortcut/kernel", "pool/embedding_norm/scale")
    odd = {
        "output_layer.3.weight": np.zeros((10, 10 * 9), np.float32),
        "body.6.res_layer.3.weight": np.zeros(10, np.float32),
        "body.0.res_layer.6.fc1.weight": np.zeros((1, 4, 1, 1), np.float32),
        "input_layer.2.weight": np.full(4, np.nan, np.float32),
    }
    text = refusal(make("adaface-ir50", file=published(tmp_path, "AdaFace", **odd)))
    assert says(text, "4 mismatches")
    assert says(text, "body.6.res_layer.3.weight")
    assert says(text, "body.0.res_layer.6.fc1.weight")
    assert says(text, "output_layer.3.weight", "(10, 90)", "10 channels x 2 x 2")
    assert says(text, "stem/prelu/slope", "4 of 4")
    save_file({"layer1.0.conv1.weight": odd["body.6.res_layer.3.weight"]}, file)
    text = refusal(make("arcface-r50", file=file))
    assert says(text, "arcface-r50", "layer1.0.prelu.weight", "net.input_layer.0.weight", "layer1.0.conv1.weight")


def test_weights_that_are_not_here_are_named_with_all_ways_to_get_them(make, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path))
    ways = ("fer-bench weights fetch adaface-ir50 --weights webface4m", "https://", "[file=", "weights=random")
    assert says(refusal(make("adaface-ir50")), *ways)
    by_hand = ("glint360k_cosface_r50_fp16_0.1/backbone.pth", "https://1drv.ms/", "arcface-r50[file=")
    text = refusal(make("arcface-r50", weights="glint360k"))
    assert says(text, *by_hand, "weights=random")
    assert "weights fetch" not in text
    with pytest.raises(FerBenchError) as error:
        CliRunner().invoke(app, ["weights", "fetch", "arcface-r18", "--weights", "glint360k"], catch_exceptions=False)
    assert says(str(error.value), by_hand[0].replace("r50", "r18"), by_hand[1], "arcface-r18[file=")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "params",
    [
        {"input_size": 224},
        {"input_size": 15, "features": "mean"},
        {"features": "class"},
        {"file": "x.pth", "weights": "random"},
        {"weights": "webface4m"},
    ],
)
def test_parameters_that_do_not_fit_are_refused(params):
    with pytest.raises(ValidationError):
        fer_bench_iresnet._PARAMS["arcface-r50"](**params)
