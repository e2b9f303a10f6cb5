"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 35,887 grey faces of 48 x 48 pixels, as CSV or as folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .class_folders import list_classes, list_pictures, spelling_of
from .facts import FER2013_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource
from .pixel_table import SIDE, read_pixel_rows

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
PARTS = ("train", "test", "validation")
"""``validation`` is the test part of copies that lie in 'images/train' and 'images/validation'."""
OTHERS_PART = "valid"

_SPLIT_IN_NAME = re.compile(r"(training|publictest|privatetest)_", re.IGNORECASE)
_by_name = spelling_of(FER2013_LABELS)
_by_code = {str(code): label for code, label in enumerate(FER2013_LABELS)}


def _spell(name: str) -> str | None:
    """Return the label that a folder means, by name or by the code that the table has."""
    return _by_code.get(name) or _by_name(name)


def read_csv(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces in the order of the rows."""
    path = source.find(*CSV_NAMES)
    assert path is not None, "the layout was found by this file"
    for row in read_pixel_rows(source.folder, path, FER2013_LABELS, faults):
        yield Sample(id=str(row.number), image=row.image, label=row.label, split=row.usage)


def read_folders(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces below ``train`` and ``test`` or ``validation``; one of them may be missing."""
    if source.find(OTHERS_PART) is not None:
        faults.add(
            OTHERS_PART,
            "is no part of FER2013, whose copies have only 'train' and 'test': this may be MMAFEDB, which is read as "
            "'mmafedb'; or remove that folder",
        )
    strangers = [name for name in source.folders() if name.lower() not in (*PARTS, OTHERS_PART)]
    for part in PARTS:
        root = source.find(part)
        if root is None and strangers and part != "validation":
            faults.add(part, f"is missing, and there is {', '.join(map(repr, strangers))}: rename or remove that")
        for label, folder in list_classes(source, root, FER2013_LABELS, _spell, faults) if root else ():
            for path in list_pictures(source, folder, faults):
                name = source.name(path)
                said = _SPLIT_IN_NAME.match(path.name)
                split = said[1].lower() if said else part
                if (split == "training" and part != "train") or (split.endswith("test") and part == "train"):
                    faults.add(name, f"is named as a picture of {split!r} but lies in {part!r}")
                yield Sample(id=name, image=path.relative_to(source.root), label=label, split=split)


class Fer2013(LayoutBuilder):
    """Reads ``fer2013.csv`` or ``icml_face_data.csv``, or the folders ``train`` and ``test`` with a folder a class."""

    layouts = (
        *(Layout(name.partition(".")[0], repr(name), (name,), read_csv) for name in CSV_NAMES),
        Layout("folders", "'train' and 'test', with a folder a class", PARTS, read_folders, size=(SIDE, SIDE)),
    )

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the published numbers; folders whose file names say no more merge the two test parts."""
        published = self.spec.expected_counts
        if not splits <= set(PARTS):
            return published
        if "validation" in splits:
            return {}  # Somebody else's split.
        test = {label: published["publictest"][label] + published["privatetest"][label] for label in FER2013_LABELS}
        return {"train": published["training"], "test": test}
