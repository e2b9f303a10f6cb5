"""Look for the faces in the images of a view, and cut the images down to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_bench.config import Missed
from fer_bench.data.texts import listed
from fer_bench.errors import FerBenchError
from fer_bench.faces import align
from fer_bench.faces.detector import Detector
from fer_bench.faces.parameters import Crop
from fer_bench.faces.store import Detections, detect
from fer_bench.sizes import number_of
from fer_bench.tasks.crops import JUDGED, Faces
from fer_bench.tasks.view import View


def with_faces(
    view: View,
    crop: Crop,
    missed: Missed,
    cache_dir: Path,
    begin: Callable[[int], None],
    advance: Callable[[int], None],
) -> View:
    """Return ``view`` with its images cut down to their faces.

    Args:
        view: whole images.
        crop: how.
        missed: ``error`` keeps images without a face, ``exclude`` takes them out.
        cache_dir: where what was found is kept.
        begin: called with the number of images to look at, if there are any.
        advance: called with the number of images done since the last call.

    Raises:
        FerBenchError: no face was found in any image, or the detector cannot be loaded.
    """
    hashes = listed(view.texts("sha256"))
    detections = detect(
        cache_dir, view.prepared.fingerprint, hashes, view.images, crop.detection, begin, advance, Detector
    )
    if not detections.found.any():
        raise FerBenchError(
            f"No face was found in any of the {number_of(len(hashes), 'image')} of {str(view.dataset)!r}. "
            "The detector knows "
            "photographs, not drawings; leave out --faces to use whole images."
        )
    rows = view.rows
    if missed == "exclude":
        keep = detections.found
        rows, detections = rows[keep], Detections(keep[keep], detections.boxes[keep], detections.landmarks[keep])
    view = replace(view, rows=rows)
    return replace(view, faces=Faces(crop, missed, detections, len(hashes), _outside(view, detections, crop)))


def _outside(view: View, detections: Detections, crop: Crop) -> float:
    """Return what `Faces.outside` says, of faces that are spread evenly over the view."""
    rows = np.flatnonzero(detections.found)
    rows = rows[np.linspace(0, len(rows) - 1, min(JUDGED, len(rows))).astype(np.int64)]
    height, width = view.column("height"), view.column("width")
    matrices = {row: align.place(detections.boxes[row], detections.landmarks[row], crop) for row in rows.tolist()}
    return float(
        np.mean([align.outside(m, crop.size, int(height[row]), int(width[row])) for row, m in matrices.items()])
    )
