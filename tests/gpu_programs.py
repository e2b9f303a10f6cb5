"""The programs of a run, lowered for a GPU that is not here: those beside the networks, and the steps of strategies."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from half_programs import BATCH, everything, programs, storing

from fer_bench.corruption import KINDS, Corruption
from fer_bench.damage import images as damage
from fer_bench.faces import detector
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import convex, descent, penalties
from fer_bench.learning.plans import make_plan
from fer_bench.networks import devices, resident
from fer_bench.networks.backbone import Backbone, build
from fer_bench.registry import Registry
from fer_bench.specs import ConvexPhase, GradientPhase

PHASE = ConvexPhase(c=1.0, standardize=True, max_iterations=30, tolerance=1e-3)
WITHOUT_STEPS = {"as-is", "knn", "linear-probe", "svm"}
BESIDE = (convex, descent, resident, damage, detector)
"""Modules of programs that are no network's."""


@pytest.fixture
def lowered(monkeypatch):
    """Return a dictionary that gets each program beside the networks, as StableHLO for CUDA, when it is called."""
    texts: dict[str, str] = {}

    def recorded(name: str, program: Any, runs: bool) -> Any:
        def call(*arguments: Any) -> Any:
            if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments)):
                texts[name] = program.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()
                if not runs:
                    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), program.eval_shape(*arguments))
            return program(*arguments)

        return call

    monkeypatch.setattr(devices, "accelerated", lambda: True)
    for module in BESIDE:
        for name, value in list(vars(module).items()):
            if isinstance(value, jax.stages.Wrapped):
                texts[value.__name__] = ""
                runs = module not in (damage, detector)
                monkeypatch.setattr(module, name, recorded(value.__name__, value, runs))
    return texts


class Grey:
    """Two pictures."""

    shape = (4, 5, 1)

    def __len__(self) -> int:
        return 2

    def take(self, rows: np.ndarray, variant: int = 0) -> np.ndarray:
        return np.full((len(rows), *self.shape), 128, np.uint8)


def draw_features() -> tuple[Outputs, np.ndarray]:
    """Return 24 samples of 6 features and 3 classes."""
    rng, labels = np.random.default_rng(0), np.arange(24) % 3
    x = rng.normal(size=(24, 6)) + rng.normal(size=(3, 6))[labels]
    x[::4, 0] = 100  # so that training parts without these lie far from the centre, as seen from their own spread
    return Outputs([x[:, None].astype(np.float32)]), labels


def call_detector() -> None:
    """Detect faces in a picture; boxes are given to the second and third network, since nothing is found."""
    made = detector.Detector(detector.Detection())
    made.find([np.zeros((40, 40, 3), np.uint8)])
    canvas, boxes = jnp.zeros((2, 64, 64, 3)), jnp.zeros((detector.BOXES, 4))
    with jax.default_matmul_precision("float32"):
        for net, weights in ((detector._rnet, "rnet"), (detector._onet, "onet")):
            net(made._weights[weights], canvas, boxes, jnp.zeros(len(boxes), jnp.int32))


def test_programs_beside_the_networks_are_those_of_a_gpu_and_round_no_product_of_float32(lowered, monkeypatch):
    features, labels = draw_features()
    monkeypatch.setattr(convex, "BYTES_ELSEWHERE", 1000)  # so that features are streamed
    train = np.arange(24) % np.array([[4], [3]]) > 0
    convex.fit(features, labels, train, 3, PHASE)
    penalties.fit(features, labels, np.arange(20), 3, PHASE, np.geomspace(1e-2, 10, penalties.AT_ONCE + 3))
    for variants in (0, 1):
        resident.Resident(Grey(), Grey.shape, np.uint8, variants).take(np.array([0, 1]))
    call_detector()
    for kind in KINDS:
        damage.corrupt([np.zeros((20, 20, 3), np.uint8)], np.array([b"x"]), Corruption(kind, 3, 0))
        text = lowered.pop("_run")
        assert not products(text), kind
        lowered["_run"] = text
    assert [name for name, text in lowered.items() if not text] == []
    assert {name: lines for name, text in lowered.items() if (lines := products(text))} == {}


def products(text: str) -> list[str]:
    """Return the products and convolutions of float32 numbers that a GPU may round to ten bits before."""
    found = re.findall(r".*stablehlo\.(?:dot_general|convolution)\b.*", text)
    return [line for line in found if "xf32>, tensor" in line and "HIGHEST" not in line]


@pytest.fixture(params=["mini-xception", "xception[input_size=71]"])
def network(request, monkeypatch) -> Backbone:
    """Return a backbone as an accelerator has it; those of other packages are lowered by the tests beside them."""
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    return build(Registry.load().backbone(request.param), "bfloat16", 0)


def test_every_program_of_a_backbone_stores_no_float32_image(network):
    for batch_norm in ("frozen", "train"):
        for name, text in programs(network, everything(batch_norm), network.input_size).items():
            assert not storing(text), name


@pytest.mark.parametrize("strategy", [spec.name for *_, spec in Registry.load().specs("strategy")])
def test_steps_of_every_strategy_store_no_float32_image(strategy, monkeypatch):
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    network = build(Registry.load().backbone("mini-xception"), "bfloat16", 0)
    phases = [
        phase for phase in make_plan(Registry.load().strategy(strategy)).phases if isinstance(phase, GradientPhase)
    ]
    assert phases or strategy in WITHOUT_STEPS
    for phase in phases:
        text = programs(network, replace(phase, batch=BATCH), network.input_size, "steps")["steps"]
        assert not storing(text), phase.name


@pytest.mark.parametrize("change", [{"augment": ("affine", "colour", "erase"), "mixup": 0.2}, {"cutmix": 1.0}])
def test_changes_of_images_are_those_of_a_gpu(change, monkeypatch):
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    network = build(Registry.load().backbone("mini-xception"), "bfloat16", 0)
    text = programs(network, replace(everything(), **change), network.input_size, "steps")["steps"]
    places = f"tensor<{BATCH}x2x{network.input_size}x{network.input_size}xf32>"  # from which pixels are taken
    assert not storing("\n".join(line for line in text.splitlines() if places not in line))
