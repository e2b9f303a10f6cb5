"""Goldens of faces: the nets, the cascade around them, and how a face is cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from goldens.materials import view, wave
from goldens.record import golden, rounded, summary

from fer_bench.faces import boxes, nets, weights
from fer_bench.faces.detector import Detector, lay
from fer_bench.faces.parameters import Crop, Detection
from fer_bench.tasks import cropping
from fer_bench.tasks.crops import Faces

SHAPES = {
    "pnet": ["3,3,3,10", 10, "1,1,10", "3,3,10,16", 16, "1,1,16", "3,3,16,32", 32, "1,1,32",
             "1,1,32,4", 4, "1,1,32,2", 2],
    "rnet": ["3,3,3,28", 28, "1,1,28", "3,3,28,48", 48, "1,1,48", "2,2,48,64", 64, "1,1,64",
             "576,128", 128, 128, "128,4", 4, "128,2", 2],
    "onet": ["3,3,3,32", 32, "1,1,32", "3,3,32,64", 64, "1,1,64", "3,3,64,64", 64, "1,1,64", "2,2,64,128", 128,
             "1,1,128", "1152,256", 256, 256, "256,4", 4, "256,10", 10, "256,2", 2],
}  # fmt: skip
"""Shapes of MTCNN's arrays, so that the goldens need no file of weights."""


def _drawn_weights() -> dict[str, list[np.ndarray]]:
    """Return weights of MTCNN's shapes that find something in any picture."""
    drawn: dict[str, list[np.ndarray]] = {}
    for net, shapes in SHAPES.items():
        drawn[net] = []
        for i, text in enumerate(shapes):
            shape = tuple(map(int, str(text).split(",")))
            scale = np.sqrt(1.5 / max(1, np.prod(shape[:-1])))
            drawn[net].append(wave(*shape, step=0.5 + 0.01 * i) * np.float32(scale))
        drawn[net][-1] = np.array([-0.3, 0.3], np.float32)  # a face is likely
    return drawn


@golden(1e-4)
def face_nets(folder: Path) -> dict[str, Any]:
    """The three nets."""
    w = _drawn_weights()

    @jax.jit
    def run(p: jax.Array, r: jax.Array, o: jax.Array) -> Any:
        return nets.pnet(w["pnet"], p), nets.rnet(w["rnet"], r), nets.onet(w["onet"], o)

    made = run(wave(1, 15, 17, 3), wave(2, 24, 24, 3), wave(1, 48, 48, 3))
    return {
        f"{name} {i}": summary(output)
        for name, outputs in zip(SHAPES, made, strict=True)
        for i, output in enumerate(outputs)
    }


@golden(3e-4)
def face_search(folder: Path) -> dict[str, Any]:
    """The whole cascade on pictures of two shapes, what is kept of it, and which images of a view have a face."""
    detection = Detection(smallest=0.6, thresholds=(0.55, 0.5, 0.5))
    looked_at = view([0, 1, 2, 0], shapes=[(40, 60, 3), (30, 20, 1)])
    canvas, place = lay(looked_at.images(np.array([1]))[0])

    def nothing(count: int) -> None:
        pass

    kept = [cropping.Detector]
    cropping.Detector = lambda how: Detector(how, _drawn_weights())  # pyright: ignore
    try:
        crop = Crop(method="box", size=16, detection=detection)
        first = cropping.with_faces(looked_at, crop, "exclude", folder, nothing, nothing)
        again = cropping.with_faces(looked_at, crop, "error", folder, nothing, nothing)  # from the file
    finally:
        (cropping.Detector,) = kept
    assert first.faces is not None
    assert again.faces is not None
    return {
        "levels": list(Detector(Detection(), _drawn_weights()).levels),
        "thresholds": list(Detection().thresholds),
        "canvas": summary(canvas),
        "place": rounded(place),
        "found": again.faces.found.tolist(),
        "rows with a face": first.rows.tolist(),
        "boxes": rounded(again.faces.detections.boxes),
        "landmarks": summary(first.faces.detections.landmarks),
    }


@golden(1e-5)
def face_weights(folder: Path) -> dict[str, Any]:
    """The published weights, as they are read."""
    return {
        name: [number for array in arrays for number in summary(array)[1:3]] for name, arrays in weights.load().items()
    }


@golden(1e-6)
def face_boxes(folder: Path) -> dict[str, Any]:
    """Which boxes stay, and which is the main one."""
    some = np.array([[0, 0, 10, 10], [1, 1, 11, 12], [30, 30, 34, 50], [2, 0, 10, 9], [18, 20, 26, 28]], float)
    scores = np.array([0.8, 0.9, 0.5, 0.8, 0.7])
    return {
        "kept": boxes.suppress(some, scores, 0.5).tolist(),
        "kept by a laxer rule": boxes.suppress(some, scores, 0.7).tolist(),
        "shifted": summary(boxes.shift(some, wave(5, 4))),
        "square": summary(boxes.square(some)),
        "main": [boxes.main_face(some, height, width) for height, width in ((40, 40), (90, 70), (10, 10))],
        "main, nearer": boxes.main_face(np.array([[0.0, 0, 10, 10], [5, 5, 13, 13]]), 18, 18),
    }


@golden()
def crops(folder: Path) -> dict[str, Any]:
    """Faces as they are cut out, and the middle of a picture without one."""
    marks = np.array([[20, 15.5], [38, 17], [30, 26], [22, 35], [37, 33.0]])
    chosen = view([0, 1, 2, 0], shapes=[(48, 60, 3), (40, 50, 1)])
    found: dict[str, Any] = {}
    for name, crop in {
        "aligned, smaller": Crop(method="align", size=16),
        "aligned, larger": Crop(method="align", size=40),
        "box": Crop(method="box", size=16, margin=0.3),
        "usual": Crop(method="box"),
    }.items():
        there = np.array([True, False, True, True])
        detections: Any = type("Kept", (), {})()
        detections.found = there
        detections.boxes = np.tile([14.0, 8.0, 44.0, 40.0], (4, 1))
        detections.landmarks = np.tile(marks, (4, 1, 1))
        faces = Faces(crop, "error", detections, 4, 0.0)
        cut = [faces.cut(image, i) for i, image in enumerate(chosen.images(np.arange(4)))]
        found[name] = [number for image in cut for number in (*image.shape, int(image.sum()), int(image[3, 5, 0]))]
        found[f"{name}, turned"] = [int((image * np.arange(image.size).reshape(image.shape)).sum()) for image in cut]
    return found
