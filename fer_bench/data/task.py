"""What a board is about: samples of one or more views, under one list of classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fer_bench.data.view import View

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """Samples in the order of their views.

    Attributes:
        parts: the views; the first gives the task its name.
    """

    parts: tuple[View, ...]

    @property
    def name(self) -> str:
        """Name of the data set that is tested, as the user asked for it."""
        return str(self.parts[0].dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, c of them."""
        return self.parts[0].classes

    @cached_property
    def labels(self) -> Array:
        """(n,) int64 indices into `classes`."""
        return np.concatenate([view.labels for view in self.parts])

    @property
    def unit(self) -> str:
        """What is known of images that belong together: ``subject``, else ``sequence``, else empty."""
        return self.parts[0].unit

    @cached_property
    def groups(self) -> Array | None:
        """(n,) str: what must not be torn apart; None where nothing is known of any sample."""
        return self.parts[0].groups

    @cached_property
    def ids(self) -> Array:
        """(n,) str, unique."""
        return np.concatenate([view.column("id").astype(str) for view in self.parts])

    def __len__(self) -> int:
        return len(self.labels)

    def identity(self) -> dict[str, Any]:
        """Return what a cell records of the data: content, not location."""
        return {"text": self.name, **self.parts[0].identity()}
