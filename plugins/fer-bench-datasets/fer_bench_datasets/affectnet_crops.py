"""AffectNet's later releases: faces that are cut out already, with a file of annotations for each."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from fer_bench.data.builder import Faults
from fer_bench.sizes import number_of
from fer_bench.specs import Sample

from .affectnet_labels import announce_left_out, read_label
from .class_folders import list_pictures
from .facts import AFFECTNET_LABELS, AFFECTNET_SPLITS
from .layout import LayoutSource


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known of a face.

    Attributes:
        code: of the label.
        groups: attributes.
        soft: weight of each of the eight expressions, or empty.
    """

    code: int
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    soft: tuple[float, ...] = ()


META = ("age", "gender", "race", "pose")
FRONTAL, PROFILE = 15, 45
"""Degrees of yaw below which a head counts as frontal, and from which as a profile."""


class AnnotationError(ValueError):
    """A file that cannot be used; the message completes the sentence "this file …"."""


def read_2021(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces of ``train_set`` and ``val_set``."""
    yield from _read(source, ("train_set", "val_set"), "_exp.npy", _load_npy, faults)


def read_plus(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the faces of ``human_annotated``, with soft labels, and subset, age, gender, race and pose as groups."""
    folders = ("human_annotated/train_set", "human_annotated/validation_set")
    yield from _read(source, folders, ".json", _load_json, faults)


def _read(
    source: LayoutSource, folders: tuple[str, str], suffix: str, load: Callable[[Path], Annotation], faults: Faults
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
            if not source.may_read(note, faults):
                continue
            try:
                found = load(note)
            except AnnotationError as error:
                faults.add(source.name(note), str(error))
                continue
            label = read_label(found.code, source.params.classes, source.name(note), left_out, faults)
            if label is not None:
                # Contempt may be left out; where it has all the weight, the human label is all that is left.
                soft: dict[str, float] = dict(zip(AFFECTNET_LABELS[: source.params.classes], found.soft, strict=False))
                yield Sample(
                    id=source.name(path),
                    image=path.relative_to(source.root),
                    label=label,
                    split=split,
                    groups=found.groups,
                    soft_label={label: 1.0} if found.soft and not sum(soft.values()) else soft,
                )
        for name in sorted(names):
            faults.add(source.name(annotations / name), "annotates a picture that is missing")
    announce_left_out(source, left_out)


def _load_npy(path: Path) -> Annotation:
    """Return the expression in an array of one element, a number or its text."""
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy lets several exceptions out when the bytes are damaged.
        raise AnnotationError(f"is no NumPy array of a number or text: {error}") from None
    return Annotation(_code(values.item() if values.size == 1 else values.tolist()))


def _load_json(path: Path) -> Annotation:
    """Return the human label, the soft label, and as groups subset, age by tens, gender, race and pose."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AnnotationError(f"is no JSON: {error}") from None
    content = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
    missing = [repr(name) for name in ("human-label", "soft-label") if name not in content]
    if missing:
        raise AnnotationError(f"has no {' and no '.join(missing)}")
    meta = content.get("meta-data")
    found = {"subset": content.get("subset"), **{name: meta.get(name) for name in META if isinstance(meta, dict)}}
    groups = {name: text for name, value in found.items() if (text := _attribute(name, value))}
    return Annotation(_code(content["human-label"]), groups, _soft(content["soft-label"]))


def _attribute(name: str, value: Any) -> str:
    """Return an attribute as the name of a group; empty where it is none.

    Numbers would make a group of almost every face: ages become tens of years, and a pose given as angles how far the
    head is turned, with limits of ours.
    """
    if name == "age":
        try:
            tens = int(float(value)) // 10 * 10
        except (TypeError, ValueError):
            return value if isinstance(value, str) else ""
        return f"{tens}-{tens + 9}"
    if isinstance(value, dict):
        yaw = cast("dict[str, Any]", value).get("yaw")
        if not isinstance(yaw, int | float):
            return ""
        return "frontal" if abs(yaw) < FRONTAL else "turned" if abs(yaw) < PROFILE else "profile"
    return str(value) if isinstance(value, str | int | float) else ""


def _soft(value: Any) -> tuple[float, ...]:
    """Return the weights of the eight expressions, by their codes."""
    try:
        weights = tuple(float(weight) for weight in value)
    except (TypeError, ValueError):
        weights = ()
    if len(weights) != len(AFFECTNET_LABELS) or not all(0 <= weight < math.inf for weight in weights):
        raise AnnotationError(
            f"has the soft label {value!r}, expected {number_of(len(AFFECTNET_LABELS), 'number')} from 0 on"
        )
    if not sum(weights):
        raise AnnotationError("has a soft label without any weight")
    return weights


def _code(value: object) -> int:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.5
    if number != int(number):
        raise AnnotationError(f"has the expression {value!r}, expected a number from 0 to 7")
    return int(number)
