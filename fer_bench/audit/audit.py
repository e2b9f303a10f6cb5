"""What is wrong with data that decode well: copies, contradicting labels, blank pictures, people in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.audit.copies import exact_ids
from fer_bench.audit.signatures import Signatures
from fer_bench.data.prepared import Prepared

TINY = 24
"""Below this side, in pixels, hardly an expression can be seen."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        samples: images that were read.
        duplicates: groups of ids with exactly the same pixels, each in file order.
        conflicting: those groups whose members carry different labels.
        ids: (n,) object, of all images of the data set.
        near: (m, 2) int32, rows of two images that are near copies; only the first of a group of exact copies is named.
        near_conflicting: (m,) bool, whether the two carry different labels.
        copies: (split, other split) -> images of ``split`` that have an exact copy in ``other split``.
        near_copies: the same for copies that are exact or near.
        blank: ids of images of a single colour.
        tiny: ids of images with a side below ``TINY`` pixels.
        subjects_in_splits: subject -> the official splits it stands in, where these are several; None where the data
            name no subjects or no splits.
    """

    samples: int
    duplicates: list[list[str]]
    conflicting: list[list[str]]
    ids: Array
    near: Array
    near_conflicting: Array
    copies: dict[tuple[str, str], int]
    near_copies: dict[tuple[str, str], int]
    blank: list[str]
    tiny: list[str]
    subjects_in_splits: dict[str, list[str]] | None

    @property
    def redundant(self) -> int:
        """Images that would go if one of each group of copies stayed."""
        return sum(len(group) - 1 for group in self.duplicates)

    def summary(self) -> list[tuple[str, int | None]]:
        """Return (what, how many) of every kind of finding, zeros included; None where the data cannot tell."""
        copies = [
            (f"images of {split} with {kind} copy in {other}", n)
            for kind, counts in (("an exact", self.copies), ("an exact or near", self.near_copies))
            for (split, other), n in counts.items()
        ]
        return [
            ("images", self.samples),
            ("groups of exact copies", len(self.duplicates)),
            ("redundant exact copies", self.redundant),
            ("groups of copies with conflicting labels", len(self.conflicting)),
            ("pairs of near copies", len(self.near)),
            ("pairs of near copies with conflicting labels", int(self.near_conflicting.sum())),
            *copies,
            ("blank images", len(self.blank)),
            (f"images smaller than {TINY} pixels", len(self.tiny)),
            (
                "subjects in several official splits",
                None if self.subjects_in_splits is None else len(self.subjects_in_splits),
            ),
        ]

    def record(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "schema": 3,
            "samples": self.samples,
            "redundant": self.redundant,
            "duplicates": self.duplicates,
            "conflicting": self.conflicting,
            "near": self.ids[self.near].tolist(),
            "near_conflicting": self.ids[self.near[self.near_conflicting]].tolist(),
            "copies": [{"split": a, "in": b, "images": n} for (a, b), n in self.copies.items()],
            "near_copies": [{"split": a, "in": b, "images": n} for (a, b), n in self.near_copies.items()],
            "blank": self.blank,
            "tiny": self.tiny,
            "subjects_in_splits": self.subjects_in_splits,
        }


def audit(prepared: Prepared, signatures: Signatures, rows: Array | None = None) -> Audit:
    """Report what is wrong with a prepared data set.

    Args:
        prepared: the data set.
        signatures: of its images, see `fer_bench.audit.signatures.compute`.
        rows: (k,) increasing rows to which the report is limited; None reports on all.
    """
    samples = prepared.samples
    all_ids, near = samples["id"].astype(str).to_numpy(), signatures.near
    if rows is not None and len(rows) < len(samples):
        samples, signatures = samples.iloc[rows], signatures.of(rows)
        near = rows[signatures.near].astype(np.int32)
    ids, labels = samples["id"].astype(str).to_numpy(), samples["label"].to_numpy()
    splits = samples["split"].astype(str).to_numpy()
    exact = exact_ids(signatures.pixels)
    members = np.split(np.argsort(exact, kind="stable"), np.cumsum(np.bincount(exact))[:-1])
    groups = sorted((rows for rows in members if len(rows) > 1), key=lambda rows: rows[0])
    sides = samples[["height", "width"]].to_numpy().min(axis=1)
    return Audit(
        samples=len(samples),
        duplicates=[ids[group].tolist() for group in groups],
        conflicting=[ids[group].tolist() for group in groups if len(set(labels[group])) > 1],
        ids=all_ids,
        near=near,
        near_conflicting=labels[signatures.near[:, 0]] != labels[signatures.near[:, 1]],
        copies=_copies(splits, exact, np.empty((0, 2), np.int64)),
        near_copies=_copies(splits, exact, signatures.near),
        blank=ids[signatures.blank].tolist(),
        tiny=ids[sides < TINY].tolist(),
        subjects_in_splits=_subjects_in_splits(samples["subject"].astype(str).to_numpy(), splits),
    )


def compare(datasets: Mapping[str, Signatures], near: Mapping[tuple[str, str], Array]) -> list[dict[str, Any]]:
    """Return of every two data sets how many images of the one have a copy in the other.

    Args:
        datasets: what audits keep of each.
        near: (name, other name) -> (m, 2) rows of the one and of the other that are near copies.

    Returns:
        ``{"images of": name, "in": other name, "exact": images, "exact or near": images}`` for every two.
    """
    starts = dict(zip(datasets, np.cumsum([0, *map(len, datasets.values())]), strict=False))
    names = np.repeat(np.array(list(datasets)), [len(signatures) for signatures in datasets.values()])
    exact = exact_ids(np.concatenate([signatures.pixels for signatures in datasets.values()]))
    within = [signatures.near + starts[name] for name, signatures in datasets.items()]
    crossing = [rows + np.array([starts[one], starts[other]]) for (one, other), rows in near.items()]
    same, alike = (
        _copies(names, exact, links) for links in (np.empty((0, 2), np.int64), np.concatenate([*within, *crossing]))
    )
    return [
        {"images of": one, "in": other, "exact": same[one, other], "exact or near": alike[one, other]}
        for one in datasets
        for other in datasets
        if other != one
    ]


def _copies(splits: Array, exact: Array, near: Array) -> dict[tuple[str, str], int]:
    """Return, for each pair of official splits, how many images of the one have a copy in the other.

    Args:
        splits: (n,) str.
        exact: (n,) int64, equal for exact copies.
        near: (m, 2) integers, rows that are near copies.
    """
    names = sorted(set(splits[splits != ""].tolist()))
    # Where the copies of each picture stand: its own and those that are near to it.
    present = np.zeros((exact.max(initial=-1) + 1, len(names)), bool)
    for column, name in enumerate(names):
        present[exact[splits == name], column] = True
    reached = present.copy()
    for column in range(len(names)):
        for one, other in ((0, 1), (1, 0)):
            reached[exact[near[present[exact[near[:, other]], column], one]], column] = True
    return {(a, b): int(reached[exact[splits == a], names.index(b)].sum()) for a in names for b in names if a != b}


def _subjects_in_splits(subjects: Array, splits: Array) -> dict[str, list[str]] | None:
    has_both = (subjects != "") & (splits != "")
    if not has_both.any():
        return None
    names: dict[str, set[str]] = defaultdict(set)
    for subject, split in zip(subjects[has_both].tolist(), splits[has_both].tolist(), strict=True):
        names[subject].add(split)
    return {subject: sorted(several) for subject, several in sorted(names.items()) if len(several) > 1}
