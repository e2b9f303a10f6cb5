"""Aff-Wild2 (Kollias & Zafeiriou 2019), expressions: frames of web videos, cut out and aligned by the data set."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.labels import canonical
from fer_bench.specs import Sample

from .class_folders import is_ignored
from .facts import AFFWILD2_LABELS
from .layout import Layout, LayoutBuilder, LayoutSource
from .text_list import read_lines

IMAGES = "cropped_aligned"
PARTS = {"train": "Train_Set", "validation": "Validation_Set"}

_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
_EXPRESSIONS = [canonical(label) or label for label in AFFWILD2_LABELS]
_SIDE = re.compile(r"_(left|right)$", re.IGNORECASE)


def read_videos(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the labelled frames of every video that a text file labels."""
    images = source.need(faults, IMAGES)
    left_out: Counter[str] = Counter()
    labelled: set[str] = set()
    for split, name in PARTS.items():
        labels = source.need(faults, name, f"expr*/{name}")
        for path in sorted(labels.iterdir()) if labels else ():
            if is_ignored(path.name) or path.suffix.lower() != ".txt" or images is None:
                continue
            labelled.add(path.stem)
            video = images / path.stem
            if video.is_dir():
                yield from _read_video(source, video, path, split, left_out, faults)
            else:
                faults.add(source.name(path), f"labels a video that {IMAGES!r} does not hold: {path.stem!r}")
    # Those of the test part have no labels; a label file that got lost looks the same.
    videos = {entry.name for entry in os.scandir(images) if entry.is_dir()} if images else set[str]()
    if silent := sorted(name for name in videos - labelled if not is_ignored(name)):
        left_out[f"videos without a file of labels, such as {silent[0]!r}"] = len(silent)
    source.notices.append("subjects are videos: the data set does not say who is on its frames")
    source.notices.extend(f"left out: {number:,} {what}" for what, number in sorted(left_out.items()))


def _read_video(
    source: LayoutSource, video: Path, path: Path, split: str, left_out: Counter[str], faults: Faults
) -> Iterator[Sample]:
    names = {entry.name for entry in os.scandir(video)}
    codes = {str(code): label for code, label in enumerate(AFFWILD2_LABELS)}
    for number, (where, text) in enumerate(read_lines(source, path, faults)):
        name = f"{number:05d}.jpg"
        if number == 0:  # The header names the classes.
            if not _names_classes(text):
                faults.add(where, f"reads {text!r}, expected a header such as {_HEADER!r}, in this order")
                return
        elif text == "-1":
            left_out["frames with the label -1"] += 1
        elif text not in codes:
            faults.add(where, f"has the label {text!r}, expected -1 to {len(codes) - 1}")
        elif name not in names:
            left_out["labelled frames in which the data set found no face"] += 1
        elif (number - 1) % source.params.every == 0:
            yield Sample(
                id=f"{video.name}/{name}",
                image=(video / name).relative_to(source.root),
                label=codes[text],
                split=split,
                subject=_SIDE.sub("", video.name),
                sequence=video.name,
            )


def _names_classes(header: str) -> bool:
    """Return whether a header names the classes in their order; the challenge of 2021 had only the first seven."""
    names = [canonical(name) or name.strip().lower() for name in header.split(",")]
    return len(names) >= len(AFFWILD2_LABELS) - 1 and names == _EXPRESSIONS[: len(names)]


class AffWild2(LayoutBuilder):
    """Reads aligned frames and the expression labels."""

    layouts = (
        Layout(
            "aligned",
            "'cropped_aligned', 'Train_Set' and 'Validation_Set'",
            (IMAGES, *PARTS.values(), *(f"expr*/{name}" for name in PARTS.values())),
            read_videos,
        ),
    )
