"""Random numbers that are the same on every machine: uniforms of a counter-based generator, shaped by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Stream:
    """An endless stream of draws that depends only on ``key``.

    Only ``Generator.random`` is used, whose bits numpy has kept since 1.17; its normal and choice methods may change.

    Example:
        >>> Stream(1, 2).uniform(0, 1) == Stream(1, 2).uniform(0, 1)
        True
    """

    def __init__(self, *key: int):
        self._generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        self._block: list[float] = []

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(128).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit()

    def bell(self, deviation: float) -> float:
        """Return a number of mean 0 and this standard deviation, at most three of them: a sum of three uniforms."""
        return deviation * 2.0 * (self.unit() + self.unit() + self.unit() - 1.5)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.unit() < probability

    def choice(self, options: Sequence[T]) -> T:
        """Return one of ``options``, all equally likely."""
        return options[int(self.unit() * len(options))]

    def noise(self, side: int) -> np.ndarray:
        """Return (side, side) float32 in [-1, 1), in 256 levels: raw bytes; ``side`` is a multiple of 8."""
        words = self._generator.bit_generator.random_raw(side * side // 8).astype("<u8")
        return words.view(np.int8).reshape(side, side) * np.float32(1 / 128)
