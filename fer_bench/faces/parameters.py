"""What decides which face is found in a picture, and how it is cut out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fer_bench.faces.weights import SHA256

VERSION = 1
"""Part of the identity of crops; grows when any number that this package returns changes."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How faces are looked for.

    Attributes:
        smallest: side of the smallest face that is looked for, as a share of the picture's longer side.
        scale_step: ratio of neighbouring levels of the image pyramid.
        thresholds: probability of a face above which P-Net, R-Net and O-Net keep a box.
    """

    smallest: float = 1 / 12
    scale_step: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8)

    def identity(self) -> dict[str, Any]:
        """Return everything that decides where a face is found, as plain JSON."""
        return {
            "detector": "mtcnn",
            "version": VERSION,
            "weights_sha256": SHA256,
            **asdict(self),
            "thresholds": list(self.thresholds),
        }


@dataclass(frozen=True, kw_only=True)
class Crop:
    """How a face that was found is cut out.

    Attributes:
        method: ``align`` turns and scales the face so that eyes and mouth lie in fixed places; ``box`` cuts a square
            around the box that was found.
        size: side of the result, pixels.
        margin: ``box`` only: added on every side, as a share of the box's longer side.
        detection: how faces are looked for.
    """

    method: Literal["align", "box"]
    size: int = 160
    margin: float = 0.1
    detection: Detection = Detection()

    def __str__(self) -> str:
        """Return the method and what differs from the defaults, as in ``box,margin=0.3``."""
        mine, usual = self.identity(), Crop(method=self.method).identity()
        values = {**mine.pop("detection"), **mine}
        before = {**usual.pop("detection"), **usual}
        changed = [f"{name}={value}" for name, value in values.items() if value != before[name]]
        return ",".join([self.method, *(text.replace(" ", "") for text in changed)])

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the pixels of a crop, as plain JSON."""
        margin = {"margin": self.margin} if self.method == "box" else {}
        return {"method": self.method, "size": self.size, **margin, "detection": self.detection.identity()}
