"""What is stored of a cell and of a baseline, as dataclasses: the one place where records are read and written.

Each is published as a JSON Schema in ``docs/schemas``. A field with a default is written only where it differs, so that
a new one changes no id.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    ValidationError,
)

from fer_bench.numerics import NUMERICS
from fer_bench.plugins import CORE
from fer_bench.specs import MOST_FOLDS

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
SCHEMA = 2
"""Version of the files in a cell's folder; since 2, the record holds the version of the core's numerics."""
PROVENANCE_SCHEMA = 2
"""Version of ``provenance.json``."""
BASELINE_SCHEMA = 2
"""Version of ``baseline.json``; since 2, the seed of the folds may be another one than that of the training."""
MOST_CLASSES = 10_000

Count = Annotated[StrictInt, Field(ge=0, lt=2**63)]
AtLeastOne = Annotated[StrictInt, Field(ge=1)]
AtLeastTwo = Annotated[StrictInt, Field(ge=2)]
Images = Annotated[StrictInt, Field(ge=0, lt=2**31)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
Amount = Annotated[StrictFloat, Field(ge=0)]
Share = Annotated[StrictFloat, Field(ge=0, le=1)]
Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Unknown fields are refused, since the id of a cell is a hash of all that it says."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class ComponentRecord(Record):
    """A data set, backbone or strategy: who brought it, and with what parameters.

    Attributes:
        text: as the user typed it.
        name: of the component; ``package`` and ``version`` of the distribution that brought it.
        params: every parameter.
        files: parameter -> sha256 of the file that it names.
    """

    text: str
    name: str
    package: str
    version: str
    params: Json = field(hash=False)
    files: dict[str, str] = field(default_factory=dict[str, str], hash=False)


@dataclass(frozen=True, kw_only=True)
class LabelsRecord(Record):
    """A label set, and what each native label becomes in it; None where it has no place."""

    set: str
    map: dict[str, str | None] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(ComponentRecord):
    """What was tested, by content and not by location.

    Attributes:
        fingerprint: hash of label names, rows and encoded images.
        classes: names, in the order of the probabilities.
        labels: how native labels became classes.
        limit: of the class-balanced subset, or None.
        n: images.
        samples_sha256: hash of their ids.
        synthetic: whether a program drew the images.
        faces: how faces were found and cut out; None for whole images.
        trained_with: other data sets that train too, or, under ``cross``, that train in its place.
    """

    fingerprint: str
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=MOST_CLASSES)]
    labels: LabelsRecord
    limit: Images | None
    n: Images
    samples_sha256: str
    synthetic: StrictBool
    faces: Json | None = field(default=None, hash=False)
    trained_with: tuple[DatasetRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProtocolRecord(Record):
    """How samples were dealt to folds.

    Attributes:
        name: of the protocol; ``text`` has what else decides its folds.
        ignores: what is known to belong together but may stand in training and test: subject, sequence, copy.
        folds: K.
        splits_sha256: which sample is where; empty in an `Experiment`.
        package: the distribution that brought it, and its ``version``; fer-bench itself has no version here.
        params: every parameter of a plugin's protocol, ``files`` as in a `ComponentRecord`.
        code_sha256: of the syntax of a plugin's code, ``data_sha256`` of the files that the code names.
    """

    name: str
    text: str
    ignores: tuple[str, ...]
    folds: Annotated[StrictInt, Field(ge=1, le=MOST_FOLDS)]
    splits_sha256: str = ""
    package: str = CORE
    version: str = ""
    params: Json = field(default_factory=dict[str, Any], hash=False)
    files: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    code_sha256: str = ""
    data_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class BackboneRecord(ComponentRecord):
    """A backbone.

    Attributes:
        code_sha256: of the syntax of its code, ``data_sha256`` of the files that the code names; empty without any.
        weights_sha256: of its weights; None where they are random.
        precision: of the products.
        stages: names, in order.
        image_input: what the first stage expects; None in schema 1.
        jax: settings of jax that change numbers and are not as usual.
    """

    weights_sha256: str | None
    precision: Literal["float32", "bfloat16"]
    code_sha256: str = ""
    data_sha256: str = ""
    stages: tuple[str, ...] = ()
    image_input: Json | None = field(default=None, hash=False)
    jax: Json = field(default_factory=dict[str, Any], hash=False)


@dataclass(frozen=True, kw_only=True)
class StrategyRecord(ComponentRecord):
    """A strategy.

    Attributes:
        plan_sha256: of the plan that it makes; empty in schema 1.
        code_sha256: of the syntax of the estimators' code, ``data_sha256`` of the files that the code names; empty
            without any. In schema 1, of the strategy's own code.
        engine_sha256: of the core's code; in schema 1 only.
    """

    plan_sha256: str = ""
    code_sha256: str = ""
    data_sha256: str = ""
    engine_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Experiment(Record):
    """What all cells of a row have in common: data set x protocol x backbone x strategy, without splits.

    Attributes:
        numerics: version of the core's numerics; None in records from before it had one.
    """

    dataset: DatasetRecord
    protocol: ProtocolRecord
    backbone: BackboneRecord
    strategy: StrategyRecord
    numerics: StrictInt | None = NUMERICS

    @cached_property
    def id(self) -> str:
        """The sha256 of the canonical JSON."""
        return digest({**to_json(self), "numerics": self.numerics})

    @property
    def task_id(self) -> str:
        """The sha256 of data set and protocol."""
        return digest({"dataset": to_json(self.dataset), "protocol": to_json(self.protocol)})

    @property
    def trained_on(self) -> str:
        """Where other data sets train too, or in place of the tested one: what trains; else nothing."""
        others = [other.text for other in self.dataset.trained_with]
        own = [self.dataset.text] if others and self.protocol.name != "cross" else []
        return " + ".join(own + others)

    @property
    def question(self) -> str:
        """How the row is called: rows of two runs with one name ask the same, whatever their code and versions."""
        dataset, protocol = self.dataset, self.protocol
        limit = f" (limit {dataset.limit})" if dataset.limit else ""
        labels = f" as {dataset.labels.set}" if dataset.labels.set != "native" else ""
        others = "".join(f" + {other.text}" for other in dataset.trained_with)
        ignores = f", ignores={'+'.join(protocol.ignores)}" if protocol.ignores else ""
        folds = f"{protocol.name} x {protocol.folds}{ignores}"
        return f"{dataset.text}{labels}{limit}{others} / {folds} / {self.backbone.text} / {self.strategy.text}"


@dataclass(frozen=True, kw_only=True)
class Cell(Record):
    """A cell: one fold and seed of an experiment. Its id is the hash of all that decides its result.

    Attributes:
        fold: 0 to K - 1.
        seed: of the training, and of the folds where ``split_seed`` is None.
        schema: version of the record.
        split_seed: of the folds, where it is another one.
    """

    dataset: DatasetRecord
    protocol: ProtocolRecord
    backbone: BackboneRecord
    strategy: StrategyRecord
    fold: Count
    seed: Seed
    numerics: StrictInt | None = NUMERICS
    schema: StrictInt = SCHEMA
    split_seed: Seed | None = None

    @property
    def dealt_by(self) -> int:
        """The seed of the folds."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def training(self) -> tuple[int, int]:
        """Seed of the folds and seed of the training: all folds of the two are one training of a method."""
        return self.dealt_by, self.seed

    @property
    def place(self) -> tuple[int, ...]:
        """Seed and fold, and the seed of the folds where it is another one: what tells the cells of a row apart."""
        return (self.seed, self.fold) if self.split_seed is None else (self.seed, self.fold, self.split_seed)

    def record(self) -> Json:
        """Return the cell as it is stored in ``cell.json``."""
        numerics = {} if self.numerics is None else {"numerics": self.numerics}
        return {"schema": self.schema, **numerics, **to_json(self)}

    @cached_property
    def id(self) -> str:
        """The sha256 of the record's canonical JSON."""
        return digest(self.record())

    @property
    def experiment(self) -> Experiment:
        """The cell without fold, seed and the splits that the seed drew."""
        return Experiment(
            dataset=self.dataset,
            protocol=replace(self.protocol, splits_sha256=""),
            backbone=self.backbone,
            strategy=self.strategy,
            numerics=self.numerics,
        )

    def __str__(self) -> str:
        method = f"{self.dataset.text} / {self.backbone.text} / {self.strategy.text}"
        return f"{method} / {self.protocol.name} / {name_training(self.training)} / fold {self.fold}"


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
    jax: Json = field(default_factory=dict[str, Any])
    xla_flags: str = ""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    device: Json = field(default_factory=dict[str, Any])
    platform: str = ""
    cpu: Json = field(default_factory=dict[str, Any])
    memory_bytes: Count | None = None
    seeds: dict[str, Seed] = field(default_factory=dict[str, int])
    config: Json | None = None
    together: tuple[tuple[Seed, Count] | tuple[Seed, Count, Seed], ...] = ()
    executor: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin(Record):
    """Where a row of a baseline comes from: cells, Python, and the commit of each package."""

    cells: tuple[str, ...]
    python: str
    commits: dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class BaselineRow(Experiment):
    """A row of a baseline: an experiment, its name, the file of its predictions, the hash of the folds of each seed."""

    name: str
    file: Annotated[str, Field(pattern=r"^rows/[\w.-]+\.csv$")]
    sha256: str
    splits: dict[str, str]
    origin: Annotated[Origin, Field(alias="from")]
    numerics: StrictInt | None = None

    @property
    def splits_by_seed(self) -> dict[int, str]:
        """Seed of the folds -> hash of its splits."""
        return {int(seed): digest for seed, digest in self.splits.items()}


@dataclass(frozen=True, kw_only=True)
class BaselineIndex(Record):
    """``baseline.json``."""

    rows: tuple[BaselineRow, ...]
    schema: StrictInt = BASELINE_SCHEMA


FILES = {"cell": Cell, "result": ResultRecord, "provenance": Provenance, "baseline": BaselineIndex}
"""What is published: the name of each schema and its record."""


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: Any) -> Json:
    """Return a record as plain JSON."""
    return _adapter(record.__class__).dump_python(record, mode="json", exclude_defaults=True, by_alias=True)


def from_json(kind: type[T], value: object) -> T:
    """Return plain JSON as a record.

    Raises:
        ValueError: it is none; says each field that is wrong.
    """
    return _checked(lambda: _adapter(kind).validate_python(value))


def read(kind: type[T], content: str | bytes) -> T:
    """Return the record that a file holds.

    Raises:
        ValueError: it is none; says each field that is wrong.
    """
    return _checked(lambda: _adapter(kind).validate_json(content))


def json_schema(kind: type[Any]) -> Json:
    """Return the JSON Schema (2020-12) of a record."""
    schema = _adapter(kind).json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_cell(content: bytes) -> tuple[str, Cell]:
    """Return the id and the record that a ``cell.json`` holds.

    Cells have most of their parts in common: each distinct one is checked once and held once.

    Raises:
        ValueError: it is not the record of a cell, or of a newer schema.
    """
    try:
        value = json.loads(content)
        texts = {name: CANONICAL.encode(value[name]) for name in sorted(value)}
    except (RecursionError, TypeError) as error:
        raise ValueError(f"not the record of a cell ({error})") from None
    kinds, schema = _cell_parts(), value.get("schema")
    wanted = kinds.keys() - {"split_seed"}
    if isinstance(schema, int) and schema > SCHEMA:
        raise ValueError(f"written by a newer fer-bench (schema {schema}, this one reads up to {SCHEMA})")
    if schema == 1:
        texts["numerics"] = "null"
    if not wanted <= texts.keys() <= kinds.keys():
        other = sorted((texts.keys() - kinds.keys()) | (wanted - texts.keys()))
        raise ValueError(f"not the record of a cell: {', '.join(other)} missing or unknown")
    cell = Cell(**{name: _part(name, text) for name, text in texts.items()})
    if cell.fold >= cell.protocol.folds:
        raise ValueError(f"fold {cell.fold} of {cell.protocol.folds}; the first is 0")
    if schema == 1:
        del texts["numerics"]
    whole = ",".join(f"{CANONICAL.encode(name)}:{text}" for name, text in texts.items())
    return hashlib.sha256(f"{{{whole}}}".encode()).hexdigest(), cell


@functools.cache
def _cell_parts() -> dict[str, Any]:
    return get_type_hints(Cell, include_extras=True)


@functools.lru_cache(maxsize=4096)
def _part(name: str, text: str) -> Any:
    """Return a field of a cell from its canonical JSON."""
    try:
        return read(_cell_parts()[name], text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def digest(record: Json) -> str:
    """Return the sha256 of ``record`` as canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(CANONICAL.encode(record).encode()).hexdigest()


def name_training(training: tuple[int, int]) -> str:
    """Return what a training of a row is called, from the seed of its folds and its own."""
    dealt_by, seed = training
    return f"seed {seed}" if dealt_by == seed else f"split seed {dealt_by}, seed {seed}"


def _checked(work: Any) -> Any:
    try:
        return work()
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip() for fault in error.errors()[:5]]
        raise ValueError("; ".join(faults)) from None
