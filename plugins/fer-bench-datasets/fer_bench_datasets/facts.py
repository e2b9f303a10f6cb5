"""What is published about the data sets: label names in their own order, splits, counts. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fer_bench.labels import canonical
from fer_bench.specs import SplitRole


def meanings(labels: Sequence[str], *without: str) -> Mapping[str, str]:
    """Return label -> expression, where every label but those ``without`` spells one.

    Raises:
        ValueError: one does not.
    """
    found = {label: canonical(label) for label in labels if label not in without}
    if unknown := [label for label, expression in found.items() if expression is None]:
        raise ValueError(f"labels that spell no expression: {unknown}")
    return {**{label: expression or "" for label, expression in found.items()}, **dict.fromkeys(without, "")}


FER2013_LABELS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes; the column ``emotion`` indexes them."""

FER2013_SPLITS = ("training", "publictest", "privatetest")
"""FER2013's column ``Usage``."""
FER2013_ROLES: Mapping[str, SplitRole] = {
    **dict(zip(FER2013_SPLITS, ("train", "validation", "test"), strict=True)),
    **{"train": "train", "test": "test", "validation": "test"},
}
"""What its splits are for; folders that do not say which test part a picture is of have ``train`` and ``test``."""

_FER2013_NUMBERS = (
    (3995, 436, 4097, 7215, 4830, 3171, 4965),
    (467, 56, 496, 895, 653, 415, 607),
    (491, 55, 528, 879, 594, 416, 626),
)

FER2013_COUNTS: Mapping[str, Mapping[str, int]] = {
    split: dict(zip(FER2013_LABELS, numbers, strict=True))
    for split, numbers in zip(FER2013_SPLITS, _FER2013_NUMBERS, strict=True)
}
"""Split -> label -> number of faces, counted in the original file: 28,709, 3,589 and 3,589."""

EMPATHIC_LABELS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
"""The seven states of Nasri et al. 2020, taken to be AffectNet's seven; the paper's abstract does not name them."""


def _counts(labels: tuple[str, ...], **splits: tuple[int, ...]) -> Mapping[str, Mapping[str, int]]:
    """Return split -> label -> number."""
    return {split: dict(zip(labels, numbers, strict=True)) for split, numbers in splits.items()}


RAFDB_LABELS = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
"""RAF-DB's basic expressions; its files count them from 1."""

RAFDB_COUNTS = _counts(
    RAFDB_LABELS, train=(1290, 281, 717, 4772, 1982, 705, 2524), test=(329, 74, 160, 1185, 478, 162, 680)
)
"""12,271 and 3,068."""

JAFFE_CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
"""JAFFE's codes in file names."""

JAFFE_COUNTS: Mapping[str, Mapping[str, int]] = {
    "": dict(zip(JAFFE_CODES.values(), (30, 29, 32, 31, 30, 31, 30), strict=True))
}
"""213."""

KDEF_CODES = {
    "AF": "afraid",
    "AN": "angry",
    "DI": "disgusted",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprised",
}
"""KDEF's codes in file names."""

KDEF_ANGLES = {"S": "straight", "HL": "half-left", "HR": "half-right", "FL": "full-left", "FR": "full-right"}
KDEF_PEOPLE = 70


def kdef_counts(angle: str) -> Mapping[str, Mapping[str, int]]:
    """Return two pictures for each person, expression and angle."""
    angles = len(KDEF_ANGLES) if angle == "all" else 1
    return {"": dict.fromkeys(KDEF_CODES.values(), 2 * KDEF_PEOPLE * angles)}


CKPLUS_LABELS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sad", "surprise")
"""CK+'s emotions; its files hold the index."""

CKPLUS_CSV_LABELS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
"""FER2013's order and contempt; the column ``emotion`` of ``ckextended.csv`` indexes them."""

CKPLUS_SEQUENCES = dict(zip(CKPLUS_LABELS[1:], (45, 18, 59, 25, 69, 28, 83), strict=True))
"""Label -> labelled sequences: 327."""


def ckplus_counts(layout: str, last: int = 3, neutral: int = 1) -> Mapping[str, Mapping[str, int]]:
    """Return the numbers of a layout: of ``raw`` the chosen frames of 327 sequences, of ``ck48`` three each."""
    if layout == "csv":
        return {"": {"": 920}}
    counts = {label: number * (last if layout == "raw" else 3) for label, number in CKPLUS_SEQUENCES.items()}
    neutrals = {"neutral": neutral * sum(CKPLUS_SEQUENCES.values())} if layout == "raw" and neutral else {}
    return {"": {**neutrals, **counts}}


AFFECTNET_LABELS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's expressions 0 to 7."""

AFFECTNET_OTHERS = ("none", "uncertain", "no face")
"""AffectNet's labels 8 to 10, which are no expressions."""

AFFECTNET_SPLITS = ("training", "validation")

AFFECTNET_COUNTS = _counts(
    AFFECTNET_LABELS,
    training=(74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750),
    validation=(500,) * 8,
)
"""287,651 and 4,000."""

AFFECTNET_VARIANTS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "release=original": AFFECTNET_COUNTS,
    "release=original,classes=7": {
        split: {label: number for label, number in labels.items() if label != "contempt"}
        for split, labels in AFFECTNET_COUNTS.items()
    },
    "release=2021": {"training": {"": 287_651}, "validation": {"": 3_999}},
    "release=plus": {"training": {"": 414_799}, "validation": {"": 5_500}},
}
"""With seven classes, numbers of the later releases are not published."""

EXPW_COUNTS: Mapping[str, Mapping[str, int]] = {
    "": dict(zip(FER2013_LABELS, (3671, 3995, 1088, 30537, 10559, 7060, 34883), strict=True))
}
"""91,793; the labels are in FER2013's order."""

MMAFEDB_LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
MMAFEDB_COUNTS = {"train": {"": 92_968}, "valid": {"": 17_356}, "test": {"": 17_356}}

SFEW_LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")

OULU_LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Oulu-CASIA's six folders, and neutral, which the first frames show."""

OULU_SUBJECTS = 80


def oulu_counts(last: int = 3, neutral: int = 1) -> Mapping[str, Mapping[str, int]]:
    """Return the chosen frames of the 480 sequences of one camera and light."""
    counts = dict.fromkeys(OULU_LABELS[:6], OULU_SUBJECTS * last)
    return {"": {**counts, "neutral": OULU_SUBJECTS * len(OULU_LABELS[:6]) * neutral}}


AFFWILD2_LABELS = ("neutral", "anger", "disgust", "fear", "happy", "sad", "surprise", "other")
"""Aff-Wild2's expressions 0 to 7; -1 is to be ignored."""

FERPLUS_LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""FER+'s columns of votes that are expressions; then come unknown and NF (no face)."""

FERPLUS_VARIANTS = {
    "protocol=majority": _counts(
        FERPLUS_LABELS,
        training=(8740, 7287, 3149, 3014, 2100, 119, 532, 119),
        publictest=(1182, 865, 415, 351, 287, 24, 62, 13),
        privatetest=(1090, 893, 396, 384, 273, 18, 83, 16),
    ),
    "protocol=argmax": _counts(
        FERPLUS_LABELS,
        training=(10388, 7539, 3588, 3549, 2478, 194, 656, 167),
        publictest=(1347, 899, 459, 417, 320, 36, 75, 25),
        privatetest=(1278, 929, 446, 448, 326, 23, 94, 29),
    ),
}
"""25,060, 3,199 and 3,153; 28,559, 3,578 and 3,573."""
