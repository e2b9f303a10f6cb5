"""Pictures that a user names: files, folders, tables of paths, standard input; and the faces in them."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_bench import foreign_files
from fer_bench.arrays import Array
from fer_bench.data.images import SUFFIXES, ImageError, decode, is_picture
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.faces import align
from fer_bench.faces.detector import Detector
from fer_bench.faces.parameters import Crop
from fer_bench.models.model import TrainedModel
from fer_bench.networks.ahead import read_ahead
from fer_bench.specs.strategies import Aggregate, Views

COLUMNS = ("image", "file", "path", "filename")
"""Headings of the column of a table that names pictures; the first that is there counts."""
SEQUENCE = "sequence"
"""Heading of the column of a table that names sequences."""
BATCH = 32
"""Pictures that are read together; those of four batches are in memory."""
LARGEST = 1 << 28
SHOWN = 10


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a face.

    Attributes:
        picture: the file as the user named it, or ``-``.
        face: its number in the picture, from 0 at the left; 0 where the whole picture is taken.
        box: (4,) x0, y0, x1, y1 in pixels of the picture; None where the whole picture is taken, or no face was found.
        probabilities: (c,) float32; None where no face was found.
        error: why the picture gave no answer; else empty.
        sequence: that the picture is of.
    """

    picture: str
    face: int = 0
    box: Array | None = None
    probabilities: Array | None = None
    error: str = ""
    sequence: str = ""


class Picture(NamedTuple):
    """A picture that a user named.

    Attributes:
        name: its file, or ``-``.
        content: its bytes where they are known already.
        sequence: that it is of, as its table says, else its folder.
    """

    name: str
    content: bytes | None
    sequence: str


def find_pictures(words: Sequence[str], read_input: Callable[[], bytes]) -> list[Picture]:
    """Return the pictures that words name.

    Args:
        words: each a picture, a folder (its pictures at any depth, sorted), a ``.csv`` file with a column `COLUMNS`
            of paths, which begin at its folder, and perhaps a column ``sequence``, or ``-`` for standard input: a
            picture, or a path a line.
        read_input: returns what stands on standard input.

    Raises:
        FerBenchError: something is not there, a table names no pictures, or nothing is a picture.
    """
    pictures: list[Picture] = []
    faults: list[str] = []
    for word in words:
        path = Path(word)
        if word == "-":
            pictures += _from_input(read_input())
        elif path.is_dir():
            files = [file for file in path.rglob("*") if is_picture(file.name) and file.is_file()]
            pictures += [_in_folder(str(file)) for file in sorted(files)]
            faults += [] if files else [f"folder {word!r} has no picture ({', '.join(SUFFIXES)})"]
        elif not path.is_file():
            faults.append(f"{word!r} is not there" if not path.exists() else f"{word!r} is no regular file")
        elif path.suffix.lower() == ".csv":
            try:
                pictures += _from_table(path)
            except (OSError, ValueError, csv.Error) as error:
                faults.append(f"{word!r}: {error}")
        else:
            pictures.append(_in_folder(word))
    if faults:
        raise FerBenchError(f"Not all pictures can be found:\n{bullet_list(faults, SHOWN)}")
    if not pictures:
        raise FerBenchError("No picture was named.")
    return pictures


def predict(
    model: TrainedModel,
    pictures: Iterable[Picture],
    crop: Crop | None,
    advance: Callable[[int], None] = lambda count: None,
    views: Views | None = None,
    aggregate: Aggregate = "none",
) -> Iterator[Prediction]:
    """Yield what a model says of each face of each picture, in their order.

    Memory does not grow with the number of pictures, unless sequences get one answer, which come at the end. The next
    pictures are read while the model works.

    Args:
        model: the model.
        pictures: from `find_pictures`.
        crop: how faces are looked for and cut out; None takes whole pictures.
        advance: called with the number of pictures done since the last call.
        views: as in `fer_bench.specs.StrategyParams`; None takes those of the model's method.
        aggregate: likewise, over pictures that show one face.
    """
    looked = _look(model, pictures, crop, advance, views)
    yield from _aggregate(model, list(looked), aggregate) if aggregate != "none" else _answer(model, looked)


def _look(
    model: TrainedModel,
    pictures: Iterable[Picture],
    crop: Crop | None,
    advance: Callable[[int], None],
    views: Views | None,
) -> Iterator[Prediction]:
    """Yield predictions before calibration."""
    detector = None if crop is None else Detector(crop.detection)
    remaining = iter(pictures)
    batches = iter(lambda: list(itertools.islice(remaining, BATCH)), [])
    for batch in read_ahead(_read, batches):
        predictions, faces = _find_faces(batch, crop, detector)
        answers = iter(model.look(faces, views))
        yield from (each if each.error else replace(each, probabilities=next(answers)) for each in predictions)
        advance(len(batch))


def _answer(model: TrainedModel, looked: Iterable[Prediction]) -> Iterator[Prediction]:
    for each in looked:
        if each.probabilities is None:
            yield each
        else:
            yield replace(each, probabilities=model.answer(each.probabilities[None], "none", ())[0])


def _aggregate(model: TrainedModel, looked: Sequence[Prediction], aggregate: Aggregate) -> Iterator[Prediction]:
    """Yield the predictions with the answer of their sequence; a picture of several faces is an error."""
    faces = Counter(each.picture for each in looked)
    several = "shows {} faces, and the answer of a sequence needs pictures of one face"
    alone = [
        replace(each, probabilities=None, error=several.format(faces[each.picture]))
        if faces[each.picture] > 1
        else each
        for each in looked
        if each.face == 0
    ]
    probabilities = [each.probabilities for each in alone if each.probabilities is not None]
    if probabilities:
        sequences = [each.sequence for each in alone if each.probabilities is not None]
        answers = iter(model.answer(np.stack(probabilities), aggregate, sequences))
        alone = [each if each.probabilities is None else replace(each, probabilities=next(answers)) for each in alone]
    yield from alone


def _find_faces(
    batch: Sequence[tuple[Picture, Array | str]], crop: Crop | None, detector: Detector | None
) -> tuple[list[Prediction], list[Array]]:
    """Return predictions without probabilities, and the image of each that has no error."""
    images = [image for _, image in batch if not isinstance(image, str)]
    faces_by_picture = iter(detector.find_all(images)) if detector is not None else None
    predictions: list[Prediction] = []
    faces: list[Array] = []
    for picture, image in batch:
        empty = Prediction(picture.name, sequence=picture.sequence)
        if isinstance(image, str):
            predictions.append(replace(empty, error=image))
        elif faces_by_picture is None or crop is None:
            predictions.append(empty)
            faces.append(image)
        else:
            in_picture = sorted(next(faces_by_picture), key=lambda face: face.box[0])
            predictions += [replace(empty, face=number, box=face.box) for number, face in enumerate(in_picture)]
            faces += [align.cut(image, face.box, face.landmarks, crop) for face in in_picture]
            predictions += [] if in_picture else [replace(empty, error="no face was found")]
    return predictions, faces


def _read(pictures: Sequence[Picture]) -> list[tuple[Picture, Array | str]]:
    """Return each picture decoded, or why it cannot be."""
    images: list[tuple[Picture, Array | str]] = []
    for picture in pictures:
        name, content, _ = picture
        try:
            images.append((picture, decode(foreign_files.read(Path(name), LARGEST) if content is None else content)))
        except (ImageError, OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            images.append((picture, reason))
    return images


def _in_folder(name: str) -> Picture:
    return Picture(name, None, str(Path(name).parent))


def _from_input(content: bytes) -> list[Picture]:
    try:
        decode(content)
        return [Picture("-", content, "-")]
    except ImageError:
        pass
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise FerBenchError("Standard input is neither a picture nor a list of paths, one a line.") from None
    return [_in_folder(line) for line in lines if line.strip()]


def _from_table(file: Path) -> list[Picture]:
    text = foreign_files.read(file, LARGEST).decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text), strict=True)
    names = rows.fieldnames or []
    column = next((name for name in COLUMNS if name in names), None)
    if column is None:
        raise ValueError(f"has the columns {', '.join(names) or 'none'}; expected one of {', '.join(COLUMNS)}")
    pictures = [(_in_folder(str(file.parent / row[column])), row) for row in rows if row[column]]
    return [picture._replace(sequence=row.get(SEQUENCE, picture.sequence) or "") for picture, row in pictures]
