"""A detector for tests: it knows no photograph."""

from __future__ import annotations

import numpy as np

from fer_bench.faces.detector import Detector, Face


class Fake(Detector):
    """Finds a face in every image whose first pixel is even, and counts what it looks at."""

    looked = 0

    def __init__(self, detection):
        pass

    def find(self, images):
        type(self).looked += len(images)
        marks = np.array([[4, 5], [8, 5], [6, 7], [4, 9], [8, 9]], float)
        box = np.array([1.0, 1, 11, 11])
        return [Face(0.9, box, marks) if image.flat[0] % 2 == 0 else None for image in images]
