"""JAFFE (Lyons et al. 1998): ten Japanese women posing seven expressions, 256 x 256 pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fer_bench.data.builder import Faults
from fer_bench.errors import did_you_mean
from fer_bench.specs import Sample

from .class_folders import SUFFIXES, is_ignored
from .facts import JAFFE_CODES
from .layout import Layout, LayoutBuilder, Source

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d+\.\d+", re.IGNORECASE)


def read_pictures(source: Source, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures by name; texts that come with them are left alone."""
    for path in sorted(source.base.iterdir()):
        if is_ignored(path.name) or path.suffix.lower() not in SUFFIXES:
            continue
        match = _NAME.fullmatch(path.stem)
        if match is None:
            faults.add(path.name, "is not named as the pictures of JAFFE, such as 'KA.AN1.39.tiff'")
            continue
        subject, code = match[1].upper(), match[2].upper()
        if code not in JAFFE_CODES:
            faults.add(path.name, f"has the expression {code!r}. {did_you_mean(code, JAFFE_CODES)}")
            continue
        image = path.relative_to(source.root)
        yield Sample(id=path.name, image=image, label=JAFFE_CODES[code], subject=subject)


class Jaffe(LayoutBuilder):
    """Reads one folder of pictures named after subject and expression."""

    layouts = (
        Layout("pictures", "pictures such as 'KA.AN1.39.tiff'", ("*.tif", "*.tiff"), read_pictures, size=(256, 256)),
    )
