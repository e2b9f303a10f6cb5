"""Cut faces out of pictures by the boxes that a data set brings, in threads and in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fer_bench.data.builder import Faults, encode_png
from fer_bench.data.files import DataFolder, FileError
from fer_bench.data.images import ImageError, decode
from fer_bench.specs import Sample

THREADS = min(8, os.cpu_count() or 1)
IN_FLIGHT = 4 * THREADS


@dataclass(frozen=True, slots=True)
class Box:
    """A face in a picture, in pixels; ``right`` and ``bottom`` lie outside of it."""

    left: int
    top: int
    right: int
    bottom: int


class BoxError(ValueError):
    """A box that cannot be cut out; the message completes the sentence "this sample …"."""


def crop_samples(samples: Iterable[tuple[Sample, Box]], root: Path, max_side: int, faults: Faults) -> Iterator[Sample]:
    """Yield the samples with their faces cut out and the box they were cut by, in order; what cannot be cut is a fault.

    Args:
        samples: each with the box of its face; ``image`` is a path.
        root: the folder that pictures must lie in.
        max_side: larger faces are shrunk to this side, in pixels; 0 for never.
        faults: collects what is wrong.
    """
    folder = DataFolder(root)
    waiting: deque[tuple[Sample, Box, Future[bytes | str]]] = deque()

    def finish() -> Iterator[Sample]:
        sample, box, future = waiting.popleft()
        result = future.result()
        if isinstance(result, bytes):
            yield replace(sample, image=result, box=(box.left, box.top, box.right, box.bottom))
        else:
            faults.add(sample.id, result)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="fer-bench-crop") as pool:
        try:
            for sample, box in samples:
                assert isinstance(sample.image, Path)
                waiting.append((sample, box, pool.submit(_crop_file, folder, sample.image, box, max_side)))
                if len(waiting) >= IN_FLIGHT:
                    yield from finish()
            while waiting:
                yield from finish()
        finally:
            pool.shutdown(cancel_futures=True)


def crop(picture: np.ndarray, box: Box, max_side: int) -> np.ndarray:
    """Cut ``box``, as far as it lies inside, out of ``picture`` (h, w, 1 or 3) uint8.

    Raises:
        BoxError: it has no area, or lies outside.
    """
    height, width, _ = picture.shape
    if box.right <= box.left or box.bottom <= box.top:
        raise BoxError(f"has a face box without area, {_text(box)}")
    face = picture[max(box.top, 0) : max(box.bottom, 0), max(box.left, 0) : max(box.right, 0)]
    if not face.size:
        raise BoxError(f"has a face box, {_text(box)}, outside of its picture of {width} x {height} pixels")
    longest = max(face.shape[:2])
    if not max_side or longest <= max_side:
        return face
    scale = max_side / longest
    size = max(1, round(face.shape[1] * scale)), max(1, round(face.shape[0] * scale))
    image = Image.fromarray(face[:, :, 0] if face.shape[2] == 1 else face)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _crop_file(folder: DataFolder, path: Path, box: Box, max_side: int) -> bytes | str:
    """Return a PNG of the face, or what is wrong."""
    try:
        return encode_png(crop(decode(folder.read(path)), box, max_side))
    except (FileError, ImageError, BoxError) as error:
        return str(error)


def _text(box: Box) -> str:
    return f"left {box.left}, top {box.top}, right {box.right}, bottom {box.bottom}"
