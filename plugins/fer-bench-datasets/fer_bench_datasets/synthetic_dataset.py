"""Faces that this package draws, as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.builder import Faults, FerBuilder, encode_png
from fer_bench.specs import Sample

from .params import SyntheticParams
from .synthetic import draw


class Synthetic(FerBuilder):
    """Draws ``n`` images. A change of the drawing must raise ``VERSION``, which still is the base class's."""

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the images by index."""
        params = self._checked
        for index in range(params.n):
            drawing = draw(index, size=params.size, domain=params.domain, seed=params.seed, subjects=params.subjects)
            yield Sample(
                id=f"{params.domain}-{index:06d}",
                image=encode_png(drawing.image),
                label=drawing.label,
                subject=drawing.subject,
                groups=drawing.groups,
            )

    def count(self) -> int:
        """Return the number of images."""
        return self._checked.n

    @property
    def _checked(self) -> SyntheticParams:
        assert isinstance(self.params, SyntheticParams)
        return self.params
