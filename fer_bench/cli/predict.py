"""``fer-bench predict``: what a trained model says of pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_bench import console
from fer_bench.cli.command import imports
from fer_bench.cli.output import print_tables
from fer_bench.cli.rows import FilesIn

if TYPE_CHECKING:
    from fer_bench.models.model import TrainedModel
    from fer_bench.models.pictures import Prediction

EXAMPLES = """\b
Examples:
  fer-bench predict model.safetensors picture.jpg
  fer-bench predict model.safetensors holiday/ --faces align --format csv > faces.csv
  find . -name '*.jpg' | fer-bench predict model.safetensors - --format json
"""

Views = Annotated[
    Literal["image", "mirror", "crops"] | None,
    typer.Option(
        help="Predict each face as it is, also its mirror image, or its middle and corners, and take the mean.",
        show_default="as the method was tested",
    ),
]
Aggregate = Annotated[
    Literal["none", "mean", "majority"],
    typer.Option(
        help="One answer for the pictures of a sequence, those of one folder or of one name in the column "
        "'sequence' of a CSV: by mean log-probability, or the shares of their answers."
    ),
]


def predict(
    model: Annotated[Path, typer.Argument(help="Written by 'fer-bench fit' or 'fer-bench run --keep'.")],
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Picture, folder, CSV with a column 'image', or - for standard input: a picture, or a path a line.",
        ),
    ],
    faces: Annotated[
        Literal["align", "box", "none"] | None,
        typer.Option(help="Cut faces out, or take whole pictures.", show_default="as in training"),
    ] = None,
    views: Views = None,
    aggregate: Aggregate = "none",
    files_in: FilesIn = None,
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="json is one line a face.")
    ] = "table",
) -> None:
    """Print the expression of each face, with the probability of each class. Exit code 2 if a picture cannot be read.

    Faces of several people in a picture are numbered from left to right; boxes are in pixels. CSV and JSON come while
    the model works, so that memory does not grow with the number of pictures, but for sequences with one answer.
    """
    with imports():
        from fer_bench.errors import FerBenchError, bullet_list
        from fer_bench.executors.progress import TerminalReporter
        from fer_bench.faces.parameters import Crop
        from fer_bench.models import pictures as reading
        from fer_bench.models.model import load_model

    found_pictures = reading.find_pictures(pictures, sys.stdin.buffer.read)
    loaded = load_model(model, files_in or ())
    own = faces is None or faces == (loaded.crop and loaded.crop.method)
    crop = loaded.crop if own else Crop(method=faces) if faces in ("align", "box") else None
    console.warn(f"fer-bench: {loaded.record.describe()}")
    _warn_of_calibration(loaded, views, aggregate)
    failed: list[str] = []

    def sound(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for prediction in predictions:
            if prediction.error:
                failed.append(f"{prediction.picture}: {prediction.error}")
            else:
                yield prediction

    # Lines of a form for programs stay whole on a terminal, where bars would break them.
    few = len(found_pictures) <= reading.BATCH or (form != "table" and sys.stdout.isatty())
    with TerminalReporter(quiet=few) as reporter:
        reporter.step(f"pictures through {model.name}", len(found_pictures))
        answers = sound(reading.predict(loaded, found_pictures, crop, reporter.advance, views, aggregate))
        rows = list(answers) if form == "table" else []
        for text in (_csv if form == "csv" else _json)(answers, loaded.classes) if form != "table" else ():
            console.write(text)
    if rows:
        _print_table(rows, loaded.classes)
    if failed:
        which = bullet_list(failed, 10)
        raise FerBenchError(f"{len(failed)} of {len(found_pictures)} pictures gave no answer:\n{which}")


def _warn_of_calibration(model: TrainedModel, views: str | None, aggregate: str) -> None:
    """Say so if a model is calibrated for other views or aggregates than it is to predict."""
    usual = model.asked
    if model.record.calibration and (views or usual.views, aggregate) != (usual.views, usual.aggregate):
        console.warn(
            f"fer-bench: the model was calibrated with --views {usual.views} and --aggregate {usual.aggregate}; with "
            "others its probabilities may be too high or too low."
        )


def _print_table(predictions: list[Prediction], classes: tuple[str, ...]) -> None:
    from fer_bench.reports.table import Table, numbers, texts

    boxes = any(prediction.box is not None for prediction in predictions)
    faces = numbers("face") if boxes else ()
    columns = (*texts("picture"), *faces, *texts("expression"), *numbers("%"), *texts("or"), *numbers("%"))
    rows: list[tuple[str, ...]] = []
    for prediction in predictions:
        assert prediction.probabilities is not None
        first, second = (-prediction.probabilities).argsort(kind="stable")[:2].tolist()
        chances = [f"{100 * prediction.probabilities[index]:.0f}" for index in (first, second)]
        face = (str(prediction.face),) if boxes else ()
        rows.append((prediction.picture, *face, classes[first], chances[0], classes[second], chances[1]))
    print_tables(Table("", columns, tuple(rows)))


def _json(predictions: Iterable[Prediction], classes: tuple[str, ...]) -> Iterator[str]:
    import json

    for prediction in predictions:
        expression, chances = _answer(prediction, classes)
        record = {
            "picture": prediction.picture,
            "face": prediction.face,
            "box": _box(prediction),
            "expression": expression,
            "probabilities": dict(zip(classes, chances, strict=True)),
        }
        yield json.dumps(record) + "\n"


def _csv(predictions: Iterable[Prediction], classes: tuple[str, ...]) -> Iterator[str]:
    from fer_bench.reports.formats import csv
    from fer_bench.reports.table import Table, numbers, texts

    columns = (*texts("picture"), *numbers("face", "x0", "y0", "x1", "y1"), *texts("expression"))
    columns = (*columns, *numbers(*(f"p_{name}" for name in classes)))
    yield csv.write(Table("", columns))
    for prediction in predictions:
        expression, chances = _answer(prediction, classes)
        box = _box(prediction) or [None] * 4
        row = (prediction.picture, prediction.face, *box, expression, *chances)
        yield csv.write(Table("", columns, (row,))).partition("\n")[2]  # without the heading


def _answer(prediction: Prediction, classes: tuple[str, ...]) -> tuple[str, list[float]]:
    """Return the most probable class and the probability of each."""
    assert prediction.probabilities is not None, "without an answer there is an error"
    return classes[int(prediction.probabilities.argmax())], [round(float(p), 6) for p in prediction.probabilities]


def _box(prediction: Prediction) -> list[float] | None:
    return None if prediction.box is None else [round(float(value), 1) for value in prediction.box]
