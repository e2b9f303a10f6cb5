"""Find the face in each of many pictures: MTCNN's cascade (Zhang et al., 2016, arXiv:1604.02878) in fixed shapes.

Every picture is laid into one square canvas first: its longer side is brought to `PICTURE` pixels (bilinear, over an
area where it shrinks), so that a face is looked for at the same sizes relative to the picture, be it 48 pixels wide or
4,000, and XLA compiles once. A frame of `MARGIN` pixels around it repeats the picture's edge: faces that fill their
picture, as in crops, are found with it only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fer_bench.arrays import Array
from fer_bench.faces import nets
from fer_bench.faces.boxes import main_face, shift, square, suppress
from fer_bench.faces.parameters import Detection
from fer_bench.faces.weights import Weights, load

PICTURE = 192
"""Longer side of a picture on its canvas, pixels."""
MARGIN = 24
"""Width of the frame around it, pixels."""
CANVAS = PICTURE + 2 * MARGIN
BATCH = 16
"""Pictures that go through P-Net together."""
BOXES = 64
"""Boxes that go through R-Net or O-Net together."""
OVERLAP_LEVEL, OVERLAP = 0.5, 0.7
"""Intersection over union above which boxes are one face: on one level of the pyramid, and elsewhere."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face, in pixels of its picture.

    Attributes:
        score: probability of a face, 0 to 1.
        box: (4,) x0, y0, x1, y1; may reach over the edges.
        landmarks: (5, 2) x, y of the eyes, the nose and the corners of the mouth; left in the picture comes first.
    """

    score: float
    box: Array
    landmarks: Array


class Detector:
    """MTCNN with its weights.

    Args:
        detection: thresholds and sizes.

    Raises:
        FerBenchError: the weights are not there or are not the known ones.
    """

    def __init__(self, detection: Detection, weights: Weights | None = None):
        self.detection = detection
        self._weights = jax.device_put(load() if weights is None else weights)

    def find(self, images: Sequence[Array]) -> list[Face | None]:
        """Return the main face of each picture (see `fer_bench.faces.boxes.main_face`), or None.

        Args:
            images: each (h, w, 1 or 3) uint8, in any size.
        """
        main_faces: list[Face | None] = []
        for image, faces in zip(images, self.find_all(images), strict=True):
            height, width = image.shape[:2]
            boxes = np.array([face.box for face in faces])
            main_faces.append(faces[main_face(boxes, height, width)] if faces else None)
        return main_faces

    def find_all(self, images: Sequence[Array]) -> list[list[Face]]:
        """Return all faces of each picture.

        Args:
            images: each (h, w, 1 or 3) uint8, in any size.
        """
        faces: list[list[Face]] = []
        for start in range(0, len(images), BATCH):
            faces += self._cascade(images[start : start + BATCH])
        return faces

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Sides of the canvas on each level of the pyramid, pixels: the finest shows the smallest face in 12."""
        finest = CANVAS * nets.CELL / (self.detection.smallest * PICTURE)
        count = 1 + math.floor(math.log(nets.CELL / finest) / math.log(self.detection.scale_step))
        return tuple(round(finest * self.detection.scale_step**level) for level in range(count))

    def _cascade(self, images: Sequence[Array]) -> list[list[Face]]:
        """Return the faces of up to `BATCH` pictures."""
        placed = [lay(image) for image in images]
        canvases = np.zeros((BATCH, CANVAS, CANVAS, 3), np.uint8)
        for i, (canvas, _) in enumerate(placed):
            canvases[i] = canvas
        x = (jnp.asarray(canvases, jnp.float32) - 127.5) / 128
        # All boxes of the batch are kept in one list; ``owner`` says whose each is.
        # Without the context GPUs would round products to TF32.
        with jax.default_matmul_precision("float32"):
            boxes, owner = self._propose(x, len(images))
            boxes, owner = self._refine(x, boxes, owner)
            return self._finish(x, boxes, owner, [to_image for _, to_image in placed])

    def _propose(self, x: jax.Array, count: int) -> tuple[Array, Array]:
        """Return P-Net's boxes (n, 4) on the canvas and whose each is (n,)."""
        maps = [(np.asarray(o), np.asarray(p)) for o, p in _pyramid(self._weights["pnet"], x, self.levels)]
        boxes, owners = [np.empty((0, 4))], [np.empty(0, np.int64)]
        for i in range(count):
            candidates, scores = [np.empty((0, 4))], [np.empty(0)]
            for side, (offsets, probability) in zip(self.levels, maps, strict=True):
                rows, columns = np.nonzero(probability[i] > self.detection.thresholds[0])
                corner = np.stack([columns, rows], axis=1) * float(nets.STRIDE)
                window = np.concatenate([corner, corner + nets.CELL], axis=1) * (CANVAS / side)
                score = probability[i, rows, columns]
                kept = suppress(window, score, OVERLAP_LEVEL)
                candidates.append(shift(window[kept], offsets[i, rows[kept], columns[kept]]))
                scores.append(score[kept])
            box, score = np.concatenate(candidates), np.concatenate(scores)
            kept = suppress(box, score, OVERLAP)
            boxes.append(box[kept])
            owners.append(np.full(len(kept), i))
        return square(np.concatenate(boxes)), np.concatenate(owners)

    def _refine(self, x: jax.Array, boxes: Array, owner: Array) -> tuple[Array, Array]:
        """Return what R-Net keeps: boxes and whose each is."""
        offsets, probability = _in_parts(partial(_rnet, self._weights["rnet"], x), boxes, owner, (4, 0))
        sure = probability > self.detection.thresholds[1]
        boxes, owner, probability = shift(boxes[sure], offsets[sure]), owner[sure], probability[sure]
        kept = _suppress_each(boxes, probability, owner)
        return square(boxes[kept]), owner[kept]

    def _finish(self, x: jax.Array, boxes: Array, owner: Array, to_image: Sequence[Array]) -> list[list[Face]]:
        """Return what O-Net keeps, in pixels of the pictures."""
        offsets, marks, probability = _in_parts(partial(_onet, self._weights["onet"], x), boxes, owner, (4, 10, 0))
        sure = probability > self.detection.thresholds[2]
        boxes, owner, probability = boxes[sure], owner[sure], probability[sure]
        sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
        marks = boxes[:, None, :2] + marks[sure].reshape(-1, 2, 5).transpose(0, 2, 1) * sides
        boxes = shift(boxes, offsets[sure])
        real = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, owner, marks, probability = boxes[real], owner[real], marks[real], probability[real]
        faces: list[list[Face]] = [[] for _ in to_image]
        for k in _suppress_each(boxes, probability, owner):
            whose = int(owner[k])
            scale, x0, y0 = to_image[whose]
            corner = np.array([x0, y0])
            box = ((boxes[k].reshape(2, 2) - corner) * scale).reshape(4)
            faces[whose].append(Face(float(probability[k]), box, (marks[k] - corner) * scale))
        return faces


def lay(image: Array) -> tuple[Array, Array]:
    """Lay a picture into the middle of a canvas.

    Args:
        image: (h, w, 1 or 3) uint8.

    Returns:
        (`CANVAS`, `CANVAS`, 3) uint8; and (scale, x, y): the point p of the canvas shows (p - (x, y)) * scale of the
        picture.
    """
    height, width = image.shape[:2]
    scale = max(height, width) / PICTURE
    h, w = max(1, round(height / scale)), max(1, round(width / scale))
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    pixels = np.asarray(picture.resize((w, h), Image.Resampling.BILINEAR))
    top, left = (CANVAS - h) // 2, (CANVAS - w) // 2
    edges = ((top, CANVAS - h - top), (left, CANVAS - w - left), (0, 0))
    return np.pad(pixels, edges, mode="edge"), np.array([scale, left, top])


@partial(jax.jit, static_argnums=2)
def _pyramid(weights: nets.Arrays, x: jax.Array, levels: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    """Return P-Net's outputs on every level."""
    b, _, _, c = x.shape
    return [nets.pnet(weights, jax.image.resize(x, (b, side, side, c), "linear", antialias=True)) for side in levels]


@jax.jit
def _rnet(weights: nets.Arrays, x: jax.Array, boxes: jax.Array, owner: jax.Array) -> tuple[jax.Array, ...]:
    return nets.rnet(weights, _sample(x, boxes, owner, nets.R_SIDE))


@jax.jit
def _onet(weights: nets.Arrays, x: jax.Array, boxes: jax.Array, owner: jax.Array) -> tuple[jax.Array, ...]:
    return nets.onet(weights, _sample(x, boxes, owner, nets.O_SIDE))


def _sample(x: jax.Array, boxes: jax.Array, owner: jax.Array, side: int) -> jax.Array:
    """Return the pictures in ``boxes`` (n, 4) as (n, side, side, 3): bilinear at twice the size, then averaged.

    What lies outside the canvas is grey (0).
    """
    centres = (jnp.arange(2 * side) + 0.5) / (2 * side)
    limit = x.shape[1] - 1

    def axis(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        at = low[:, None] + centres * (high - low)[:, None] - 0.5
        inside = (at > -1) & (at < limit + 1)
        at = jnp.clip(at, 0, limit)
        first = jnp.minimum(at.astype(jnp.int32), limit - 1)
        return first, at - first, inside

    xi, fx, in_x = axis(boxes[:, 0], boxes[:, 2])
    yi, fy, in_y = axis(boxes[:, 1], boxes[:, 3])
    who, yi, xi = owner[:, None, None], yi[:, :, None], xi[:, None, :]
    fx, fy = fx[:, None, :, None], fy[:, :, None, None]
    upper = x[who, yi, xi] * (1 - fx) + x[who, yi, xi + 1] * fx
    lower = x[who, yi + 1, xi] * (1 - fx) + x[who, yi + 1, xi + 1] * fx
    fine = (upper * (1 - fy) + lower * fy) * (in_y[:, :, None] & in_x[:, None, :])[..., None]
    return fine.reshape(len(boxes), side, 2, side, 2, 3).mean(axis=(2, 4))


def _in_parts(step: Any, boxes: Array, owner: Array, widths: tuple[int, ...]) -> list[Array]:
    """Run ``step`` over `BOXES` boxes at a time, the last part filled up, and return its outputs as one.

    Args:
        step: from (`BOXES`, 4) boxes and their owners to a tuple of arrays.
        boxes: (n, 4), n may be 0.
        owner: (n,).
        widths: of each output, 0 for those of shape (n,).
    """
    outputs: list[list[Array]] = [[np.empty((0, width) if width else 0, np.float32)] for width in widths]
    for start in range(0, len(boxes), BOXES):
        part = boxes[start : start + BOXES]
        filled = np.zeros((BOXES, 4), np.float32)
        filled[: len(part)] = part
        whose = np.zeros(BOXES, np.int32)
        whose[: len(part)] = owner[start : start + BOXES]
        for output, values in zip(outputs, step(filled, whose), strict=True):
            output.append(np.asarray(values)[: len(part)])
    return [np.concatenate(output) for output in outputs]


def _suppress_each(boxes: Array, scores: Array, owner: Array) -> Array:
    """Return which boxes stay, each picture's by themselves."""
    kept = [np.flatnonzero(owner == who) for who in np.unique(owner)]
    kept = [index[suppress(boxes[index], scores[index], OVERLAP)] for index in kept]
    return np.concatenate([np.empty(0, np.int64), *kept])
