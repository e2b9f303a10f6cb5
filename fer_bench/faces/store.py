"""What was found in each image, kept in the cache folder: computed once for all parts of a data set."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fer_bench import atomic, foreign_files
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.faces.detector import BATCH, Detector, Face
from fer_bench.faces.parameters import Detection

FOLDER = "faces"
"""Name of the folder of what was found in the user's cache folder."""
LARGEST = 1 << 30
"""Bytes of a file of faces, which is read whole: some ten million images."""

SAVE_EVERY = 128 * BATCH
"""Images after which what was found so far is written."""
FIELDS = {"score": (), "box": (4,), "landmarks": (5, 2)}


@dataclass(frozen=True, eq=False)
class Detections:
    """The main face of each of n images.

    Attributes:
        found: (n,) bool.
        boxes: (n, 4) float64, as in `fer_bench.faces.detector.Face`; 0 where none was found; likewise
        landmarks: (n, 5, 2) float64.
    """

    found: Array
    boxes: Array
    landmarks: Array


def detect(
    cache_dir: Path,
    dataset: str,
    hashes: Sequence[str],
    read: Callable[[Array], list[Array]],
    detection: Detection,
    begin: Callable[[int], None],
    advance: Callable[[int], None],
    make: Callable[[Detection], Detector],
) -> Detections:
    """Return the main face of each image: from the cache, or looked for and kept there.

    Of several processes that want the same, one looks and the others wait. One that is killed loses at most the last
    `SAVE_EVERY` images.

    Args:
        cache_dir: the cache folder.
        dataset: fingerprint of the prepared data set.
        hashes: (n,) sha256 of each image.
        read: returns the images at positions, each (h, w, 1 or 3) uint8.
        detection: how faces are looked for.
        begin: called with the number of images to look at, if there are any.
        advance: called with the number of images done since the last call.
        make: loads the detector; called only if some image was not looked at yet.

    Raises:
        FerBenchError: the detector's weights are missing or changed, or the cache folder cannot be written.
    """
    file = _file(cache_dir, dataset, detection)
    detected = _load(file)
    if any(image not in detected for image in hashes):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_suffix(".lock")):
                detected = _load(file)
                first = {image: position for position, image in reversed(list(enumerate(hashes)))}
                todo = np.array(
                    [position for image, position in first.items() if image not in detected], dtype=np.int64
                )
                if len(todo):
                    begin(len(todo))
                    _look(file, detected, hashes, np.sort(todo), read, make(detection), advance)
        except OSError as error:
            raise FerBenchError(
                f"Cannot write what was found of faces to the cache {str(cache_dir)!r}: {atomic.reason(error)}. "
                "You can name another folder with --cache-dir."
            ) from None
    records = [detected[image] for image in hashes]
    found = np.array([record is not None for record in records], dtype=bool)
    boxes, landmarks = np.zeros((len(records), 4)), np.zeros((len(records), 5, 2))
    for i, face in enumerate(records):
        if face is not None:
            boxes[i], landmarks[i] = face.box, face.landmarks
    return Detections(found, boxes, landmarks)


def _look(
    file: Path,
    detected: dict[str, Face | None],
    hashes: Sequence[str],
    todo: Array,
    read: Callable[[Array], list[Array]],
    detector: Detector,
    advance: Callable[[int], None],
) -> None:
    """Add what is in the images at ``todo`` to ``detected`` and to ``file``."""
    for start in range(0, len(todo), BATCH):
        part = todo[start : start + BATCH]
        detected.update(zip([hashes[int(position)] for position in part], detector.find(read(part)), strict=True))
        advance(len(part))
        if (start + BATCH) % SAVE_EVERY == 0:
            _save(file, detected)
    _save(file, detected)


def _file(cache_dir: Path, dataset: str, detection: Detection) -> Path:
    text = json.dumps({"dataset": dataset, "detection": detection.identity()}, sort_keys=True)
    return cache_dir / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()}.faces"


def _load(file: Path) -> dict[str, Face | None]:
    """Return image hash -> face; nothing if the file is missing or does not match the checksum that it starts with."""
    try:
        content = foreign_files.read(file, LARGEST)
    except OSError:
        return {}
    checksum, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != checksum:
        return {}
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        images, found = arrays["images"], arrays["found"]
        fields = [arrays[name] for name in FIELDS]
    return {
        str(image): Face(float(score), box, landmarks) if has_face else None
        for image, has_face, score, box, landmarks in zip(images, found, *fields, strict=True)
    }


def _save(file: Path, detected: dict[str, Face | None]) -> None:
    """Replace the file at once."""
    faces = list(detected.values())
    arrays: dict[str, Any] = {
        name: np.array([np.zeros(shape) if face is None else getattr(face, name) for face in faces], dtype=np.float64)
        for name, shape in FIELDS.items()
    }
    body = io.BytesIO()
    np.savez(body, images=np.array(list(detected)), found=np.array([face is not None for face in faces]), **arrays)
    atomic.replace_file(file, hashlib.sha256(body.getvalue()).digest() + body.getvalue())
