"""AffectNet's later releases: faces that are cut out already, with a file of annotations for each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from fer_bench.data.builder import Faults
from fer_bench.specs import Sample

from .affectnet_labels import announce_left_out, read_label
from .class_folders import list_pictures
from .facts import AFFECTNET_SPLITS
from .layout import Source

Annotation = tuple[int, Mapping[str, str]]
"""Code of the label, and groups."""

META = ("age", "gender", "race")


class AnnotationError(ValueError):
    """A file that cannot be used; the message completes the sentence "this file …"."""


def read_2021(source: Source, faults: Faults) -> Iterator[Sample]:
    """Yield the faces of ``train_set`` and ``val_set``."""
    yield from _read(source, ("train_set", "val_set"), "_exp.npy", _load_npy, faults)


def read_plus(source: Source, faults: Faults) -> Iterator[Sample]:
    """Yield the faces of ``human_annotated``, with subset, age, gender and race as groups."""
    folders = ("human_annotated/train_set", "human_annotated/validation_set")
    yield from _read(source, folders, ".json", _load_json, faults)


def _read(
    source: Source, folders: tuple[str, str], suffix: str, load: Callable[[Path], Annotation], faults: Faults
) -> Iterator[Sample]:
    left_out: Counter[str] = Counter()
    for folder, split in zip(folders, AFFECTNET_SPLITS, strict=True):
        images = source.need(faults, f"{folder}/images")
        annotations = source.need(faults, f"{folder}/annotations")
        if images is None or annotations is None:
            continue
        names = {entry.name for entry in os.scandir(annotations) if entry.name.endswith(suffix)}
        for path in list_pictures(source, images, faults):
            note = annotations / f"{path.stem}{suffix}"
            if note.name not in names:
                faults.add(source.name(path), f"has no annotation {source.name(note)!r}")
                continue
            names.remove(note.name)
            try:
                code, groups = load(note)
            except AnnotationError as error:
                faults.add(source.name(note), str(error))
                continue
            label = read_label(code, source.params.classes, source.name(note), left_out, faults)
            if label is not None:
                image = path.relative_to(source.root)
                yield Sample(id=source.name(path), image=image, label=label, split=split, groups=groups)
        for name in sorted(names):
            faults.add(source.name(annotations / name), "annotates a picture that is missing")
    announce_left_out(source, left_out)


def _load_npy(path: Path) -> Annotation:
    """Return the expression in an array of one element, a number or its text."""
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy lets several exceptions out when the bytes are damaged.
        raise AnnotationError(f"is no NumPy array of a number or text: {error}") from None
    return _code(values.item() if values.size == 1 else values.tolist()), {}


def _load_json(path: Path) -> Annotation:
    """Return the human label, with subset, age, gender and race where they are plain values."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AnnotationError(f"is no JSON: {error}") from None
    if not isinstance(values, dict) or "human-label" not in values:
        raise AnnotationError("has no 'human-label'")
    content = cast("dict[str, Any]", values)
    meta = content.get("meta-data")
    found = {"subset": content.get("subset"), **{name: meta.get(name) for name in META if isinstance(meta, dict)}}
    groups = {name: str(value) for name, value in found.items() if isinstance(value, str | int | float)}
    return _code(content["human-label"]), groups


def _code(value: object) -> int:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.5
    if number != int(number):
        raise AnnotationError(f"has the expression {value!r}, expected a number from 0 to 7")
    return int(number)
