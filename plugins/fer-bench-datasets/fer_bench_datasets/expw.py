"""ExpW (Zhang et al. 2018): faces cut out of web pictures by the data set's boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .crops import Box, crop_samples
from .facts import FER2013_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource
from .text_list import read_lines

LIST = "label/label.lst"
IMAGES = "image/origin"


def read_list(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces in the order of the list; those of one picture are one sequence."""
    path, images = source.need(faults, LIST), source.need(faults, IMAGES)
    if path is not None and images is not None:
        yield from crop_samples(_list_faces(source, path, images, faults), source.root, source.params.max_side, faults)


def _list_faces(source: LayoutSource, path: Path, images: Path, faults: Faults) -> Iterator[tuple[Sample, Box]]:
    codes = {str(code): label for code, label in enumerate(FER2013_LABELS)}
    for where, line in read_lines(source, path, faults):
        fields = line.rsplit(maxsplit=7)
        try:
            name, face, top, left, right, bottom, _, code = fields
            box = Box(int(left), int(top), int(right), int(bottom))
        except ValueError:
            faults.add(
                where,
                f"reads {line!r}, expected the name of a picture, the number of the face, top, left, right, bottom, "
                "confidence and label",
            )
            continue
        if code not in codes:
            faults.add(where, f"has the label {code!r}, expected 0 to {len(codes) - 1}")
            continue
        image = images.relative_to(source.root) / name
        yield Sample(id=f"{name}#{face}", image=image, label=codes[code], sequence=name), box


class ExpW(LayoutBuilder):
    """Reads ``label/label.lst`` and cuts the faces out of ``image/origin``."""

    layouts = (Layout("list", "'label/label.lst' and 'image/origin'", (LIST,), read_list),)
