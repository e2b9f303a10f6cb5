"""Data sets from the web, films and videos: RAF-DB, AffectNet, ExpW, MMAFEDB, SFEW, Aff-Wild2 and FER+."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fer_bench.testing.layouts.drawing import (
    CORNER,
    EXPRESSIONS,
    FER2013,
    PARTS,
    SIDE,
    Truth,
    save_face,
    save_scene,
    write_pixels,
    write_text,
)

# RAF-DB ---------------------------------------------------------------------------------------------------------------

RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


def write_rafdb_original(root: Path) -> list[Truth]:
    """RAF-DB basic: a list of labels, aligned faces of 100 x 100 pixels, attributes."""
    truths: list[Truth] = []
    lines: list[str] = []
    for split in ("train", "test"):
        for number, label in enumerate(RAFDB, start=1):
            stem = f"{split}_{number:05d}"
            lines.append(f"{stem}.jpg {number}")
            save_face(root / "Image" / "aligned" / f"{stem}_aligned.jpg", label, len(lines), 100)
            landmarks = [f"{10 * point}.5\t{9 * point}.5" for point in range(1, 6)]
            gender, race, age = number % 3, number % 3, number % 5
            attributes = [*landmarks, str(gender), str(race), str(age)]
            write_text(root / "Annotation" / "manual" / f"{stem}_manu_attri.txt", attributes)
            truths.append(Truth(f"{stem}.jpg", label, split))
    write_text(root / "EmoLabel" / "list_patition_label.txt", lines)
    return truths


def write_rafdb_folders(root: Path) -> list[Truth]:
    """RAF-DB as ``{train,test}/{1..7}``."""
    truths: list[Truth] = []
    for split in ("train", "test"):
        for number, label in enumerate(RAFDB, start=1):
            name = f"{split}/{number}/{split}_{number:05d}_aligned.jpg"
            save_face(root / name, label, len(truths), 100)
            truths.append(Truth(f"{split}_{number:05d}.jpg", label, split))
    return truths


# AffectNet and ExpW ---------------------------------------------------------------------------------------------------

AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def write_affectnet_original(root: Path, *, lists: str = "", images: str = "") -> list[Truth]:
    """AffectNet's first release, with the oddities of the real one.

    They are a malformed row, rows without a face box, and the labels none, uncertain and no face.
    """
    truths: list[Truth] = []
    box = f"{CORNER[0]},{CORNER[1]},{SIDE},{SIDE},1.0;2.0"
    for split in ("training", "validation"):
        lines = [AFFECTNET_HEADER]
        for code, label in enumerate((*EXPRESSIONS, "none", "uncertain", "no face")):
            name = f"{11 - code}/{split}{code}.png"
            save_scene(root / images / "Manually_Annotated_Images" / name, EXPRESSIONS[code % 8], len(truths))
            lines.append(f"{name},{box},{code},0.1,-0.1")
            if label in EXPRESSIONS:
                truths.append(Truth(name, label, split))
        lines.append("1/gone.png,-1,-1,-1,-1,1.0;2.0,4,-2,-2")
        if split == "training":
            lines.append("1/broken.png,1,2")
        write_text(root / lists / f"{split}.csv", lines)
    return truths


def write_affectnet_nested(root: Path) -> list[Truth]:
    """The same with the lists and photos in folders of their own."""
    return write_affectnet_original(root, lists="Manually_Annotated_file_lists", images="Manually_Annotated")


def write_affectnet_2021(root: Path) -> list[Truth]:
    """AffectNet's release of 2021: crops, and an array of one element for each; some hold a text."""
    truths: list[Truth] = []
    for folder, split in (("train_set", "training"), ("val_set", "validation")):
        for code, label in enumerate(EXPRESSIONS):
            number = 10 * len(truths) + code
            name = f"{folder}/images/{number}.jpg"
            save_face(root / name, label, number, 224)
            notes = root / folder / "annotations"
            notes.mkdir(parents=True, exist_ok=True)
            np.save(notes / f"{number}_exp.npy", np.array(str(code) if code % 2 else code))
            np.save(notes / f"{number}_val.npy", np.array("0.5"))
            truths.append(Truth(name, label, split))
    return truths


def write_affectnet_plus(root: Path) -> list[Truth]:
    """AffectNet+: crops, and JSON with human and soft labels, subset and meta-data."""
    truths: list[Truth] = []
    for folder, split in (("train_set", "training"), ("validation_set", "validation")):
        for code, label in enumerate(EXPRESSIONS):
            name = f"human_annotated/{folder}/images/{code:04d}.jpg"
            save_face(root / name, label, len(truths), 64)
            note = {
                "human-label": code,
                "soft-label": [1.0 if other == code else 0.0 for other in range(8)],
                "subset": ("easy", "challenging")[code % 2],
                "meta-data": {"age": 30 + code, "gender": "female", "race": "white", "pose": {"yaw": 1.5}},
            }
            path = root / "human_annotated" / folder / "annotations" / f"{code:04d}.json"
            write_text(path, [json.dumps(note)])
            truths.append(Truth(name, label, split))
    return truths


def write_expw(root: Path) -> list[Truth]:
    """ExpW: a list of faces in pictures; one picture holds two."""
    truths: list[Truth] = []
    lines: list[str] = []
    x, y = CORNER
    for code, label in enumerate(FER2013):
        name = f"scene_{code}.png"
        save_scene(root / "image" / "origin" / name, label, code)
        for face in range(2 if code == 3 else 1):
            lines.append(f"{name} {face} {y} {x} {x + SIDE - face} {y + SIDE} 57.6 {code}")
            truths.append(Truth(f"{name}#{face}", label, sequence=name))
    write_text(root / "label" / "label.lst", lines)
    return truths


# Folders, films, videos and votes -------------------------------------------------------------------------------------


def write_mmafedb(root: Path) -> list[Truth]:
    """MMAFEDB: ``{train,valid,test}/<class>``."""
    folders = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    truths: list[Truth] = []
    for split in ("train", "valid", "test"):
        for folder, label in zip(folders, labels, strict=True):
            name = f"{split}/{folder}/{len(truths)}MMA-FACIAL.jpg"
            save_face(root / name, label, len(truths))
            truths.append(Truth(name, label, split))
    return truths


def write_sfew(root: Path) -> list[Truth]:
    """SFEW 2.0: aligned faces of two films a part."""
    folders = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    truths: list[Truth] = []
    for part in ("Train", "Val"):
        for folder, label in zip(folders, labels, strict=True):
            film = f"Some_Film_{part}{len(truths) % 2}"
            take = f"{film}_{len(truths):09d}"
            name = f"{part}/{part}_Aligned_Faces/{folder}/{take}_00000008.png"
            save_face(root / name, label, len(truths))
            truths.append(Truth(name, label, part.lower(), film, take))
    return truths


def write_affwild2(root: Path, *, labels: str = "") -> list[Truth]:
    """Aff-Wild2: three videos, one with two people; a frame to be ignored and one without a face in each."""
    order = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
    truths: list[Truth] = []
    for part, split, video in (
        ("Train_Set", "train", "12-24-1920x1080"),
        ("Train_Set", "train", "video5_left"),
        ("Validation_Set", "validation", "video5_right"),
    ):
        codes = [0, -1, *range(1, 8), 3]
        header = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
        write_text(root / labels / part / f"{video}.txt", [header, *map(str, codes)])
        for number, code in enumerate(codes[:-1], start=1):
            name = f"{video}/{number:05d}.jpg"
            save_face(root / "cropped_aligned" / name, EXPRESSIONS[code % 8], len(truths))
            if code >= 0:
                subject = video.removesuffix("_left").removesuffix("_right")
                truths.append(Truth(name, order[code], split, subject, video))
    return truths


def write_affwild2_nested(root: Path) -> list[Truth]:
    """The same with the labels in a folder of the challenge."""
    return write_affwild2(root, labels="EXPR_Classification_Challenge")


FERPLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
FERPLUS_HEADER = f"Usage,Image name,{','.join(FERPLUS)},unknown,NF"


def write_ferplus(root: Path) -> list[Truth]:
    """FER+ beside FER2013; the truths are those of the majority.

    In every part the first five faces have a majority; the sixth has a tie and the seventh most votes for no face.
    """
    truths: list[Truth] = []
    lines = [FERPLUS_HEADER]
    for truth in write_pixels(root / "fer2013.csv", FER2013):
        number = int(truth.id)
        votes = [0] * 10
        first, second = number % 8, (number + 3) % 8
        if number % 7 < 5:
            votes[first], votes[second], votes[8] = 6, 1, 3
            truths.append(Truth(truth.id, FERPLUS[first], truth.split))
        elif number % 7 == 5:
            votes[first], votes[second] = 5, 5
        else:
            votes[first], votes[9] = 4, 6
        part = next(part for part in PARTS if part.lower() == truth.split)
        name = "" if votes[9] else f"fer{number:07d}.png"
        lines.append(f"{part},{name},{','.join(map(str, votes))}")
    write_text(root / "fer2013new.csv", lines)
    return truths
