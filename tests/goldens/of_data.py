"""Goldens of what is read: pictures, label names, a prepared data set."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from goldens.materials import drawn, picture, view, wave, write_pictures
from goldens.record import golden, rounded, summary
from PIL import Image

from fer_bench.data.images import decode, encode_png
from fer_bench.data.prepare import prepare
from fer_bench.labels import LABEL_SETS, map_labels
from fer_bench.tasks.soft_labels import map_soft_labels, one_hot
from fer_bench.tasks.view import select

_ORIENTATION = 0x0112


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@golden()
def decoding(folder: Path) -> dict[str, Any]:
    """Each kind of pixels that files hold; lossless, so that every decoder gives the same."""
    colour, grey = Image.fromarray(picture(1, 3, 4)), Image.fromarray(picture(2, 3, 4, 1)[..., 0])
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    deep = Image.fromarray(picture(3, 3, 4, 1)[..., 0].astype(np.uint16) * 257 + 200)
    files = {
        "grey": _file(grey, "PNG"),
        "colour": _file(colour, "BMP"),
        "palette": _file(colour.quantize(8), "PNG"),
        "two frames": _file(grey, "TIFF", save_all=True, append_images=[grey.transpose(Image.Transpose.ROTATE_180)]),
        "transparent": _file(clear, "PNG"),
        "16 bits": _file(deep, "PNG"),
        "ink": _file(colour.convert("CMYK"), "TIFF"),
        "bits": _file(grey.convert("1", dither=Image.Dither.NONE), "PNG"),
        "own": encode_png(picture(4, 3, 4)),
    }
    return {name: [*decode(file).shape, *decode(file).ravel().tolist()] for name, file in files.items()}


@golden()
def orientation(folder: Path) -> dict[str, Any]:
    """Each way in which EXIF data turn a picture."""
    image, found = Image.fromarray(picture(5, 2, 3, 1)[..., 0]), {}
    for turned in range(1, 9):
        exif = Image.Exif()
        exif[_ORIENTATION] = turned
        array = decode(_file(image, "PNG", exif=exif))
        found[f"orientation {turned}"] = [*array.shape, *array.ravel().tolist()]
    return found


@golden()
def label_maps(folder: Path) -> dict[str, Any]:
    """What names mean, with and without a declaration."""
    names = [" Happy ", "calm", "af", "fe", "di", "contempt", "bored", "sur", "su", "an", "ne", "sa"]
    declared = {"bored": "neutral", "sa": "", "an": "disgust"}
    maps = {f"{name}, {len(known)} declared": map_labels(names, name, known) for name in LABEL_SETS
            for known in ({}, declared)}  # fmt: skip
    return {**{name: list(found.values()) for name, found in maps.items()}, "basic-8": list(LABEL_SETS["basic-8"])}


@golden(1e-6)
def soft_labels(folder: Path) -> dict[str, Any]:
    """Votes over native labels become shares of classes."""
    votes = np.array([[0.5, 0.25, 0.25, 0], [0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4]], np.float32)
    mapped = map_soft_labels(votes, np.array([1, 0, 1, -1]), np.array([1, 0, 2]), 3)
    return {"mapped": rounded(mapped), "one-hot": one_hot(np.array([2, 0]), 3).ravel().astype(int).tolist()}


@golden(1e-6)
def views(folder: Path) -> dict[str, Any]:
    """Which samples a view takes, in which order, under which labels."""
    names = ("joy", "bored", "sad", "an", "fear", "su", "di", "happy", "calm")
    labels = [(7 * i) % 9 for i in range(36)]
    soft = (np.eye(9)[labels] + wave(36, 9) ** 2) / (1 + (wave(36, 9) ** 2).sum(1, keepdims=True))
    splits = ["train"] * 10 + ["test"] * 26
    cases: dict[str, Any] = {
        "native": {},
        "limited": {"limit": 18},
        "split": {"split": "test"},
        "mapped": {"label_set": "basic-6", "expressions": {"bored": "disgust"}},
    }
    found: dict[str, Any] = {}
    for text, options in cases.items():
        chosen = view(labels, splits=splits, soft=soft, classes=names, **options)
        found[f"{text}, rows"] = chosen.rows.tolist()
        found[f"{text}, labels"] = chosen.labels.tolist()
        found[f"{text}, soft"] = summary(chosen.soft_labels)
        found[f"{text}, pixels"] = [int(image.sum()) for image in chosen.images(np.array([2, 0, 1]))]
    return found


@golden(1e-6)
def prepared(folder: Path) -> dict[str, Any]:
    """A data set from the files of a folder to its rows: what is written, and what is read again."""
    write_pictures(folder / "manual" / "drawn")
    dataset = drawn()
    data = prepare(dataset, folder)
    chosen = select(dataset, data, None)
    soft = data.soft_labels(chosen.rows)
    names = ("id", "split", "subject", "sequence", "sha256", "content", "group:tone", "height", "width", "channels")
    return {
        "fingerprint": data.fingerprint,
        "labels": chosen.labels.tolist(),
        **{name: [str(value)[:8] for value in chosen.column(name).tolist()] for name in names},
        "soft": summary(soft),
        "pixels": [[*image.shape, int(image.sum()), int(image[1, 2, 0])] for image in chosen.images(chosen.rows[::-1])],
    }
