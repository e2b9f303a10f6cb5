"""The most confident errors of each class as small pictures, for the page that stays with who made it."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fer_bench.arrays import Array
from fer_bench.data.prepare import find_prepared
from fer_bench.data.prepared import Prepared
from fer_bench.data.texts import find_places, plain
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry
from fer_bench.reports.row import Row
from fer_bench.results.predictions import Predictions

SIDE = 64
"""Longest side of a picture, pixels."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """An image that was given a wrong class.

    Attributes:
        id: of the sample.
        named: the class that it was given, with its ``confidence``, the probability from 0 to 1.
        picture: as an address that holds it.
    """

    id: str
    named: str
    confidence: float
    picture: str


Gallery = list[tuple[str, list[Shot]]]
"""True class -> its errors, the most confident first."""


def draw(rows: Sequence[Row], most: int, registry: Registry, data_dir: Path) -> dict[str, Gallery]:
    """Return the gallery of each row that has errors, by its id.

    Args:
        rows: of the leaderboard; the majority class has none.
        most: pictures of a class.
        registry: of the installed plugins.
        data_dir: where the prepared data sets lie.

    Raises:
        FerBenchError: a data set is not prepared here as it was when the row was made; all of them are named.
        DataError: prepared data are damaged.
    """
    galleries: dict[str, Gallery] = {}
    prepared: dict[tuple[str, str], Prepared | None] = {}
    for row in rows:
        record = row.experiment.dataset
        if (key := (record.text, record.fingerprint)) not in prepared:
            prepared[key] = _find(*key, registry, data_dir)
    missing = sorted({text for (text, _), data in prepared.items() if data is None})
    if missing:
        raise FerBenchError(
            f"--gallery needs the images, and these data sets are not prepared in {str(data_dir)!r} as they were when "
            f"the rows were made: {', '.join(map(repr, missing))}. Name their folder with --data-dir, or run "
            "'fer-bench data prepare'."
        )
    for row in rows:
        data = prepared[row.experiment.dataset.text, row.experiment.dataset.fingerprint]
        if row.baseline or row.pooled is None or data is None:
            continue
        if gallery := _draw(row.pooled, row.class_names, most, data):
            galleries[row.id] = gallery
    return galleries


def find_errors(predictions: Predictions, most: int) -> dict[int, list[tuple[int, int, float]]]:
    """Return true class -> (sample, named class, confidence) of its most confident errors.

    A sample counts once, with the most confident of its errors; of equals the first.
    """
    probabilities: Array = predictions.probabilities
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    errors: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    seen: set[int] = set()
    for place in np.argsort(-confidence, kind="stable").tolist():
        sample, label = int(predictions.sample[place]), int(predictions.labels[place])
        if answers[place] != label and sample not in seen and len(errors[label]) < most:
            seen.add(sample)
            errors[label].append((sample, int(answers[place]), float(confidence[place])))
    return {label: errors[label] for label in sorted(errors) if errors[label]}


def _draw(predictions: Predictions, classes: Sequence[str], most: int, data: Prepared) -> Gallery:
    errors = find_errors(predictions, most)
    samples = [sample for several in errors.values() for sample, _, _ in several]
    places = find_places(predictions.ids.take(np.array(samples)), plain(data.column("id")))
    if (places < 0).any():
        raise FerBenchError(
            f"--gallery cannot find the images of {data.name!r}: what is prepared has other ids than the rows. "
            "Prepare it again from the files that the rows were made from."
        )
    pictures = dict(zip(samples, map(_shrink, data.images(places)), strict=True))
    return [
        (
            classes[label],
            [
                Shot(
                    id=predictions.ids[sample].as_py(),
                    named=classes[answer],
                    confidence=confidence,
                    picture=pictures[sample],
                )
                for sample, answer, confidence in several
            ],
        )
        for label, several in errors.items()
    ]


def _find(text: str, fingerprint: str, registry: Registry, data_dir: Path) -> Prepared | None:
    """Return a prepared data set with the content that was tested."""
    try:
        data = find_prepared(registry.dataset(text), data_dir)
    except FerBenchError:
        return None
    return data if data is not None and data.fingerprint == fingerprint else None


def _shrink(image: Array) -> str:
    """Return an image (h, w, 1 or 3) uint8 as a small JPEG in an address."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
