"""What plugins return of a data set, and the samples that its adapter reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from fer_bench.specs.params import Params


class DatasetParams(Params):
    """Parameters that every data set has.

    Fields whose ``json_schema_extra`` is ``{"view": True}`` choose among prepared samples; all others choose what
    is prepared. A field with ``{"folder": True}`` is the path of a folder, or empty: a cell records its name, and not
    where it lies.
    """

    split: str = Field("", description="use only this official split", json_schema_extra={"view": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image of a data set, as an adapter reads it.

    Attributes:
        id: unique and stable within the data set: a relative path or a row number.
        image: path of an image file, or its encoded bytes (PNG, JPEG, TIFF, …); any size; grey or colour.
        label: native label name.
        split: official split, or empty.
        subject: identity of the person, or empty where unknown.
        sequence: the video or burst that the image was taken from, or empty.
        groups: attributes, which become columns for group scores (``{"country": "ES"}``).
        soft_label: native label name -> its weight, such as votes, at least 0; a label that is not named has 0. The
            host scales the sum to 1. All samples of a data set have one, or none has.
        box: left, top, right, bottom in pixels of the picture that ``image`` was cut out of; None where it is whole.
    """

    id: str
    image: Path | bytes
    label: str
    split: str = ""
    subject: str = ""
    sequence: str = ""
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    soft_label: Mapping[str, float] = field(default_factory=dict[str, float])
    box: tuple[int, int, int, int] | None = None


SplitRole = Literal["train", "validation", "test"]
"""What an official split is for."""

Counts = Mapping[str, Mapping[str, int]]
"""Split -> label -> number of samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSpec:
    """A data set.

    Attributes:
        name: lower-case letters, digits and single hyphens.
        title: for people.
        builder: reference to a ``fer_bench.data.builder.FerBuilder`` subclass.
        labels: native label names in the data set's own order; empty where the data decide (a manifest).
        expressions: native label -> the one of `fer_bench.labels.EXPRESSIONS` that it means, or ``""`` where it means
            none; label sets map by it. A label that is not named is told by its spelling.
        identity: whether samples carry a subject: ``"yes"``, ``"no"``, ``"maybe"`` where the data decide, or
            ``"proxy"`` where something stands for the person, such as the film that a face is from.
        splits: official split names; empty where there are none.
        roles: official split -> what it is for; the protocol ``official`` goes by it. Told by their names if empty.
        expected_counts: split -> label -> samples, where published; the label ``""`` stands for all of a split.
        variants: the same for each release or parameter, where the numbers depend on it: ``"release=2021"`` -> ….
        licence: of the images.
        citation: one line.
        access: how to get it and in which layouts it may lie on disk; empty if the package makes it itself.
        synthetic: drawn by a program; tables say so.
        params: parameters with defaults.
    """

    name: str
    title: str
    builder: str
    labels: tuple[str, ...]
    identity: Literal["yes", "no", "maybe", "proxy"]
    licence: str
    citation: str
    access: str = ""
    splits: tuple[str, ...] = ()
    roles: Mapping[str, SplitRole] = field(default_factory=dict[str, SplitRole])
    expressions: Mapping[str, str] = field(default_factory=dict[str, str])
    expected_counts: Counts = field(default_factory=dict[str, Mapping[str, int]])
    variants: Mapping[str, Counts] = field(default_factory=dict[str, Counts])
    synthetic: bool = False
    params: type[DatasetParams] = DatasetParams
