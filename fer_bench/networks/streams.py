"""Outputs of frozen stages that are computed for some images, used and forgotten: nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.networks.forward import Extraction, Forward, Output
from fer_bench.networks.passes import batch_size, read_batches
from fer_bench.networks.source import BackboneSource
from fer_bench.tasks.view import View


@dataclass(frozen=True, eq=False)
class Rows:
    """Outputs for some samples of a task, as `fer_bench.keeping.outputs.Inputs` gives them.

    Attributes:
        rows: (k,) int, the samples, rising.
        values: (k, variants, …) float32.
        count: samples of the task.
    """

    rows: Array
    values: Array
    count: int

    def __len__(self) -> int:
        return self.count

    def take(self, rows: Array, variant: int | Array = 0) -> Array:
        """Return the outputs of some of the samples; ``variant`` 1 is of the mirrored image."""
        return self.values[np.searchsorted(self.rows, rows), variant]


@dataclass(eq=False)
class Stream:
    """The frozen stages of a backbone, compiled once for images that are prepared alike.

    Attributes:
        source: the backbone.
    """

    source: BackboneSource
    _made: dict[tuple[int, int, str], Forward | Extraction] = field(
        default_factory=dict[tuple[int, int, str], "Forward | Extraction"]
    )

    def outputs(self, view: View, positions: Array, stop: int, variants: int) -> Array:
        """Return the output of the first ``stop`` stages, rounded as `fer_bench.networks.prefix.fetch` keeps it.

        Args:
            view: images of one data set, in every call.
            positions: (k,) int, at least one.
            stop: number of stages that run.
            variants: 1, or 2 for the mirrored image beside each.

        Returns:
            (k, variants, …) float32.

        Raises:
            PluginError: values are not finite.
        """
        output = Output(stop, variants, np.dtype(np.float32), not self.source.component.spec.answers)
        key = stop, variants, view.window
        if key not in self._made:
            self._made[key] = self._make(view, output)
        forward = self._made[key]
        parts: list[Array] = []
        for _, images, count in read_batches(self.source, view, positions, forward.batch):
            ((values, finite, _),) = forward(images)
            if not finite[:count].all():
                raise PluginError(f"Backbone {self.source.built.name!r} returned values that are not finite.")
            parts.append(values[:count])
        return np.concatenate(parts)

    def _make(self, view: View, output: Output) -> Forward | Extraction:
        backbone = self.source.built
        if backbone.extractor is not None:
            return Extraction(backbone, [output])
        return Forward(backbone, [output], batch_size(self.source, view, output.stop))
