"""Pictures that a user names: files, folders, tables of paths, standard input; and the faces in them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fer_bench import foreign_files
from fer_bench.arrays import Array
from fer_bench.data.images import ImageError, decode
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.faces import align
from fer_bench.faces.detector import Detector
from fer_bench.faces.parameters import Crop
from fer_bench.models.model import TrainedModel

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"))
"""Of the files of a folder that are taken for pictures."""
COLUMNS = ("image", "file", "path", "filename")
"""Headings of the column of a table that names pictures; the first that is there counts."""
BATCH = 64
"""Pictures that are in memory together."""
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
        error: why the picture could not be read; else empty.
    """

    picture: str
    face: int = 0
    box: Array | None = None
    probabilities: Array | None = None
    error: str = ""


def find_pictures(words: Sequence[str], read_input: Callable[[], bytes]) -> list[tuple[str, bytes | None]]:
    """Return the pictures that words name, with their content where that is known already.

    Args:
        words: each a picture, a folder (its pictures at any depth, sorted), a ``.csv`` file with a column `COLUMNS`
            of paths, which begin at its folder, or ``-`` for standard input: a picture, or a path a line.
        read_input: returns what stands on standard input.

    Raises:
        FerBenchError: something is not there, a table names no pictures, or nothing is a picture.
    """
    pictures: list[tuple[str, bytes | None]] = []
    faults: list[str] = []
    for word in words:
        path = Path(word)
        if word == "-":
            pictures += _from_input(read_input())
        elif path.is_dir():
            files = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()]
            pictures += [(str(file), None) for file in sorted(files)]
            faults += [] if files else [f"folder {word!r} has no picture ({', '.join(sorted(SUFFIXES))})"]
        elif not path.is_file():
            faults.append(f"{word!r} is not there" if not path.exists() else f"{word!r} is no regular file")
        elif path.suffix.lower() == ".csv":
            try:
                pictures += [(name, None) for name in _from_table(path)]
            except (OSError, ValueError, csv.Error) as error:
                faults.append(f"{word!r}: {error}")
        else:
            pictures.append((word, None))
    if faults:
        raise FerBenchError(f"Not all pictures can be found:\n{bullet_list(faults, SHOWN)}")
    if not pictures:
        raise FerBenchError("No picture was named.")
    return pictures


def predict(
    model: TrainedModel,
    pictures: Iterable[tuple[str, bytes | None]],
    crop: Crop | None,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[Prediction]:
    """Yield what a model says of each face of each picture, in their order.

    Memory does not grow with the number of pictures. The next pictures are read while the model works.

    Args:
        model: the model.
        pictures: from `find_pictures`.
        crop: how faces are looked for and cut out; None takes whole pictures.
        advance: called with the number of pictures done since the last call.
    """
    detector = None if crop is None else Detector(crop.detection)
    with ThreadPoolExecutor(1) as reader:
        rest = iter(pictures)
        pending = reader.submit(_read, list(itertools.islice(rest, BATCH)))
        while batch := pending.result():
            pending = reader.submit(_read, list(itertools.islice(rest, BATCH)))
            yield from _predict(model, batch, crop, detector)
            advance(len(batch))


def _predict(
    model: TrainedModel, batch: Sequence[tuple[str, Array | str]], crop: Crop | None, detector: Detector | None
) -> list[Prediction]:
    images = [image for _, image in batch if not isinstance(image, str)]
    faces_by_picture = iter(detector.find_all(images)) if detector is not None else None
    answers: list[Prediction] = []
    faces: list[Array] = []
    for name, image in batch:
        if isinstance(image, str):
            answers.append(Prediction(name, error=image))
        elif faces_by_picture is None or crop is None:
            answers.append(Prediction(name))
            faces.append(image)
        else:
            in_picture = sorted(next(faces_by_picture), key=lambda face: face.box[0])
            answers += [Prediction(name, number, face.box) for number, face in enumerate(in_picture)]
            faces += [align.cut(image, face.box, face.landmarks, crop) for face in in_picture]
            answers += [] if in_picture else [Prediction(name, error="no face was found")]
    said = iter(model.predict(faces))
    return [
        answer if answer.error else Prediction(answer.picture, answer.face, answer.box, next(said))
        for answer in answers
    ]


def _read(names: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, Array | str]]:
    """Return each picture decoded, or why it cannot be."""
    images: list[tuple[str, Array | str]] = []
    for name, content in names:
        try:
            images.append((name, decode(foreign_files.read(Path(name), LARGEST) if content is None else content)))
        except (ImageError, OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            images.append((name, reason))
    return images


def _from_input(content: bytes) -> list[tuple[str, bytes | None]]:
    try:
        decode(content)
        return [("-", content)]
    except ImageError:
        pass
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise FerBenchError("Standard input is neither a picture nor a list of paths, one a line.") from None
    return [(line, None) for line in lines if line.strip()]


def _from_table(file: Path) -> list[str]:
    text = foreign_files.read(file, LARGEST).decode("utf-8-sig")
    rows = csv.DictReader(io.StringIO(text), strict=True)
    names = rows.fieldnames or []
    column = next((name for name in COLUMNS if name in names), None)
    if column is None:
        raise ValueError(f"has the columns {', '.join(names) or 'none'}; expected one of {', '.join(COLUMNS)}")
    return [str(file.parent / row[column]) for row in rows if row[column]]
