"""What is wrong with data that decode well: copies, contradicting labels, blank pictures, people in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.data.prepared import Prepared

BATCH = 1024
TINY = 24
"""Below this side, in pixels, hardly an expression can be seen."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        samples: images that were read.
        duplicates: groups of ids with exactly the same pixels, each in file order.
        conflicting: those groups whose members carry different labels.
        copies: (split, other split) -> images of ``split`` that have an exact copy in ``other split``.
        blank: ids of images of a single colour.
        tiny: ids of images with a side below ``TINY`` pixels.
        subjects_in_splits: subject -> the official splits it stands in, where these are several.
    """

    samples: int
    duplicates: list[list[str]]
    conflicting: list[list[str]]
    copies: dict[tuple[str, str], int]
    blank: list[str]
    tiny: list[str]
    subjects_in_splits: dict[str, list[str]]

    @property
    def redundant(self) -> int:
        """Images that would go if one of each group of copies stayed."""
        return sum(len(group) - 1 for group in self.duplicates)

    def summary(self) -> list[tuple[str, int]]:
        """Return (what, how many) of every kind of finding, zeros included."""
        copies = [(f"images of {split} with an exact copy in {other}", n) for (split, other), n in self.copies.items()]
        return [
            ("images", self.samples),
            ("groups of exact copies", len(self.duplicates)),
            ("redundant exact copies", self.redundant),
            ("groups of copies with conflicting labels", len(self.conflicting)),
            *copies,
            ("blank images", len(self.blank)),
            (f"images smaller than {TINY} pixels", len(self.tiny)),
            ("subjects in several official splits", len(self.subjects_in_splits)),
        ]

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "schema": 1,
            "samples": self.samples,
            "redundant": self.redundant,
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "copies": [{"split": a, "in": b, "images": n} for (a, b), n in self.copies.items()],
            "blank": self.blank,
            "tiny": self.tiny,
            "subjects_in_splits": self.subjects_in_splits,
        }


def audit(prepared: Prepared, progress: Callable[[int, int | None], None] | None = None) -> Audit:
    """Read every image of a prepared data set once and report what is wrong.

    Images are compared by their pixels, so that a PNG and a BMP of one picture are copies, and a grey picture is a
    copy of itself stored in colour. Only hashes are held in memory.

    Args:
        prepared: the data set.
        progress: called with the number of images done, and of all.
    """
    samples = prepared.samples
    ids, labels = samples["id"].astype(str).to_numpy(), samples["label"].to_numpy()
    splits = samples["split"].astype(str).to_numpy()
    rows_of: dict[bytes, list[int]] = defaultdict(list)
    blank: list[str] = []
    for start in range(0, len(samples), BATCH):
        rows = np.arange(start, min(start + BATCH, len(samples)))
        for row, image in zip(rows, prepared.images(rows), strict=True):
            rows_of[_pixel_hash(image)].append(int(row))
            if (image == image[0, 0]).all():
                blank.append(str(ids[row]))
        if progress is not None:
            progress(int(rows[-1]) + 1, len(samples))
    groups = [rows for rows in rows_of.values() if len(rows) > 1]
    sides = samples[["height", "width"]].to_numpy().min(axis=1)
    return Audit(
        samples=len(samples),
        duplicates=[ids[group].tolist() for group in groups],
        conflicting=[ids[group].tolist() for group in groups if len(set(labels[group])) > 1],
        copies=_copies(groups, splits),
        blank=blank,
        tiny=ids[sides < TINY].tolist(),
        subjects_in_splits=_subjects_in_splits(samples["subject"].astype(str).to_numpy(), splits),
    )


def _pixel_hash(image: np.ndarray[Any, Any]) -> bytes:
    """Return a hash of shape and pixels; a colour image whose channels are equal counts as grey."""
    if image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., :1]
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).digest()


def _copies(groups: list[list[int]], splits: np.ndarray[Any, Any]) -> dict[tuple[str, str], int]:
    """Return, for each pair of official splits, how many images of the one have a copy in the other."""
    names = sorted(set(splits[splits != ""].tolist()))
    counts = {(a, b): 0 for a in names for b in names if a != b}
    for group in groups:
        of_group = splits[group].tolist()
        for split in of_group:
            for other in set(of_group) - {split}:
                if (split, other) in counts:
                    counts[split, other] += 1
    return counts


def _subjects_in_splits(subjects: np.ndarray[Any, Any], splits: np.ndarray[Any, Any]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for subject, split in zip(subjects.tolist(), splits.tolist(), strict=True):
        if subject and split:
            found[subject].add(split)
    return {subject: sorted(names) for subject, names in sorted(found.items()) if len(names) > 1}
