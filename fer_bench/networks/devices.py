"""Several devices work on one batch: each takes a part of it, and all hold the model.

XLA adds what they must tell each other to a function that is compiled for arrays which lie on several devices. Sums are
taken in another order then, so results agree with those of one device to rounding.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fer_bench.errors import FerBenchError

Tree = TypeVar("Tree")

_AXIS = "batch"


class Devices:
    """Devices that share the work; where there is one of them, arrays stay as they are.

    Args:
        devices: `jax.Device` of this host, or of all.
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

    def divide(self, batch: np.ndarray[Any, Any], axis: int = 0) -> Any:
        """Return a batch, the same on every host, with an axis of it divided among the devices.

        Where it cannot be divided evenly, all devices do all of it.
        """
        if self._mesh is None:
            return batch
        spec = PartitionSpec() if batch.shape[axis] % self._count else PartitionSpec(*[None] * axis, _AXIS)
        return jax.make_array_from_callback(batch.shape, NamedSharding(self._mesh, spec), lambda part: batch[part])

    def copy(self, tree: Tree) -> Tree:
        """Return arrays on every device, with the numbers that they have on the first host."""
        if self._mesh is None:
            return tree
        if jax.process_count() > 1:
            tree = jax.tree.map(_from_first_host, tree)
        return jax.device_put(tree, self.whole)


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
def everywhere() -> Devices:
    """Return the devices of all hosts."""
    return Devices(jax.devices())


@functools.cache
def here() -> Devices:
    """Return the devices of this host."""
    return Devices(jax.local_devices())


def join_hosts() -> None:
    """Make this process one of several that run the same command, each on a host of its own.

    Where they meet is found by `jax.distributed.initialize` (Slurm, Open MPI, Kubernetes, Cloud TPU), or read from the
    environment variables ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``.

    Raises:
        FerBenchError: neither says it, or the others do not come.
    """
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    try:
        hosts, number = (int(os.environ[name]) if name in os.environ else None for name in names)
        jax.distributed.initialize(num_processes=hosts, process_id=number)
        with _stdout_on_stderr():
            from_first_host(np.zeros(1))  # Gloo, which connects CPUs, prints when it first does
    except (ValueError, RuntimeError) as error:
        raise FerBenchError(
            f"Cannot join the other hosts: {error} Start the same command on each host, under Slurm, Open MPI or "
            "Kubernetes, or with JAX_COORDINATOR_ADDRESS=host:port, JAX_NUM_PROCESSES and JAX_PROCESS_ID set."
        ) from None


def is_first_host() -> bool:
    """Return whether this process stores and prints what all computed."""
    return jax.process_index() == 0


def from_first_host(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the first host has in an array of the same shape on each."""
    return multihost_utils.broadcast_one_to_all(values) if jax.process_count() > 1 else values


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def _from_first_host(leaf: Any) -> Any:
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf  # drawn from the same seed everywhere
    return from_first_host(np.asarray(leaf))
