"""Data sets whose expressions were posed in a laboratory: JAFFE, KDEF, CK+ and Oulu-CASIA."""

from __future__ import annotations

from pathlib import Path

from fer_bench.testing.layouts.drawing import FER2013, Truth, save_face, write_pixels, write_text

# JAFFE and KDEF -------------------------------------------------------------------------------------------------------

JAFFE = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
KDEF = {"AF": "fear", **{code: label for code, label in JAFFE.items() if code != "FE"}}


def write_jaffe(root: Path) -> list[Truth]:
    """JAFFE: one folder of pictures named after subject and expression."""
    truths: list[Truth] = []
    for subject in ("KA", "YM"):
        for code, label in JAFFE.items():
            name = f"{subject}.{code}{1 + len(truths) % 3}.{len(truths) + 1}.tiff"
            save_face(root / name, label, len(truths), 256)
            truths.append(Truth(name, label, subject=subject))
    write_text(root / "README.txt", ["a text that comes with the pictures"])
    return truths


def write_kdef(root: Path, *, flat: bool = False) -> list[Truth]:
    """KDEF: two sessions of two people, frontal and half left; the truths are the frontal ones."""
    truths: list[Truth] = []
    for number, person in enumerate(("AF01", "BF01", "AM07", "BM07")):
        for code, label in KDEF.items():
            for angle in ("S", "HL"):
                name = f"{'' if flat else person + '/'}{person}{code}{angle}.JPG"
                save_face(root / name, label, number + 4 * (angle == "S"), 56, 76)
                if angle == "S":
                    truths.append(Truth(f"{person}{code}{angle}.JPG", label, subject=person[1:]))
    return truths


def write_kdef_flat(root: Path) -> list[Truth]:
    """KDEF with all pictures in one folder."""
    return write_kdef(root, flat=True)


# CK+ ------------------------------------------------------------------------------------------------------------------

CKPLUS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


def write_ckplus_raw(root: Path) -> list[Truth]:
    """CK+: seven sequences with a label and two without, of five frames each.

    The truths are the last three frames of the labelled ones, and their first as neutral.
    """
    truths: list[Truth] = []
    for number, label in enumerate((*CKPLUS[1:], "anger", "fear")):
        subject, take = f"S{10 + number % 4 if number < 7 else 10:03d}", f"{number + 1:03d}"
        for frame in range(1, 6):
            name = f"{subject}/{take}/{subject}_{take}_{frame:08d}.png"
            expression = label if frame > 2 else "neutral"
            save_face(root / "cohn-kanade-images" / name, expression, 9 * number + frame, 64)
            if number < 7 and frame != 2:
                truths.append(Truth(name, expression, subject=subject, sequence=f"{subject}_{take}"))
        folder = root / "Emotion" / subject / take
        if number < 7:
            code = f"   {CKPLUS.index(label)}.0000000e+00"
            write_text(folder / f"{subject}_{take}_00000005_emotion.txt", [code])
        elif number == 7:
            folder.mkdir(parents=True)
    return truths


def write_ckplus_48(root: Path) -> list[Truth]:
    """CK+48: seven folders, no neutral."""
    truths: list[Truth] = []
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    for number, (folder, label) in enumerate(zip(folders, CKPLUS[1:], strict=True)):
        subject = f"S{10 + number % 4:03d}"
        for frame in (15, 16, 17):
            name = f"{subject}_{number + 1:03d}_{frame:08d}.png"
            save_face(root / folder / name, label, 3 * number + frame)
            truths.append(Truth(name, label, subject=subject, sequence=f"{subject}_{number + 1:03d}"))
    return truths


def write_ckplus_csv(root: Path) -> list[Truth]:
    """CK+ as ``ckextended.csv``; FER2013's order and contempt, nobody is named."""
    truths = write_pixels(root / "ckextended.csv", (*FER2013, "contempt"))
    return [Truth(truth.id, truth.label) for truth in truths]


# Oulu-CASIA -----------------------------------------------------------------------------------------------------------


def write_oulu_casia(root: Path) -> list[Truth]:
    """Oulu-CASIA: two people, five frames a sequence, in two conditions.

    The truths are the last three frames, and the first as neutral, in strong visible light.
    """
    truths: list[Truth] = []
    folders = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
    for condition in ("NI/Dark", "VL/Strong"):
        for person in ("P001", "P002"):
            for number, folder in enumerate(folders):
                label = folder.lower()
                for frame in range(5):
                    name = f"{condition}/{person}/{folder}/{frame:03d}.jpeg"
                    expression = label if frame > 1 else "neutral"
                    save_face(root / name, expression, 10 * number + frame + 100 * (person == "P002"))
                    if condition == "VL/Strong" and frame != 1:
                        truths.append(Truth(name, expression, "", person, f"{person}_{label}"))
    return truths
