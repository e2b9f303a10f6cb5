"""A trained model as one safetensors file: the numbers that are not the backbone's own, and what they belong to.

The header holds a `ModelRecord` as JSON; the arrays are those of `fer_bench.learning.material.Learned`. Nothing is
unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fer_bench import atomic
from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError
from fer_bench.results import canonical
from fer_bench.results.canonical import AtLeastOne, Count, Images, Record, Seed, Share
from fer_bench.results.outcomes import Calibration
from fer_bench.results.records import Experiment
from fer_bench.sizes import number_of

SCHEMA = 1
KEY = "fer_bench_model"
"""Of the record in the header of the file."""
LARGEST_HEADER = 1 << 24
"""Bytes; of a file that claims more nothing is read."""


@dataclass(frozen=True, kw_only=True)
class ModelScore(Record):
    """How well the method did on people that it was not trained on.

    Attributes:
        metric: its name; higher is better.
        value: 0 to 1; ``low`` and ``high`` are the ends of its 95 % interval, where one can be told.
        images: that were tested.
        units: subjects or other groups among them; ``unit`` is what these are.
        how: the protocol in words, as in ``5 folds of group-kfold``.
    """

    metric: str
    value: Share
    low: Share | None = None
    high: Share | None = None
    images: Images
    units: Images
    unit: str
    how: str


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """What a model is and where it comes from.

    Attributes:
        schema: of this record.
        version: of fer-bench that wrote it.
        experiment: data set, protocol, backbone and strategy, as the cells of the method record them.
        seed: of the training.
        fold: that the model was not trained on; None for a model of ``fer-bench fit``, which trains on all of them.
        cell: id of the cell whose model it is; empty for one of ``fer-bench fit``.
        counts: training images of each class.
        stages: sha256 of the arrays of each stage of the backbone that the numbers of the file are laid over.
        start: position of the first stage that predicts from what the stages before it give, rounded to half precision
            where that holds it; None where the features are that.
        shape: height and width of the training images in pixels, after faces are cut out; None where they differ.
        channels: of the training images.
        score: of the method, or of the fold; None where nothing was tested.
        calibration: of the probabilities; None where they are as the model gives them.
    """

    schema: Literal[1] = SCHEMA
    version: str
    experiment: Experiment
    seed: Seed
    fold: Count | None = None
    cell: str = ""
    counts: Annotated[tuple[Count, ...], Field(min_length=2)]
    stages: tuple[str, ...]
    start: Count | None = None
    shape: tuple[AtLeastOne, AtLeastOne] | None = None
    channels: Literal[1, 3]
    score: ModelScore | None = None
    calibration: Calibration | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.experiment.dataset.classes

    @property
    def title(self) -> str:
        """Strategy and backbone, as the user typed them."""
        return f"{self.experiment.strategy.text} on {self.experiment.backbone.text}"

    @property
    def trained_on(self) -> str:
        """How many images of which data sets."""
        experiment = self.experiment
        part = "all" if self.fold is None else f"all but fold {self.fold}"
        part = "the training split" if experiment.protocol.name == "official" else part
        return f"{number_of(sum(self.counts), 'image')} of {experiment.trained_on or experiment.dataset.text} ({part})"

    def describe(self) -> str:
        """Return in one line what the model is, what it was trained on, and how well the method did on other people."""
        text = f"{self.title}, trained on {self.trained_on}"
        if (score := self.score) is None:
            return f"{text}; not tested: the folder of results had no cell of this method."
        interval = (
            "" if score.low is None or score.high is None else f" ({100 * score.low:.1f} to {100 * score.high:.1f})"
        )
        units = number_of(score.units, score.unit)
        return f"{text}; {score.metric} {100 * score.value:.1f}{interval} on {units} in {score.how}."


def write(file: Path, record: ModelRecord, table: Mapping[str, Array]) -> None:
    """Write a model, whole or not at all.

    Args:
        file: where to.
        record: what it is.
        table: from `fer_bench.learning.material.Learned`.

    Raises:
        FerBenchError: it cannot be written.
    """
    atomic.write_file(file, pack(record, table), f"the model {file.name!r}")


def pack(record: ModelRecord, table: Mapping[str, Array]) -> bytes:
    """Return the content of a file that `read` reads."""
    header = {KEY: json.dumps({"schema": SCHEMA, **canonical.to_json(record)}, sort_keys=True)}
    return save({name: np.ascontiguousarray(values) for name, values in table.items()}, header)


def read(file: Path) -> tuple[ModelRecord, dict[str, Array]]:
    """Return what `write` was given.

    Raises:
        FerBenchError: the file is not there, or is no model that this fer-bench can read.
    """
    if not file.is_file():
        raise FerBenchError(
            f"There is no model {str(file)!r}; 'fer-bench fit' writes one, and 'run --keep' one a cell."
        )
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
        if length > LARGEST_HEADER:
            raise ValueError(f"its header claims {length:,} bytes")
        with safe_open(file, "numpy") as opened:
            text = (opened.metadata() or {}).get(KEY)
            if text is None:
                raise ValueError("its header says nothing of a model of fer-bench")
            record = canonical.read(ModelRecord, text)
            return record, {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise FerBenchError(
            f"{str(file)!r} is no model of fer-bench, or of another version: {reason}. 'fer-bench fit' writes one."
        ) from None
