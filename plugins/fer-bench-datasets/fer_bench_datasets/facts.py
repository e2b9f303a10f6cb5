"""What is published about the data sets: label names in their own order, splits, counts. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping

FER2013_LABELS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's classes; the column ``emotion`` indexes them."""

FER2013_SPLITS = ("training", "publictest", "privatetest")

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
