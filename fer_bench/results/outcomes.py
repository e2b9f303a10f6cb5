"""What is stored of how a cell ended and where it comes from: ``result.json`` and ``provenance.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from fer_bench.results.canonical import Amount, Count, Images, Json, Record, Seed, Share
from fer_bench.results.records import StrategyRecord

PROVENANCE_SCHEMA = 2
"""Version of ``provenance.json``."""


@dataclass(frozen=True, kw_only=True)
class Seconds(Record):
    """Of the features, whenever they were computed, and of the fit."""

    features: Amount
    fit: Amount


@dataclass(frozen=True, kw_only=True)
class PeakMemory(Record):
    """The most bytes that the process had held by the end of the cell; None where that is not known."""

    host: Count | None
    device: Count | None


@dataclass(frozen=True, kw_only=True)
class Cost(Record):
    """What a cell took: seconds by what they went to, memory, and operations of one image's forward pass."""

    seconds: dict[str, Amount]
    peak_memory_bytes: PeakMemory
    forward_flops: Amount | None


@dataclass(frozen=True, kw_only=True)
class FaceCounts(Record):
    """Share of the images in which a face was found, and how many of the tested ones."""

    coverage: Share
    tested: Images
    found: Images


@dataclass(frozen=True, kw_only=True)
class Calibration(Record):
    """How probabilities p were calibrated: to the softmax of ``log(p) / temperature + biases``.

    Attributes:
        temperature: above 1 where the model is too sure of itself.
        biases: one a class, in nats, with mean 0; none where only a temperature was fitted.
        images: of the training side that they were fitted on, and that trained nothing.
        bounded: whether the temperature or a bias reached its bound, so that it says little.
    """

    temperature: Annotated[StrictFloat, Field(gt=0)]
    biases: tuple[StrictFloat, ...] = ()
    images: Images
    bounded: StrictBool = False


@dataclass(frozen=True, kw_only=True)
class Searched(Record):
    """What a search in the training part of a cell chose; ``history.csv`` has the score of each trial.

    Attributes:
        settings: the searched parameters and their values.
        strategy: with these, as a cell without a search records it.
        metric: by which it was chosen; ``score`` is the highest of the trials on the inner folds.
        trials: that were tried; ``failed`` those that could not be trained.
    """

    settings: Json
    strategy: StrategyRecord
    metric: str
    score: StrictFloat
    trials: Count
    failed: Count = 0


@dataclass(frozen=True, kw_only=True)
class Measures(Record):
    """Numbers about the work of a cell.

    Attributes:
        parameters: of backbone and head; ``trained_parameters`` those that the strategy trained.
        converged: whether the stopping rule was met.
        train_counts: samples of each class in the training part.
        seconds: of features and fit.
        tested: samples that were tested; None in older cells.
        images_per_second: through the frozen stages when they ran, ``images_at_once`` in a batch.
        cost: what the cell took when it ran.
        faces: None where none were looked for.
        calibration: None where probabilities are as the model gives them.
        search: None where no settings were searched.
    """

    parameters: Count
    trained_parameters: Count
    converged: StrictBool
    train_counts: tuple[Images, ...]
    seconds: Seconds
    tested: Images | None = None
    images_per_second: Amount | None = None
    images_at_once: Count | None = None
    cost: Cost | None = None
    faces: FaceCounts | None = None
    calibration: Calibration | None = None
    search: Searched | None = None


@dataclass(frozen=True, kw_only=True)
class ResultRecord(Record):
    """How a cell ended: ``result.json``. A cell that failed says why and has no measures.

    Attributes:
        finished: when it was stored, in UTC as ISO 8601 with milliseconds; empty in cells of schema 1.
    """

    status: Literal["ok", "failed"]
    error: str
    measures: Annotated[Measures | None, BeforeValidator(lambda value: value or None)]  # {} in cells of schema 1
    finished: str = ""


@dataclass(frozen=True, kw_only=True)
class Source(Record):
    """A package: its commit and whether files were changed against it, or why neither is known."""

    version: str
    commit: str | None
    dirty: StrictBool | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a cell comes from: ``provenance.json``; see `fer_bench.results.provenance.collect`.

    Attributes:
        seeds: every seed that the result depends on.
        config: the settings that make the cell again; None in older cells.
        together: `Cell.place` of the cells that were trained at once with it, in their order.
        executor: what ran the grid, as the user typed it; empty in older cells.
    """

    __pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)

    schema: StrictInt = PROVENANCE_SCHEMA
    command: tuple[str, ...] = ()
    code: dict[str, Source] = field(default_factory=dict[str, Source])
    python: str = ""
    distributions: dict[str, str] = field(default_factory=dict[str, str])
    jax: Json = field(default_factory=Json)
    xla_flags: str = ""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    device: Json = field(default_factory=Json)
    platform: str = ""
    cpu: Json = field(default_factory=Json)
    memory_bytes: Count | None = None
    seeds: dict[str, Seed] = field(default_factory=dict[str, int])
    config: Json | None = None
    together: tuple[tuple[Seed, Count] | tuple[Seed, Count, Seed], ...] = ()
    executor: str = ""
