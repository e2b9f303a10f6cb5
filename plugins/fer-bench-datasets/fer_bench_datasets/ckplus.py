"""CK+ (Lucey et al. 2010): sequences of posed expressions, from neutral to the apex; raw, as CK+48 or as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_bench.data.builder import Faults
from fer_bench.data.place import PARTS
from fer_bench.sizes import number_of
from fer_bench.specs import Sample

from .class_folders import is_ignored, joined_parts, list_classes, list_pictures, spelling_of
from .facts import CKPLUS_CSV_LABELS, CKPLUS_LABELS, ckplus_counts
from .layout import Layout, LayoutBuilder, LayoutSource
from .params import SequenceParams
from .pixel_table import read_pixel_rows
from .sequences import choose_frames
from .text_list import read_lines

IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
EMOTIONS = ("Emotion", "Emotion_labels/Emotion")
CK48_FOLDERS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
PLACES = ("", *(f"{part}/" for part in PARTS))
"""Where the seven folders lie."""

_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d+)", re.IGNORECASE)


def read_raw(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the chosen frames of every labelled sequence."""
    images = source.need(faults, *IMAGES)
    emotions = source.need(faults, *EMOTIONS)
    if images is None or emotions is None:
        return
    unlabelled = total = 0
    for folder in (folder for person in _folders(images) for folder in _folders(person)):
        total += 1
        notes = emotions / folder.relative_to(images)
        files = sorted(notes.glob("*_emotion.txt")) if notes.is_dir() else []
        if not files:
            unlabelled += 1
        elif len(files) > 1:
            faults.add(
                source.name(notes), f"holds {number_of(len(files), 'label')}, expected one; remove {files[1].name!r}"
            )
        else:
            label = _read_emotion(source, files[0], faults)
            yield from _read_sequence(source, images, folder, label, faults) if label else ()
    for notes in (notes for person in _folders(emotions) for notes in _folders(person)):
        if not (images / notes.relative_to(emotions)).is_dir() and any(notes.glob("*_emotion.txt")):
            faults.add(source.name(notes), f"labels a sequence that {images.name!r} does not hold")
    if unlabelled:
        source.notices.append(f"{unlabelled} of {total} sequences have no label and are left out")


def _read_emotion(source: LayoutSource, path: Path, faults: Faults) -> str | None:
    text = " ".join(line for _, line in read_lines(source, path, faults))
    if not text:
        return None
    for code, label in enumerate(CKPLUS_LABELS):
        try:
            if float(text) == code:
                return label
        except ValueError:
            break
    faults.add(source.name(path), f"has the emotion {text!r}, expected one number from 0 to 7")
    return None


def _read_sequence(source: LayoutSource, images: Path, folder: Path, label: str, faults: Faults) -> Iterator[Sample]:
    frames = sorted(path for path in list_pictures(source, folder, faults) if _is_frame(source, path, faults))
    for path, name in choose_frames(source, folder, frames, label, begin=1):
        yield Sample(
            id=path.relative_to(images).as_posix(),
            image=path.relative_to(source.root),
            label=name,
            subject=folder.parent.name.upper(),
            sequence=f"{folder.parent.name}_{folder.name}".upper(),
        )


def _is_frame(source: LayoutSource, path: Path, faults: Faults) -> bool:
    match = _FRAME.fullmatch(path.stem)
    if match and (match[1].upper(), match[2]) == (path.parent.parent.name.upper(), path.parent.name):
        return True
    faults.add(source.name(path), "is not named after its folders, such as 'S010/004/S010_004_00000017.png'")
    return False


def read_ck48(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the pictures of seven folders in the order of their names, wherever the folders lie."""
    labels, samples = CKPLUS_LABELS[1:], list[Sample]()
    parts = joined_parts(source)
    for part in parts:
        for label, folder in list_classes(source, part, labels, spelling_of(labels), faults, len(parts) == 1):
            for path in list_pictures(source, folder, faults):
                match = _FRAME.fullmatch(path.stem)
                if match is None:
                    faults.add(
                        source.name(path), "is not named after subject, sequence and frame, 'S010_004_00000017.png'"
                    )
                    continue
                subject = match[1].upper()
                image, sequence = path.relative_to(source.root), f"{subject}_{match[2]}"
                samples.append(Sample(id=path.name, image=image, label=label, subject=subject, sequence=sequence))
    for label in labels:
        if len(parts) > 1 and all(sample.label != label for sample in samples):
            faults.add("", f"no part has a folder for the class {label!r}")
    yield from sorted(samples, key=lambda sample: sample.id)


def read_csv(source: LayoutSource, faults: Faults) -> Iterator[Sample]:
    """Yield the rows of ``ckextended.csv``, which names neither subjects nor sequences."""
    path = source.find("ckextended.csv")
    assert path is not None, "the layout was found by this file"
    source.notices.append(
        "'ckextended.csv' does not say who is on its pictures, so no folds can keep people, or frames of one "
        "sequence, apart: scores flatter"
    )
    for row in read_pixel_rows(source.folder, path, CKPLUS_CSV_LABELS, faults):
        yield Sample(id=str(row.number), image=row.image, label=row.label, groups={"usage": row.usage})


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_ignored(path.name))


class CkPlus(LayoutBuilder):
    """Reads CK+ raw, as CK+48 or as ``ckextended.csv``."""

    layouts = (
        Layout("raw", "'cohn-kanade-images' and 'Emotion'", IMAGES, read_raw),
        Layout(
            "ck48",
            "seven folders with pictures such as 'anger/S010_004_00000017.png'",
            tuple(f"{place}{name}/s[0-9]*_*.png" for place in PLACES for name in CK48_FOLDERS),
            read_ck48,
            labels=CKPLUS_LABELS[1:],
            size=(48, 48),
            ignores=("last", "neutral"),
        ),
        Layout(
            "csv",
            "'ckextended.csv'",
            ("ckextended.csv",),
            read_csv,
            labels=CKPLUS_CSV_LABELS,
            ignores=("last", "neutral"),
        ),
    )

    def expected_counts(self, splits: frozenset[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the numbers of the layout that was found."""
        assert isinstance(self.params, SequenceParams)
        return ckplus_counts(self.layout.name, self.params.last, self.params.neutral)
