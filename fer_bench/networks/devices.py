"""Several devices work on one batch: each takes a part of it, and all hold the model.

XLA adds what they must tell each other to a function that is compiled for arrays which lie on several devices. Sums are
taken in another order then, so results agree with those of one device to rounding.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jaxlib.version
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fer_bench import processors
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError

Tree = TypeVar("Tree")

_AXIS = "batch"

GPU_OPTIONS = {"xla_gpu_enable_triton_gemm": False}
"""Products are cuBLAS's: a shift, a ReLU and a sum after a product are then of the same kernel. After XLA's own
products, by Triton, each is a pass over an image."""


class Devices:
    """Devices that share the work; where there is one of them, arrays stay as they are.

    Args:
        devices: `jax.Device` of one kind.
    """

    def __init__(self, devices: Sequence[Any]):
        self._mesh = Mesh(np.asarray(devices), (_AXIS,)) if len(devices) > 1 else None
        self._count = len(devices)

    def __len__(self) -> int:
        return self._count

    @property
    def whole(self) -> NamedSharding | None:
        """Of an array that every device holds; for ``out_shardings``."""
        return None if self._mesh is None else NamedSharding(self._mesh, PartitionSpec())

    def divide(self, batch: Array, axis: int = 0) -> Any:
        """Return a batch with an axis of it divided among the devices.

        Where it cannot be divided evenly, all devices do all of it.
        """
        if self._mesh is None and isinstance(batch, jax.Array):  # it lies there already
            return batch
        if self._mesh is None:
            return jax.device_put(batch)
        return jax.device_put(batch, self._sharding(batch.shape, axis))

    def _sharding(self, shape: Sequence[int], axis: int) -> NamedSharding | None:
        """Return how an array is divided by an axis; it is whole on each device where that cannot be done evenly."""
        if self._mesh is None or shape[axis] % self._count:
            return self.whole
        return NamedSharding(self._mesh, PartitionSpec(*[None] * axis, _AXIS))

    def like(self, tree: Any, axis: int | None = None) -> Any:
        """Return shapes and types of what `copy` makes of arrays, or `divide` where an axis is given."""

        def shaped(leaf: Any) -> jax.ShapeDtypeStruct:
            sharding = self.whole if axis is None else self._sharding(leaf.shape, axis)
            weak = getattr(leaf, "weak_type", False)
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding, weak_type=weak)

        return jax.tree.map(shaped, tree)

    def copy(self, tree: Tree) -> Tree:
        """Return arrays on every device."""
        return tree if self._mesh is None else jax.device_put(tree, self.whole)


def accelerated() -> bool:
    """Return whether the default device is no CPU: what is said of accelerators holds then."""
    return jax.default_backend() != "cpu"


def compiler_options() -> dict[str, bool] | None:
    """Return the options with which XLA compiles the programs of networks, for ``jax.jit``; None for its own."""
    return GPU_OPTIONS if jax.default_backend() == "gpu" else None


def free_memory() -> int | None:
    """Return the bytes that are free on the first device; None where it does not say, as a CPU."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    limit = statistics.get("bytes_limit")
    return None if limit is None else limit - statistics.get("bytes_in_use", 0)


def multiplies_bfloat16() -> bool:
    """Return whether the default device multiplies bfloat16 natively.

    NVIDIA's do from compute capability 8.0 on (CUDA C++ Programming Guide, section "Arithmetic Instructions"), CPUs
    with AMX or AVX512-BF16; other accelerators are taken to.
    """
    if accelerated():
        capability = str(getattr(jax.devices()[0], "compute_capability", ""))
        generation = capability.partition(".")[0]
        return not generation.isdigit() or int(generation) >= 8
    return bool({"amx_bf16", "avx512_bf16"} & processors.instructions())


def room() -> int:
    """Return the bytes that are free on the first device, or on the host where the device does not say."""
    import psutil  # not needed by a command that finds all done

    free = free_memory()
    return psutil.virtual_memory().available if free is None else free


def lacks_memory(error: BaseException) -> bool:
    """Return whether the device or the host has too little memory for what raised ``error``.

    XLA's allocator says so by a status, and CUDA by a name within another status, as when it loads a program.
    """
    if not isinstance(error, jax.errors.JaxRuntimeError):
        return isinstance(error, MemoryError)
    return any(said in str(error) for said in ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY"))


@contextlib.contextmanager
def memory_errors_named(advice: Callable[[], str]) -> Iterator[None]:
    """Turn what the device raises for want of memory into advice: for what it has too little, and what to take."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        raise MemoryError(f"the device has too little memory for {advice()}") from error


def is_lost(error: BaseException) -> bool:
    """Return whether the device no longer computes, where an error of jax is among the causes of ``error``."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, jax.errors.JaxRuntimeError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return False
    try:
        jax.device_get(jax.device_put(np.ones(2)) + 1)
    except jax.errors.JaxRuntimeError:
        return True
    return False


def check_backend() -> None:
    """Start jax's backend.

    Raises:
        FerBenchError: ``JAX_PLATFORMS`` names one that is not here, or its devices cannot be had.
    """
    try:
        jax.devices()
    except RuntimeError as error:
        chosen = os.environ.get("JAX_PLATFORMS", "")
        hint = f"JAX_PLATFORMS is {chosen!r}; leave it unset to take what is here." if chosen else ""
        raise FerBenchError(f"jax finds no device: {' '.join(str(error).split())} {hint}".rstrip()) from None


@functools.cache
def available() -> Devices:
    """Return the devices of this process."""
    return Devices(jax.devices())


def describe_jax() -> dict[str, str | bool | None]:
    """Return the backend, and the settings of jax that change every result."""
    settings = jax.config.values
    return {
        "backend": jax.default_backend(),
        "x64": bool(settings["jax_enable_x64"]),
        "matmul_precision": settings["jax_default_matmul_precision"],
    }


def describe_device() -> dict[str, str | int]:
    """Return platform and kind of the first device, and how many there are."""
    first = jax.devices()[0]
    return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}


def kinds() -> list[str]:
    """Return the kind of each device of this process."""
    return sorted(device.device_kind for device in jax.local_devices())


def describe_machine() -> dict[str, str]:
    """Return what decides how outputs are rounded: device, processor, versions of jax and jaxlib."""
    device = describe_device()
    return {
        "device": " ".join(str(device[name]) for name in sorted(device)),
        "processor": processors.model(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
    }
