"""Splitters of scikit-learn, which is imported only where folds are dealt that this machine did not deal before.

Importing scikit-learn takes half of the time of a command that finds everything done.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench import memos
from fer_bench.arrays import Array
from fer_bench.tasks.splitting import Splitter


@dataclass(frozen=True)
class ScikitSplitter:
    """A splitter of ``sklearn.model_selection`` that trains each fold on every sample that the fold does not test.

    Attributes:
        name: of the class.
        arguments: of its constructor, plain values.
        cache_dir: where dealt folds are remembered; None to deal them each time.
    """

    name: str
    arguments: Mapping[str, Any]
    cache_dir: Path | None = None

    def split(self, X: Any, y: Array, groups: Array | None = None) -> Iterator[tuple[Array, Array]]:
        """Yield the positions of the samples that train and of those that are tested, fold by fold."""
        for test in self._tests(X, y, groups):
            train = np.ones(len(y), dtype=bool)
            train[test] = False
            yield np.flatnonzero(train), test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return self._make().get_n_splits(X, y, groups)

    def _tests(self, X: Any, y: Array, groups: Array | None) -> list[Array]:
        """Return the rising positions of the tested samples of each fold."""

        def deal() -> list[Array]:
            return [test for _, test in self._make().split(X, y, groups)]

        if self.cache_dir is None:
            return deal()
        key = {
            "splitter": self.name,
            "arguments": dict(self.arguments),
            "scikit-learn": importlib.metadata.version("scikit-learn"),
            "labels": _digest(y),
            "groups": None if groups is None else _digest(groups),
        }
        tests = _unpack(memos.recall(self.cache_dir, "folds", key), len(y))
        if tests is None:
            tests = deal()
            with suppress(OSError):  # a run warns of a cache that cannot be written when it keeps features
                memos.remember(self.cache_dir, "folds", key, _pack(tests))
        return tests

    def _make(self) -> Splitter:
        return getattr(importlib.import_module("sklearn.model_selection"), self.name)(**self.arguments)


def remembering(splitter: Splitter, cache_dir: Path | None) -> Splitter:
    """Return a splitter that remembers its folds in a cache folder, if it is one of scikit-learn's."""
    return replace(splitter, cache_dir=cache_dir) if isinstance(splitter, ScikitSplitter) else splitter


def _digest(values: Array) -> str:
    values = np.ascontiguousarray(values)
    return hashlib.sha256(f"{values.dtype} {values.shape}\n".encode() + values.tobytes()).hexdigest()


def _pack(tests: list[Array]) -> bytes:
    """Return folds as bytes with a checksum: their number, their lengths, their positions."""
    numbers = [np.array([len(tests)]), np.array([len(test) for test in tests]), *tests]
    return zlib.compress(np.concatenate(numbers).astype("<i8").tobytes(), 1)


def _unpack(content: bytes | None, n: int) -> list[Array] | None:
    """Return what `_pack` was given; None for nothing, and for what is no folds of ``n`` samples."""
    try:
        numbers = np.frombuffer(zlib.decompress(content or b""), "<i8").astype(np.int64)
        folds = int(numbers[0])
        lengths, positions = numbers[1 : 1 + folds], numbers[1 + folds :]
    except (zlib.error, ValueError, IndexError):
        return None
    if folds < 1 or lengths.min(initial=0) < 0 or lengths.sum() != len(positions):
        return None
    if len(positions) and not 0 <= positions.min() <= positions.max() < n:
        return None
    return np.split(positions, np.cumsum(lengths)[:-1])
