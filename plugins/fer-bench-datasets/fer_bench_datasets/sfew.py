"""SFEW 2.0 (Dhall et al. 2011): frames of films, aligned by the data set; the film stands for the subject."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .class_folders import list_classes, list_pictures, spelling_of
from .facts import SFEW_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource

PARTS = {"train": "Train/Train_Aligned_Faces", "val": "Val/Val_Aligned_Faces"}

_NAME = re.compile(r"(.+)_([\d.]+)_(\d+)")


def read_aligned(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the aligned faces of both parts."""
    source.notices.append("subjects are films: the data set does not say who is on its pictures")
    for split, relative in PARTS.items():
        part = source.need(faults, relative)
        for label, folder in list_classes(source, part, SFEW_LABELS, spelling_of(SFEW_LABELS), faults) if part else ():
            for path in list_pictures(source, folder, faults):
                match = _NAME.fullmatch(path.stem)
                if match is None:
                    faults.add(
                        source.name(path), "is not named after film, time and frame, 'Film_000150880_00000008.png'"
                    )
                    continue
                yield Sample(
                    id=source.name(path),
                    image=path.relative_to(source.root),
                    label=label,
                    split=split,
                    subject=match[1],
                    sequence=f"{match[1]}_{match[2]}",
                )


class Sfew(LayoutBuilder):
    """Reads the aligned faces of SFEW 2.0."""

    layouts = (
        Layout(
            "aligned",
            "'Train/Train_Aligned_Faces' and 'Val/Val_Aligned_Faces'",
            tuple(PARTS.values()),
            read_aligned,
        ),
    )
