"""Drawn faces, and what every layout needs to write and find files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fer_bench.arrays import Array

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
PICTURES = (".png", ".jpg", ".jpeg", ".tiff")


@dataclass(frozen=True)
class Truth:
    """One sample that an adapter has to read.

    Attributes:
        id: the path of its file below the layout's folder, or what tells it apart.
        label: the canonical name of its expression.
    """

    id: str
    label: str
    split: str = ""
    subject: str = ""
    sequence: str = ""


Writer = Callable[[Path], list[Truth]]


def draw_face(expression: str, number: int, width: int = 48, height: int = 0) -> Array:
    """Draw a simple face, (height or width, width) uint8; every ``number`` gives other pixels."""
    height = height or width
    image = Image.new("L", (width, height), 40 + number * 37 % 60)
    pen = ImageDraw.Draw(image)
    x, y = width / 8, height / 8
    mood = EXPRESSIONS.index(expression)
    pen.ellipse((x, y / 2, 7 * x, 7.5 * y), fill=170 + number * 11 % 60)
    for side in (2.6, 5.4):
        pen.ellipse(((side - 0.5) * x, 3 * y, (side + 0.5) * x, (3.3 + 0.2 * mood) * y), fill=30)
    pen.arc((2.5 * x, 4.6 * y, 5.5 * x, 6.4 * y), 180 * (mood % 2), 180 * (mood % 2) + 100 + 10 * mood, fill=20)
    pixels = np.asarray(image).astype(int)
    noise = np.random.default_rng(number * 8 + mood).integers(-9, 10, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def save_face(path: Path, expression: str, number: int, width: int = 48, height: int = 0) -> None:
    """Write a drawn face to ``path``, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_face(expression, number, width, height)).save(path)


def write_text(path: Path, lines: Sequence[str]) -> None:
    """Write lines to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def list_pictures(root: Path) -> list[Path]:
    """Return all picture files below ``root``, sorted."""
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in PICTURES)


def count_files(folder: Path) -> int:
    """Return the number of files below ``folder``."""
    return sum(len(names) for _, _, names in os.walk(folder))


# Pixels in CSV --------------------------------------------------------------------------------------------------------

FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
PARTS = ("Training", "PublicTest", "PrivateTest")


def write_pixels(path: Path, labels: Sequence[str]) -> list[Truth]:
    """Write ``emotion,pixels,Usage`` with a face of each label in each part."""
    lines = ["emotion,pixels,Usage"]
    truths: list[Truth] = []
    for part in PARTS:
        for code, label in enumerate(labels):
            pixels = " ".join(map(str, draw_face(label, len(truths)).ravel()))
            lines.append(f"{code},{pixels},{part}")
            truths.append(Truth(str(len(truths)), label, part.lower()))
    write_text(path, lines)
    return truths


# Faces in scenes ------------------------------------------------------------------------------------------------------

CORNER, SIDE = (11, 7), 40
"""Upper left corner (x, y) and side of every face box."""


def save_scene(path: Path, expression: str, number: int) -> None:
    """Write a picture of 80 x 60 pixels in which the face fills the box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scene = np.full((60, 80), 250, np.uint8)
    x, y = CORNER
    scene[y : y + SIDE, x : x + SIDE] = draw_face(expression, number, SIDE)
    Image.fromarray(scene).save(path)
