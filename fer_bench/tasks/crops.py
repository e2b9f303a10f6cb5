"""The faces of a view: how they are cut out, and what becomes of images in which none was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.config import Missed
from fer_bench.faces import align
from fer_bench.faces.parameters import Crop
from fer_bench.faces.store import Detections

JUDGED = 1000
"""The most faces of a view from which it is told how much of a crop lies outside of its picture."""
TOO_MUCH = 0.2
"""Share of crops outside of their pictures from which that is said."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces in the images of a view, in its order.

    Attributes:
        crop: how they are cut out.
        missed: what becomes of an image without a face; ``exclude`` has taken them out of the view.
        detections: what was found.
        looked_at: images that were looked at, those included that were taken out.
        outside: share of what is cut out that lies outside of its picture, the mean of up to `JUDGED` faces.
    """

    crop: Crop
    missed: Missed
    detections: Detections
    looked_at: int
    outside: float

    @property
    def found(self) -> Array:
        """(n,) bool."""
        return self.detections.found

    @property
    def coverage(self) -> float:
        """Share of the images that were looked at in which a face was found."""
        return float(self.found.sum() / self.looked_at)

    def cut(self, image: Array, position: int) -> Array:
        """Return the face in ``image``, or its middle where none was found: (size, size, 1 or 3) uint8."""
        if not self.found[position]:
            return align.whole(image, self.crop.size)
        return align.cut(image, self.detections.boxes[position], self.detections.landmarks[position], self.crop)

    def landmarks(self, position: int) -> Array:
        """Return eyes, nose and corners of the mouth in pixels of a crop, (5, 2); NaN where no face was found."""
        points = self.detections.landmarks[position]
        if not bool(self.found[position]):
            return np.full(points.shape, np.nan)
        matrix = align.place(self.detections.boxes[position], points, self.crop)
        return (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def identity(self) -> dict[str, Any]:
        """Return what a cell records: everything that decides the pixels and which images count."""
        return {**self.crop.identity(), "missed": self.missed}

    def __str__(self) -> str:
        return ",".join([f"faces={self.crop}", *(["missed=exclude"] if self.missed == "exclude" else [])])

    def note(self) -> str:
        """Return the coverage in words."""
        missed = self.looked_at - int(self.found.sum())
        fate = "train nothing and count as errors" if self.missed == "error" else "are left out"
        text = f"a face was found in {100 * self.coverage:.1f} % of {self.looked_at} images" + (
            f"; {missed} without one {fate}." if missed else "."
        )
        if self.outside > TOO_MUCH:
            text += (
                f" {100 * self.outside:.0f} % of what is cut out is outside of its picture, as where pictures show "
                "little more than the face: --faces none may do as well."
            )
        return text


def as_errors(probabilities: Array, labels: Array, found: Array) -> Array:
    """Return probabilities under which every image without a face is an error.

    Its true class gets 0, and what the others have is scaled to 1 (in equal shares if they have nothing): what is
    computed from stored predictions then counts it as wrong, and the wrong answer is the one that the model leans to.

    Args:
        probabilities: (n, c), rows sum to 1.
        labels: (n,) the true classes.
        found: (n,) bool.
    """
    if found.all():
        return probabilities
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = 0
    total = others.sum(axis=1, keepdims=True)
    equal = np.ones_like(others)
    equal[np.arange(len(labels)), labels] = 0
    equal /= equal.sum(axis=1, keepdims=True)
    wrong = np.where(total > 0, others / np.where(total > 0, total, 1), equal)
    return np.where(found[:, None], probabilities, wrong)
