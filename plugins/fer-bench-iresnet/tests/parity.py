"""Features beside those of networks in PyTorch, written here after the published code: ``tox run -e parity``.

Every number of a reference differs, also its statistics and slopes. It writes its weights as its publisher does, and
our backbone reads that file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from fer_bench_iresnet.architectures import ARCHITECTURES, Architecture
from parity_table import apart, differences  # noqa: F401 (a fixture)
from safetensors.torch import save_file
from tiny_iresnets import GOLDEN, LAYOUTS, NATIVE, OTHER, images, numbers, tiny
from torch import nn

from fer_bench.networks.backbone import build
from fer_bench.registry import Registry
from fer_bench.testing.conformance import cases

TOLERANCE = 1e-4
"""Largest difference of a feature, relative to the largest feature."""


class InsightFaceBlock(nn.Module):
    """``IBasicBlock`` of InsightFace's ``iresnet.py``."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + (self.downsample(x) if hasattr(self, "downsample") else x)


class InsightFace(nn.Module):
    """``IResNet`` of the same file."""

    def __init__(self, a: Architecture):
        super().__init__()
        width = a.widths[0]
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        for layer, (depth, outputs) in enumerate(zip(a.depths, a.widths, strict=True), 1):
            first = InsightFaceBlock(width, outputs, 2)
            rest = [InsightFaceBlock(outputs, outputs, 1) for _ in range(depth - 1)]
            setattr(self, f"layer{layer}", nn.Sequential(first, *rest))
            width = outputs
        self.bn2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * (a.input_size // 16) ** 2, width)
        self.features = nn.BatchNorm1d(width)

    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last image, after its norm."""
        x = self.prelu(self.bn1(self.conv1(x)))
        return self.bn2(self.layer4(self.layer3(self.layer2(self.layer1(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(self.fc(torch.flatten(self.image(x), 1)))


class AdaFaceBlock(nn.Module):
    """``BasicBlockIR`` of AdaFace's ``net.py``."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class AdaFace(nn.Module):
    """``Backbone`` of the same file, before the embedding is scaled to unit length."""

    def __init__(self, a: Architecture):
        super().__init__()
        width = a.widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        blocks: list[nn.Module] = []
        for depth, outputs in zip(a.depths, a.widths, strict=True):
            blocks.append(AdaFaceBlock(width, outputs, 2))
            blocks += [AdaFaceBlock(outputs, outputs, 1) for _ in range(depth - 1)]
            width = outputs
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(width * (a.input_size // 16) ** 2, width),
            nn.BatchNorm1d(width, affine=False),
        )

    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last image, after its norm."""
        return self.output_layer[0](self.body(self.input_layer(x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output_layer(self.body(self.input_layer(x)))


def reference_of(layout: str, a: Architecture) -> nn.Module:
    """Return a network with numbers that all differ."""
    model = InsightFace(a) if layout == "InsightFace" else AdaFace(a)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.tensor(array) for name, array in numbers(shapes).items()})
    return model.eval()


def publish(layout: str, model: nn.Module, folder: Path) -> Path:
    """Write the weights as they are published."""
    state = model.state_dict()
    if layout == "InsightFace":
        torch.save(state, folder / "backbone.pth")
        return folder / "backbone.pth"
    if layout == "AdaFace":  # a checkpoint of PyTorch Lightning, with the classifier of identities
        prefixed = {f"model.{name}": tensor for name, tensor in state.items()}
        saved = {"epoch": 25, "state_dict": prefixed | {"head.kernel": torch.zeros(8, 3)}, "optimizer_states": [{}]}
        torch.save(saved, folder / "adaface.ckpt")
        return folder / "adaface.ckpt"
    save_file({f"model.net.{name}": tensor for name, tensor in state.items()}, folder / "model.safetensors")
    return folder / "model.safetensors"


def reference_features(layout: str, model: nn.Module, side: int, features: str) -> np.ndarray:
    """Return features (2, n) of `images`, in the channel order of the layout."""
    x = (images(side).astype(np.float32) - 127.5) / 127.5
    x = x[..., ::-1] if layout == "AdaFace" else x
    with torch.no_grad():
        batch = torch.tensor(x.transpose(0, 3, 1, 2).copy())
        return (model(batch) if features == "embedding" else model.image(batch).mean((2, 3))).numpy()


def ours(name: str, file: Path, side: int, features: str) -> np.ndarray:
    """Return our features (2, n)."""
    text = f"{name}[file={file},input_size={side},features={features}]"
    backbone = build(Registry.load().backbone(text), "float32", 0)
    run = jax.jit(lambda state, x: backbone.prefix(state, x, len(backbone.stages)))
    return np.asarray(run(backbone.state, jnp.asarray(images(side))))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (layout, name)
        for layout in LAYOUTS
        for name in ARCHITECTURES
        if name.startswith("arcface") == (layout == "InsightFace")
    ],
)
def test_features_are_those_of_the_published_network(layout, name, tmp_path):
    model = reference_of(layout, ARCHITECTURES[name])
    file = publish(layout, model, tmp_path)
    for side, features in ((112, "embedding"), (112, "mean"), (100, "mean")):
        theirs = reference_features(layout, model, side, features)
        assert apart(layout, ours(name, file, side, features), theirs) < TOLERANCE, (side, features)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_goldens_are_the_features_of_the_references(layout):
    model = reference_of(layout, tiny(LAYOUTS[layout]))
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    features = {
        "embedding": reference_features(layout, model, NATIVE, "embedding"),
        "mean": reference_features(layout, model, OTHER, "mean"),
    }
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("FER_BENCH_WRITE_GOLDEN"):
        rounded = {name: [[float(f"{x:.7g}") for x in row] for row in values] for name, values in features.items()}
        golden[layout] = {"shapes": shapes, "features": rounded}
        GOLDEN.write_text(json.dumps(golden, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    assert golden[layout]["shapes"] == shapes
    for name, values in features.items():
        assert apart("goldens", np.asarray(golden[layout]["features"][name]), values) < 1e-6


SMALLEST = "arcface-r18[input_size=32,features=mean,weights=random]", "adaface-ir18[weights=random]"


@pytest.mark.parametrize("case", [case for text in SMALLEST for case in cases(text)], ids=str)
def test_keeps_the_rules(case):
    case.check()
