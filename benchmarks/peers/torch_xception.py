"""Xception in PyTorch, with Keras's semantics and the weights of fer-bench-xception.

Modules have the names that the weights have, ``block5.sepconv1.pointwise``, so that a file loads by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, nn

_RENAMED = {
    "depthwise": "depthwise.weight",
    "pointwise": "pointwise.weight",
    "kernel": "kernel.weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def _norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.01)


class Convolution(nn.Module):
    """A convolution without padding, and BatchNorm."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(inputs, outputs, side, stride, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.kernel(x))


class Separable(nn.Module):
    """A depthwise 3x3 convolution, a 1x1 convolution and BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(x)))


class Stem(nn.Module):
    """Block 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = Convolution(3, 32, 3, 2), Convolution(32, 64, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class Down(nn.Module):
    """Blocks 2, 3, 4 and 13."""

    def __init__(self, inputs: int, middle: int, outputs: int, relu_first: bool) -> None:
        super().__init__()
        self.sepconv1, self.sepconv2 = Separable(inputs, middle), Separable(middle, outputs)
        self.shortcut = Convolution(inputs, outputs, 1, 2)
        self.relu_first = relu_first

    def forward(self, x: Tensor) -> Tensor:
        y = self.sepconv2(F.relu(self.sepconv1(F.relu(x) if self.relu_first else x)))
        return _same_max_pool(y) + self.shortcut(x)


def _same_max_pool(x: Tensor) -> Tensor:
    """Pool 3x3 at stride 2 with Keras's padding: the odd pixel goes after."""
    padding: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
        padding += [total // 2, total - total // 2]
    return F.max_pool2d(F.pad(x, padding, value=float("-inf")), 3, 2)


class Middle(nn.Module):
    """Blocks 5 to 12."""

    def __init__(self) -> None:
        super().__init__()
        self.sepconv1, self.sepconv2, self.sepconv3 = (Separable(728, 728) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sepconv3(F.relu(self.sepconv2(F.relu(self.sepconv1(F.relu(x))))))


class Exit(nn.Module):
    """Block 14."""

    def __init__(self) -> None:
        super().__init__()
        self.sepconv1, self.sepconv2 = Separable(1024, 1536), Separable(1536, 2048)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.sepconv2(F.relu(self.sepconv1(x))))


class Xception(nn.Module):
    """(b, 3, s, s) float32 in [-1, 1] to (b, 2048) pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = Stem()
        self.block2, self.block3 = Down(64, 128, 128, False), Down(128, 256, 256, True)
        self.block4 = Down(256, 728, 728, True)
        for number in range(5, 13):
            self.add_module(f"block{number}", Middle())
        self.block13, self.block14 = Down(728, 728, 1024, True), Exit()

    def forward(self, x: Tensor) -> Tensor:
        return self.from_tail(self.below_tail(x))

    def below_tail(self, x: Tensor) -> Tensor:
        """Return what blocks 1 to 12 make of images."""
        for block in list(self.children())[:-2]:
            x = block(x)
        return x

    def from_tail(self, x: Tensor) -> Tensor:
        """Return the features that blocks 13 and 14 make of what is below them."""
        return self.block14(self.block13(x)).mean((2, 3))

    def tail(self) -> list[nn.Parameter]:
        """Return the parameters of blocks 13 and 14."""
        return [*self.block13.parameters(), *self.block14.parameters()]


def load(path: Path) -> Xception:
    """Return Xception with the weights of ``path``, in eval mode and channels_last."""
    model = Xception()
    state = {}
    for name, array in load_file(path).items():
        *modules, leaf = name.split("/")
        state[".".join([*modules, _RENAMED[leaf]])] = torch.from_numpy(_our_axes(leaf, array.astype(np.float32)))
    missing, unexpected = model.load_state_dict(state, strict=False)
    # PyTorch counts batches for a mode of BatchNorm that is not used.
    faults = [name for name in missing if not name.endswith("num_batches_tracked")] + unexpected
    if faults:
        raise SystemExit(f"{path} does not hold this Xception; these do not fit: {faults}")
    return model.eval().to(memory_format=torch.channels_last)


def _our_axes(leaf: str, array: np.ndarray) -> np.ndarray:
    """Turn a kernel to PyTorch's (outputs, inputs, height, width)."""
    if leaf == "depthwise":
        array = array.transpose(2, 0, 1)[:, None]
    elif array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T[..., None, None]
    return np.ascontiguousarray(array)
