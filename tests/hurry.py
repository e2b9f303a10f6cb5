"""Tests that compare numbers by tolerances compile in a hurry: XLA optimizes little and takes half the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import jax
import pytest

OPTION = "jax_disable_most_optimizations"


def in_a_hurry() -> Callable[..., object]:
    """Return a fixture that a module uses by giving it any name; ``tox run -e exhaustive`` compiles as users do.

    Not for modules that compare bits with those of other processes or of other batches, which optimizing can change.
    """

    def hurry() -> Iterator[None]:
        jax.config.update(OPTION, "FER_BENCH_TEST_ALL" not in os.environ)
        yield
        jax.config.update(OPTION, False)
        jax.clear_caches()  # whose keys do not hold the option

    return pytest.fixture(hurry, scope="module", autouse=True)
