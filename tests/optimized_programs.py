"""Programs as users get them, for tests of numbers, last bits or speed; those of other tests compile quickly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

FLAG = "jax_disable_most_optimizations"


@contextmanager
def optimized_programs() -> Iterator[None]:
    """Let XLA optimize as it does for users, in this process and in those that it starts."""
    before = jax.config.read(FLAG)
    _optimize_less(False)
    try:
        yield
    finally:
        _optimize_less(before)


def _optimize_less(flag: bool) -> None:
    """Set the flag of jax. Where it changes, drop programs that were compiled, or a later test would be given these."""
    os.environ[FLAG.upper()] = str(int(flag))
    if flag != jax.config.read(FLAG):
        jax.config.update(FLAG, flag)
        jax.clear_caches()
