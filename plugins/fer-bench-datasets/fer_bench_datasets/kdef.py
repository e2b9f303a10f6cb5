"""KDEF (Lundqvist, Flykt & Öhman 1998): seventy people posing seven expressions in two sessions, from five angles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.data.images import SUFFIXES
from fer_bench.errors import did_you_mean
from fer_bench.specs import Sample

from .class_folders import is_ignored
from .facts import KDEF_ANGLES, KDEF_CODES, kdef_counts
from .layout import Layout, LayoutBuilder, LayoutSource
from .params import KdefParams

_NAME = re.compile(r"([AB])([FM])(\d\d)([A-Z]{2})(S|HL|HR|FL|FR)", re.IGNORECASE)
_INCOMPLETE = re.compile(r"[AB][FM]\d\d[A-Z]?", re.IGNORECASE)
_FOLDER = re.compile(r"[AB][FM]\d\d", re.IGNORECASE)


def read_folders(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures of one folder a person and session."""
    for folder in sorted(source.base.iterdir()):
        if is_ignored(folder.name) or not folder.is_dir():
            continue
        if _FOLDER.fullmatch(folder.name):
            yield from _read(source, folder, faults)
        else:
            faults.add(folder.name, "is not a folder of KDEF, such as 'AF01'; rename or remove it")


def read_flat(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures of one folder that holds them all."""
    yield from _read(source, source.base, faults)


def _read(source: LayoutSource, folder: Path, faults: Faults) -> Iterator[Sample]:
    for path in sorted(folder.iterdir()):
        if is_ignored(path.name) or path.suffix.lower() not in SUFFIXES:
            continue
        name = source.name(path)
        match = _NAME.fullmatch(path.stem)
        if match is None and _INCOMPLETE.fullmatch(path.stem):
            source.notices.append(f"{name!r} names no expression and angle; it is left out")
            continue
        if match is None:
            faults.add(name, "is not named as the pictures of KDEF, such as 'AF01AFS.JPG'")
            continue
        session, sex, person, code, angle = (part.upper() for part in match.groups())
        if code not in KDEF_CODES:
            faults.add(name, f"has the expression {code!r}. {did_you_mean(code, KDEF_CODES)}")
        elif source.params.angle in ("all", KDEF_ANGLES[angle]):
            yield Sample(
                id=path.name,
                image=path.relative_to(source.root),
                label=KDEF_CODES[code],
                subject=sex + person,  # One person in both sessions.
                groups={"sex": sex, "session": session, "angle": KDEF_ANGLES[angle]},
            )


class Kdef(LayoutBuilder):
    """Reads KDEF with one folder a person and session, or in one folder."""

    layouts = (
        Layout("folders", "folders such as 'AF01'", ("[ab][fm][0-9][0-9]/*.jpg",), read_folders),
        Layout("flat", "pictures such as 'AF01AFS.JPG'", ("[ab][fm][0-9][0-9]*.jpg",), read_flat),
    )

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the numbers of the chosen angle."""
        assert isinstance(self.params, KdefParams)
        return kdef_counts(self.params.angle)
