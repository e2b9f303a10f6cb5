"""FER2013 in its four forms on disk: two tables, and two kinds of folders."""

from __future__ import annotations

from pathlib import Path

from fer_bench.testing.layouts.drawing import FER2013, PARTS, Truth, draw_face, save_face, write_pixels, write_text

FOLDERS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
OTHER_FOLDERS = ("Angry", "Disgusted", "Fearful", "Happy", "Sad", "Surprised", "Neutral")


def write_fer2013(root: Path) -> list[Truth]:
    """``fer2013.csv``, as published."""
    return write_pixels(root / "fer2013.csv", FER2013)


def write_fer2013_icml(root: Path) -> list[Truth]:
    """``icml_face_data.csv``: the same in another order of columns, with spaces in the header."""
    lines, truths = ["emotion, Usage, pixels"], list[Truth]()
    for part in PARTS:
        for code, label in enumerate(FER2013):
            pixels = " ".join(map(str, draw_face(label, len(truths)).ravel()))
            lines.append(f"{code},{part},{pixels}")
            truths.append(Truth(str(len(truths)), label, part.lower()))
    write_text(root / "icml_face_data.csv", lines)
    return truths


def write_fer2013_folders(root: Path) -> list[Truth]:
    """``{train,test}/<class>``; ``test`` is both test parts, and nothing says which."""
    truths: list[Truth] = []
    for part in ("train", "test"):
        for folder, label in zip(FOLDERS, FER2013, strict=True):
            name = f"{part}/{folder}/im{len(truths)}.png"
            save_face(root / name, label, len(truths))
            truths.append(Truth(name, label, part))
    return truths


def write_fer2013_named(root: Path) -> list[Truth]:
    """``{train,test}/<class>`` in another spelling, with files that name their part."""
    truths: list[Truth] = []
    for part in PARTS:
        for folder, label in zip(OTHER_FOLDERS, FER2013, strict=True):
            name = f"{'train' if part == 'Training' else 'test'}/{folder}/{part}_{len(truths)}.jpg"
            save_face(root / name, label, len(truths))
            truths.append(Truth(name, label, part.lower()))
    return truths
