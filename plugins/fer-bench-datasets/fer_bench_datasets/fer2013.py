"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 35,887 grey faces of 48 x 48 pixels, as CSV or as folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fer_bench.data.builder import Faults, FerBuilder, encode_png
from fer_bench.errors import DataError, did_you_mean
from fer_bench.labels import canonical
from fer_bench.specs import Sample

from .csv_table import Row, find_file, read_rows
from .facts import FER2013_LABELS, FER2013_SPLITS

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
SIDE = 48
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}

_SPLIT_IN_NAME = re.compile(r"(training|publictest|privatetest)_", re.IGNORECASE)


class Fer2013(FerBuilder):
    """Reads ``fer2013.csv`` or ``icml_face_data.csv``, or the folders ``train`` and ``test`` with a folder a class."""

    def read(self, root: Path | None, faults: Faults) -> Iterator[Sample]:
        """Yield the faces, in the order of the file or of their paths."""
        assert root is not None, "FER2013 has a manual folder"
        table = find_file(root, CSV_NAMES)
        folders = sorted(
            entry.name for entry in os.scandir(root) if entry.is_dir() and entry.name.lower() in ("train", "test")
        )
        if table is not None and folders:
            raise DataError(
                f"{str(root)!r} holds FER2013 twice: as {table.name!r} and as the folder{'s' if folders[1:] else ''} "
                f"{' and '.join(map(repr, folders))}. Remove one of them."
            )
        if table is not None:
            yield from _read_csv(table, faults)
        elif folders:
            for name in sorted(folders, key=lambda name: name.lower() != "train"):
                yield from _read_folder(root, root / name, faults)
        else:
            raise DataError(
                f"{str(root)!r} holds neither {CSV_NAMES[0]!r} nor the folders 'train' and 'test'. {self.spec.access}"
            )

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the published numbers; folders whose file names say no more merge the two test parts."""
        published = self.spec.expected_counts
        if not splits <= {"train", "test"}:
            return published
        test = {label: published["publictest"][label] + published["privatetest"][label] for label in FER2013_LABELS}
        return {"train": published["training"], "test": test}


def _read_csv(path: Path, faults: Faults) -> Iterator[Sample]:
    for number, row in enumerate(read_rows(path, ("emotion", "pixels", "Usage"), faults)):
        where = f"{path.name}, line {row.line}"
        label, usage = _label(row), row.values["Usage"].strip()
        pixels = _pixels(row.values["pixels"])
        if label is None:
            faults.add(where, f"has the emotion {row.values['emotion']!r}, expected 0 to {len(FER2013_LABELS) - 1}")
        if usage.lower() not in FER2013_SPLITS:
            faults.add(
                where, f"has the Usage {usage!r}. {did_you_mean(usage, ('Training', 'PublicTest', 'PrivateTest'))}"
            )
        if isinstance(pixels, str):
            faults.add(where, pixels)
        elif label is not None:
            yield Sample(id=str(number), image=encode_png(pixels), label=label, split=usage.lower())


def _label(row: Row) -> str | None:
    text = row.values["emotion"].strip()
    return FER2013_LABELS[int(text)] if text in {str(code) for code in range(len(FER2013_LABELS))} else None


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


def _read_folder(root: Path, part: Path, faults: Faults) -> Iterator[Sample]:
    """Yield the faces below ``train`` or ``test``."""
    labels = {canonical(label): label for label in FER2013_LABELS}
    for entry in sorted(os.scandir(part), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        where = f"{part.name}/{entry.name}"
        label = labels.get(canonical(entry.name))
        if not entry.is_dir():
            faults.add(where, "is a file, expected a folder named after a class")
        elif label is None:
            faults.add(where, f"is not a class of FER2013. {did_you_mean(entry.name.lower(), FER2013_LABELS)}")
        else:
            yield from _read_class(root, Path(entry.path), part.name.lower(), label, faults)


def _read_class(root: Path, folder: Path, part: str, label: str, faults: Faults) -> Iterator[Sample]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() == "thumbs.db":
            continue
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            faults.add(name, f"is no picture, expected one of {', '.join(sorted(IMAGE_SUFFIXES))}; remove it")
            continue
        said = _SPLIT_IN_NAME.match(path.name)
        split = said[1].lower() if said else part
        if (split == "training" and part == "test") or (split.endswith("test") and part == "train"):
            faults.add(name, f"is named as a picture of {split!r} but lies in {part!r}")
        yield Sample(id=name, image=path, label=label, split=split)
