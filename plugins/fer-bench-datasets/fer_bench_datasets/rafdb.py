"""RAF-DB, basic expressions (Li, Deng & Du 2017): web faces, aligned by the data set to 100 x 100 pixels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.sizes import number_of
from fer_bench.specs import Sample

from .class_folders import read_classes
from .facts import RAFDB_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource
from .text_list import read_lines

LISTS = ("EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt")
SPLITS = ("train", "test")
ATTRIBUTES = {
    "gender": ("male", "female", "unsure"),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
"""The last three lines of an attribute file, in order; each holds the index of a value."""

_LINE = re.compile(r"(\S+)\s+(\S+)")
_NAME = re.compile(r"(train|test)_\d+\.jpg")
_LANDMARKS = 5


def read_original(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces in the order of the list of labels."""
    path = source.need(faults, *LISTS)
    pictures = source.need(faults, "Image/aligned")
    attributes = source.find("Annotation/manual")
    if path is None or pictures is None:
        return
    if attributes is None:
        source.notices.append("there is no 'Annotation/manual': gender, race and age are not known")
    for where, line in read_lines(source, path, faults):
        match = _LINE.fullmatch(line)
        if match is None:
            faults.add(where, f"reads {line!r}, expected a file name and a label, such as 'train_00001.jpg 5'")
            continue
        name, code = match.groups()
        named = _NAME.fullmatch(name)
        if code not in {str(number) for number in range(1, len(RAFDB_LABELS) + 1)}:
            faults.add(where, f"has the label {code!r}, expected 1 to {len(RAFDB_LABELS)}")
        elif named is None:
            faults.add(where, f"names {name!r}, expected a name such as 'train_00001.jpg' or 'test_0001.jpg'")
        else:
            stem = name.removesuffix(".jpg")
            yield Sample(
                id=name,
                image=(pictures / f"{stem}_aligned.jpg").relative_to(source.root),
                label=RAFDB_LABELS[int(code) - 1],
                split=named[1],
                groups=_read_attributes(source, attributes / f"{stem}_manu_attri.txt", faults) if attributes else {},
            )


def _read_attributes(source: LayoutSource, path: Path, faults: Faults) -> Mapping[str, str]:
    """Return gender, race and age, the last three lines of the file."""
    where = source.name(path)
    if not path.exists():
        faults.add(where, "is missing; remove 'Annotation' altogether to do without gender, race and age")
        return {}
    lines = [line for _, line in read_lines(source, path, faults)]
    if not lines:
        return {}
    if len(lines) != _LANDMARKS + len(ATTRIBUTES):
        faults.add(where, f"has {number_of(len(lines), 'line')}, expected {_LANDMARKS + len(ATTRIBUTES)}")
        return {}
    groups: dict[str, str] = {}
    for (name, values), text in zip(ATTRIBUTES.items(), lines[_LANDMARKS:], strict=True):
        if text in {str(code) for code in range(len(values))}:
            groups[name] = values[int(text)]
        else:
            faults.add(where, f"has the {name} {text!r}, expected 0 to {len(values) - 1}")
    return groups


def read_folders(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces of ``train`` and ``test``, each with the folders 1 to 7, in the order of their names.

    Pictures keep the names that the list of the original gives them, so that ids do not depend on the layout.
    """
    codes = {str(code): label for code, label in enumerate(RAFDB_LABELS, start=1)}
    for split in SPLITS:
        part = source.need(faults, split)
        if part is not None:
            read = read_classes(source, part, RAFDB_LABELS, faults, split, codes.get)
            yield from sorted((replace(sample, id=_listed(sample.id)) for sample in read), key=lambda sample: sample.id)


def _listed(name: str) -> str:
    """Return the name in the original's list, ``train_00001.jpg``, of a picture that still has it."""
    own = name.rpartition("/")[2].replace("_aligned.jpg", ".jpg")
    return own if _NAME.fullmatch(own) else name


class RafDb(LayoutBuilder):
    """Reads RAF-DB as it is handed out, or as ``{train,test}/{1..7}``."""

    layouts = (
        Layout("original", "'EmoLabel', 'Image/aligned' and 'Annotation'", LISTS, read_original, size=(100, 100)),
        Layout(
            "folders",
            "'train' and 'test', each with the folders '1' to '7'",
            ("train/[1-7]", "test/[1-7]"),
            read_folders,
            size=(100, 100),
        ),
    )
