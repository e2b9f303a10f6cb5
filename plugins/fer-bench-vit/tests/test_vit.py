"""Vision Transformers: features of the references, what strategies train, what is refused. All rules: parity.py."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import fer_bench_vit
import jax
import numpy as np
import pytest
from fer_bench_vit.architectures import ARCHITECTURES
from fer_bench_vit.positions import resample
from half_programs import everything, features_apart, programs, storing
from hurry import in_a_hurry
from messages import says
from pydantic import ValidationError
from safetensors.numpy import save_file
from tiny_models import CASES, GOLDEN, NATIVE, images, numbers, tiny
from typer.testing import CliRunner

from fer_bench.cli import app
from fer_bench.errors import FerBenchError
from fer_bench.learning import rules
from fer_bench.networks import devices
from fer_bench.networks.backbone import build
from fer_bench.networks.shapes import trace
from fer_bench.plugins import Plugin
from fer_bench.registry import Component, Registry

PLUGIN = Plugin(name="vit", distribution="fer-bench-vit", version="0")
GOLDENS = json.loads(GOLDEN.read_text())
hurried = in_a_hurry()


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a small model of an architecture a component."""

    def component(name, **params):
        a = tiny(name)
        monkeypatch.setitem(ARCHITECTURES, name, a)
        kind = fer_bench_vit._params_of(a)
        monkeypatch.setattr(fer_bench_vit, kind.__name__, kind)
        return Component(fer_bench_vit._spec_of(a, kind), kind(**params), PLUGIN)

    return component


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def published(tmp_path, case):
    """Return a file as its publisher names it."""
    file = tmp_path / "model.safetensors"
    save_file(numbers(GOLDENS[case]["shapes"]), file)
    return str(file)


@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_timm_and_transformers(case, make, tmp_path):
    name, registers = CASES[case]
    file = published(tmp_path, case)
    side, features = list(GOLDENS[case]["features"].items())[-1]  # another size than the file's, where it has two
    backbone = build(make(name, file=file, registers=registers, input_size=int(side)), "float32", 0)
    lowered = jax.jit(lambda state, x: backbone.prefix(state, x, len(backbone.stages))).lower(
        backbone.state, images(int(side))
    )
    hurried = lowered.compile({"xla_backend_optimization_level": 0})
    ours = np.asarray(hurried(backbone.state, images(int(side))))[0]
    assert np.abs(ours - features).max() < 1e-4 * np.abs(features).max()


@pytest.mark.parametrize(("name", "registers"), [("dinov2-b14", 4), ("siglip-b16", 0)])
def test_features_of_tokens_in_half_precision_stay(make, monkeypatch, name, registers):
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    component = make(name, weights="random", registers=registers)
    exact, half = (build(component, precision, 0) for precision in ("float32", "bfloat16"))
    assert half.activations == "bfloat16"
    assert 1e-4 < features_apart(exact, half, images(NATIVE)) < 1e-2
    tokens = r"(16|21)x(24|48)"  # of every layer; within attention, shares and the gradients through them are float32
    (stored,) = programs(half, everything(), NATIVE, "steps").values()
    assert not storing(stored, tokens)
    (stored,) = programs(exact, everything(), NATIVE, "prediction").values()
    assert "dot_general" in storing(stored, tokens)


@pytest.mark.parametrize("name", ["dinov2-b14", "siglip-b16"])
def test_lora_and_bitfit_change_what_their_papers_name(make, name):
    backbone = make(name, weights="random")
    shapes = trace(backbone)

    def learning(strategy):
        component = Registry.load().strategy(strategy)
        phase = component.resolve(component.spec.plan)(component.params).phases[-1]
        assigned = rules.assign(phase, backbone.spec.stages, shapes)
        return {path for path, rule in assigned.items() if rules.learns(rule, shapes[path]) and not rule.head}

    attention = {f"block1/attention/{matrix}/kernel" for matrix in ("query", "key", "value", "out")}
    pooled = {path for path in shapes if path.startswith("pool/") and path.endswith("/kernel")}
    mlp = {"block1/mlp/first/kernel", "block1/mlp/second/kernel"}
    assert learning("lora") == attention | mlp | pooled
    everywhere = learning("lora[from_stage=embed]")
    assert everywhere - pooled == {path.replace("block1", f"block{n}") for path in attention | mlp for n in (0, 1)}
    parts = {path.rpartition("/")[2] for path in learning("bitfit")}
    assert parts == {"bias", "scale"}
    assert learning("bitfit") >= {"block0/norm1/scale", "block0/attention/query/bias", "pool/norm/bias"}


def test_positions_of_another_size():
    grid = np.random.default_rng(0).normal(size=(4, 4, 3))
    for how in ("bicubic", "antialiased", "offset"):
        assert np.array_equal(resample(grid, 4, how), grid.astype(np.float32))
        assert np.allclose(resample(np.ones((4, 4, 3)), 7, how), 1)
    # By hand, from 4 points to 2: centres at 0.5 and 2.5, where Keys's kernel with a = -0.75 gives -3/32 and 19/32.
    line = np.asarray([1.0, 2.0, 4.0, 8.0])[:, None, None] * np.ones((1, 4, 1))
    first = -3 / 32 * 1 + 19 / 32 * 1 + 19 / 32 * 2 - 3 / 32 * 4
    last = -3 / 32 * 2 + 19 / 32 * 4 + 19 / 32 * 8 - 3 / 32 * 8
    assert np.allclose(resample(line, 2, "bicubic")[:, 0, 0], [first, last])


def refusal(component):
    with pytest.raises(FerBenchError) as error:
        build(component, "float32", 0)
    return str(error.value)


def test_a_file_of_another_model_is_refused_with_all_mismatches(make, tmp_path):
    file = published(tmp_path, "transformers dinov2")
    text = refusal(make("vit-b16", file=file))
    assert says(text, "model.safetensors", "vit-b16", "Hugging Face", "4 mismatches")
    assert text.count("layer_scale1.lambda1") == text.count("layer_scale2.lambda1") == 2
    text = refusal(make("dinov2-b14", file=file, registers=4))
    assert says(text, "dinov2-b14[registers=4]", "1 mismatch:", "embed/registers", "(4, 1, 24)")
    text = refusal(make("clip-b16", file=file))
    assert says(text, "clip-b16", "embed/norm/scale")
    tensors = numbers(GOLDENS["transformers vit"]["shapes"])
    odd = {"embeddings.position_embeddings": np.zeros((1, 12, 24), np.float32), "other": np.zeros(3, np.float32)}
    half = {name: tensor for name, tensor in tensors.items() if ".1." not in name}
    save_file(half | odd, file)
    text = refusal(make("vit-b16", file=file))
    assert says(text, "12 positions")
    assert says(text, "unexpected: other")
    assert text.count("missing: our block1/") == 16
    save_file({"layer1.0.conv1.weight": odd["other"]}, file)
    assert says(refusal(make("vit-b16", file=file)), "vit-b16", "patch_embed.proj.weight", "layer1.0.conv1.weight")


def test_weights_that_are_not_here_are_named_with_all_ways_to_get_them(make, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path))
    ways = ("fer-bench weights fetch clip-b16 --weights openai", "https://", "clip-b16[file=", "weights=random")
    assert says(refusal(make("clip-b16")), "clip-b16", *ways)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "clip-b16-openai-ViT-B-16.pt").write_bytes(b"damaged")
    assert says(refusal(make("clip-b16")), "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("vit-b16", {"input_size": 30}),
        ("vit-b16", {"features": "attention"}),
        ("siglip-b16", {"features": "class"}),
        ("vit-b16", {"registers": 4}),
        ("vit-b16", {"file": "x.safetensors", "weights": "random"}),
        ("vit-b16", {"weights": "openai"}),
    ],
)
def test_parameters_that_do_not_fit_are_refused(make, name, params):
    with pytest.raises(ValidationError):
        make(name, **params)


class Planted:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_run_on_a_file_with_foreign_code_ends_with_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("net.pth", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps({"model": Planted("planted")}))
    with pytest.raises(FerBenchError) as error:
        invoke("plan", "--backbone", "clip-b16[file=net.pth]", "--dataset", "synthetic[n=70]", "--folds", "2")
    assert says(str(error.value), "net.pth", "mkdir")
    assert not (tmp_path / "planted").exists()


def test_weights_are_listed_by_licence():
    def names(*arguments):
        rows = json.loads(invoke("weights", "list", "--json", *arguments).stdout)
        return {(row["backbone"], row["licence"]) for row in rows if row["data"]}

    everything, commercial = names(), names("--licence", "commercial")
    assert everything - commercial >= {("mae-b16", "CC-BY-NC-4.0"), ("mae-l16", "CC-BY-NC-4.0")}
    assert not {name for name, _ in commercial if name.startswith(("mae", "arcface", "adaface"))}
    assert names("--licence", "mit") == {row for row in everything if row[1] == "MIT"}
    with pytest.raises(FerBenchError) as error:
        invoke("weights", "list", "--licence", "GPL")
    assert says(str(error.value), "GPL", "commercial")
