"""JAFFE (Lyons et al. 1998): ten Japanese women posing seven expressions, 256 x 256 pixels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.data.images import SUFFIXES
from fer_bench.errors import did_you_mean
from fer_bench.specs import Sample

from .class_folders import is_ignored
from .facts import JAFFE_CODES
from .layout import Layout, LayoutBuilder, LayoutSource

_NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d+\.\d+", re.IGNORECASE)


def read_pictures(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures in the order of their names, which say all; texts that come with them are left out.

    Folders that somebody sorted them into, such as one a class below ``train`` and ``test``, say nothing more.
    """
    seen: dict[str, str] = {}
    for path in sorted(_pictures(source.base), key=lambda path: path.name):
        name = source.name(path)
        match = _NAME.fullmatch(path.stem)
        if match is None:
            faults.add(name, "is not named as the pictures of JAFFE, such as 'KA.AN1.39.tiff'")
            continue
        subject, code = match[1].upper(), match[2].upper()
        if code not in JAFFE_CODES:
            faults.add(name, f"has the expression {code!r}. {did_you_mean(code, JAFFE_CODES)}")
            continue
        if (other := seen.setdefault(path.stem.upper(), name)) != name:
            faults.add(name, f"is the picture {other!r} once more; remove one")
            continue
        image = path.relative_to(source.root)
        yield Sample(id=path.name, image=image, label=JAFFE_CODES[code], subject=subject)


def _pictures(base: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(base):
        # A folder that is named as a picture is listed as one, so that its faults are told.
        pictures = [
            name for name in (*names, *folders) if Path(name).suffix.lower() in SUFFIXES and not is_ignored(name)
        ]
        folders[:] = [name for name in folders if name not in pictures and not is_ignored(name)]
        yield from (Path(folder, name) for name in pictures)


class Jaffe(LayoutBuilder):
    """Reads pictures named after subject and expression."""

    layouts = (
        Layout(
            "pictures",
            "pictures such as 'KA.AN1.39.tiff'",
            tuple(f"{folders}[a-z][a-z].[a-z][a-z][0-9]*.*" for folders in ("", "*/", "*/*/")),
            read_pictures,
            size=(256, 256),
        ),
    )
