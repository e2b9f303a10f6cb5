"""Programs that XLA compiles in half the time, for tests that claim nothing of their speed or of their last bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

FLAG = "jax_disable_most_optimizations"


@contextmanager
def quick_programs() -> Iterator[None]:
    """Let XLA leave most of its optimizations out, in this process and in those that it starts."""
    os.environ[FLAG.upper()] = "1"
    jax.config.update(FLAG, True)
    try:
        yield
    finally:
        jax.config.update(FLAG, False)
        del os.environ[FLAG.upper()]
        jax.clear_caches()  # or a later test that compares bits would be given these programs
