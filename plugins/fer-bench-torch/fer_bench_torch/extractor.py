"""A PyTorch module as what computes the features of images, outside of JAX, on the device that torch sees."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError, PluginError
from fer_bench_torch.libraries import import_torch

Picture = NDArray[np.uint8]
Numbers = NDArray[np.float32]
CPU_BATCH = 32
"""Images that go through a module at once on a CPU, as many as fer-bench's own backbones take."""
GPU_BATCH = 256
"""Likewise on a GPU; half of it, and so on, where its memory is too small."""


class TorchExtractor:
    """A `fer_bench.specs.Extractor` on a module.

    Args:
        module: maps what ``to_input`` returns to (n, f).
        prepare: from images (h, w, 3) of any sizes to the one float32 tensor on the CPU that the module takes.
        finish: from (n, f) float32 to the features, (n, ``feature_size``) float32.
        half: whether products are bfloat16, by torch's automatic mixed precision.
        what: the module in words, for errors.

    Attributes:
        device: where it runs: the accelerator that torch sees, else the CPU.

    Raises:
        FerBenchError: the module does not take such images, or does not return (n, f).
    """

    def __init__(
        self,
        module: Any,
        prepare: Callable[[Sequence[Picture]], Any],
        finish: Callable[[Numbers], Numbers],
        half: bool,
        what: str,
    ) -> None:
        self._torch = torch = import_torch()
        accelerator = torch.accelerator
        self.device = accelerator.current_accelerator() if accelerator.is_available() else torch.device("cpu")
        self.digest = _digest(module)
        self.parameter_count = sum(parameter.numel() for parameter in module.parameters())
        self._module = (_round_kernels(module) if half else module).eval().to(self.device)
        self._prepare, self._finish, self._half, self._what = prepare, finish, half, what
        self.batch = self._most = CPU_BATCH if self.device.type == "cpu" else GPU_BATCH
        self.feature_size = self([np.zeros((8, 8, 3), np.uint8)] * 2).shape[1]

    def __call__(self, images: Sequence[Picture]) -> Numbers:
        """Return the features of n images, each (h, w, 3) uint8 of any size, as (n, ``feature_size``) float32."""
        return self._finish(self._run(self._prepare(images)))

    def _run(self, prepared: Any) -> Numbers:
        """Return what the module makes of a batch, in as many parts as the device needs."""
        try:
            return np.concatenate([self._run_part(part) for part in prepared.split(self._most)])
        except self._torch.OutOfMemoryError:
            if self._most == 1:
                raise
            self._torch.accelerator.empty_cache()
            self._most //= 2
            return self._run(prepared)

    def _run_part(self, images: Any) -> Numbers:
        torch = self._torch
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
                made = self._module(images.to(self.device))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # it is the code of others
            raise PluginError(
                f"{self._what} does not take images {tuple(images.shape)}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(made, torch.Tensor) or made.ndim != 2 or len(made) != len(images) or not made.shape[1]:
            kind = f"a tensor {tuple(made.shape)}" if isinstance(made, torch.Tensor) else f"a {type(made).__name__}"
            raise FerBenchError(
                f"{self._what} returns {kind} for {len(images)} images; expected one tensor ({len(images)}, f): f "
                "numbers for each image."
            )
        return made.float().cpu().numpy()


def each(function: Callable[[Picture], Any], images: Sequence[Picture]) -> Any:
    """Return what a function of Pillow makes of images, in one array, with a thread for each core."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(function, images)))


def _round_kernels(module: Any) -> Any:
    """Return a module whose matrices and kernels are bfloat16, to which mixed precision rounds them in every call.

    Layers of other types may compute with their numbers before they multiply, and keep them.
    """
    torch = import_torch()
    for layer in module.modules():
        if type(layer) in (torch.nn.Linear, torch.nn.Conv2d):
            layer.to(torch.bfloat16)
    return module


def _digest(module: Any) -> str:
    """Return the sha256 of a module's numbers with their names, types and shapes."""
    torch, digest = import_torch(), hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
