"""Grey faces of 48 x 48 pixels as rows of a CSV file, ``emotion,pixels,Usage``: the form of FER2013 and its kin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_bench.data.builder import Faults, encode_png
from fer_bench.data.files import DataFolder
from fer_bench.errors import did_you_mean

from .tables import Row, read_rows

SIDE = 48
USAGES = ("Training", "PublicTest", "PrivateTest")


@dataclass(frozen=True, slots=True)
class PixelRow:
    """One face.

    Attributes:
        number: of the row, from 0.
        image: a PNG.
        usage: one of `USAGES`, in lower case.
    """

    number: int
    image: bytes
    label: str
    usage: str


def read_pixel_rows(folder: DataFolder, path: Path, labels: Sequence[str], faults: Faults) -> Iterator[PixelRow]:
    """Yield the rows without faults, in order.

    Args:
        folder: of the data set.
        path: the file.
        labels: label names, which the column ``emotion`` indexes.
        faults: collects what is wrong with the others.
    """
    usages = {name.lower() for name in USAGES}
    for number, row in enumerate(read_rows(folder, path, ("emotion", "pixels", "Usage"), faults)):
        where = f"{path.name}, {row.at}"
        label, usage = _label(row, labels), row.values["Usage"].strip()
        pixels = _pixels(row.values["pixels"])
        if label is None:
            faults.add(where, f"has the emotion {row.values['emotion']!r}, expected 0 to {len(labels) - 1}")
        if usage.lower() not in usages:
            faults.add(where, f"has the Usage {usage!r}. {did_you_mean(usage, USAGES)}")
        if isinstance(pixels, str):
            faults.add(where, pixels)
        elif label is not None:
            yield PixelRow(number, encode_png(pixels), label, usage.lower())


def _label(row: Row, labels: Sequence[str]) -> str | None:
    text = row.values["emotion"].strip()
    return labels[int(text)] if text in {str(code) for code in range(len(labels))} else None


def _pixels(text: str) -> np.ndarray | str:
    """Return (48, 48) uint8, or what is wrong."""
    if not (text.isascii() and text.replace(" ", "").isdigit()):
        wrong = next((word for word in text.split() if not (word.isascii() and word.isdigit())), "")
        return (
            f"has the pixel {wrong!r}, expected numbers from 0 to 255 separated by spaces" if wrong else "has no pixels"
        )
    # Too large for an int64, a number becomes the largest, which is above 255 as well.
    values = np.fromstring(text, np.int64, sep=" ")
    if values.size != SIDE * SIDE:
        return f"has {values.size:,} pixels, expected {SIDE * SIDE:,} ({SIDE} x {SIDE})"
    if values.max() > 255:
        return f"has the pixel {values.max()}, expected 0 to 255"
    return values.astype(np.uint8).reshape(SIDE, SIDE)
