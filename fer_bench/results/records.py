"""What a cell is: the records of data set, protocol, backbone and strategy that decide its result, and their hash.

Each record of a cell's folder is published as a JSON Schema in ``docs/schemas``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from fer_bench.numerics import NUMERICS
from fer_bench.plugins import CORE
from fer_bench.results.canonical import CANONICAL, Count, Images, Json, Record, Seed, to_json
from fer_bench.specs import MOST_FOLDS

SCHEMA = 2
"""Version of the files in a cell's folder; since 2, the record holds the version of the core's numerics."""
MOST_CLASSES = 10_000
PARTS = ("dataset", "protocol", "backbone", "strategy")
"""The fields of a cell that are records, each shared by many cells."""
Board = tuple[str, int, str, str, int]
"""Data set, limit (0 without), labels, protocol, folds."""


@dataclass(frozen=True, kw_only=True)
class ComponentRecord(Record):
    """A data set, backbone or strategy: who brought it, and with what parameters.

    Attributes:
        text: as the user typed it.
        name: of the component; ``package`` and ``version`` of the distribution that brought it.
        params: every parameter.
        files: parameter -> sha256 of the file or of the code that it names; of files that a backbone's plugin finds by
            itself, their name -> sha256.
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
        fingerprint: hash of label names and of what is known of each image, in no order.
        classes: names, in the order of the probabilities.
        labels: how native labels became classes.
        limit: of the class-balanced subset, or None.
        n: images.
        samples_sha256: hash of their ids and of all that is known of them, in order.
        synthetic: whether a program drew the images.
        faces: how faces were found and cut out; None for whole images.
        trained_with: other data sets that train too, or, under ``cross``, that train in its place.
        key: of the hashes that stand for ids, subjects and groups in the predictions; empty where these have their
            names. See `fer_bench.results.keyed`.
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
    key: str = ""


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
        pairs_of: of a jackknife: the protocol of which its folds test two each, as in ``kfold x 5``; else empty.
    """

    name: str
    text: str
    ignores: tuple[str, ...]
    folds: Annotated[StrictInt, Field(ge=1, le=MOST_FOLDS)]
    splits_sha256: str = ""
    package: str = CORE
    version: str = ""
    params: Json = field(default_factory=Json, hash=False)
    files: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    code_sha256: str = ""
    data_sha256: str = ""
    pairs_of: str = ""


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
    jax: Json = field(default_factory=Json, hash=False)

    @property
    def random(self) -> bool:
        """Whether its weights are random: so says the parameter ``weights``, and it reads no file."""
        return self.params.get("weights") == "random" and not self.files


@dataclass(frozen=True, kw_only=True)
class StrategyRecord(ComponentRecord):
    """A strategy.

    Attributes:
        plan_sha256: of the plan that it makes; empty in schema 1.
        code_sha256: of the syntax of the estimators' code, ``data_sha256`` of the files that the code names; empty
            without any. In schema 1, of the strategy's own code.
        engine_sha256: of the core's code; in schema 1 only.
        search: the space of its settings, how many trials and inner folds; None where nothing is searched. Then
            ``params`` are those that all trials have, and the plan is those at the corners of the space.
    """

    plan_sha256: str = ""
    code_sha256: str = ""
    data_sha256: str = ""
    engine_sha256: str = ""
    search: Json | None = field(default=None, hash=False)


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
        return hash_texts({**_texts_of(self, *PARTS), "numerics": CANONICAL.encode(self.numerics)})

    @property
    def deal(self) -> tuple[Experiment, str]:
        """What a row and the models of its jackknife have in common, and no other row."""
        own = self.protocol
        protocol = replace(own, text="", folds=1, pairs_of="")
        return replace(self, protocol=protocol), own.pairs_of or f"{own.text} x {own.folds}"

    @property
    def texts(self) -> dict[str, str]:
        """Each part as the user typed it, by name."""
        return {name: getattr(self, name).text for name in PARTS}

    @property
    def task_id(self) -> str:
        """The sha256 of data set and protocol."""
        return hash_texts(_texts_of(self, "dataset", "protocol"))

    @property
    def trained_on(self) -> str:
        """Where other data sets train too, or instead of the tested one: what trains; else nothing."""
        others = [other.text for other in self.dataset.trained_with]
        own = [self.dataset.text] if others and self.protocol.name != "cross" else []
        return " + ".join(own + others)

    @property
    def board(self) -> Board:
        """What is the same for all rows that may be compared."""
        dataset, protocol = self.dataset, self.protocol
        return dataset.text, dataset.limit or 0, dataset.labels.set, protocol.text, protocol.folds

    @property
    def question(self) -> str:
        """How the row is called: rows of two runs with one name ask the same, also with other code and versions."""
        dataset, protocol = self.dataset, self.protocol
        labels = f" as {dataset.labels.set}" if dataset.labels.set != "native" else ""
        labels += f" (limit {dataset.limit})" if dataset.limit else ""
        others = "".join(f" + {other.text}" for other in dataset.trained_with)
        ignores = f", ignores={'+'.join(protocol.ignores)}" if protocol.ignores else ""
        without = ", two folds left out" if protocol.pairs_of else ""
        share = [f"[{part}]" for part in protocol.text.rstrip("]").replace("[", ",").split(",") if part[:6] == "train="]
        folds = f"{protocol.name}{''.join(share)} x {protocol.folds}{ignores}{without}"
        return f"{dataset.text}{labels}{others} / {folds} / {self.backbone.text} / {self.strategy.text}"


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
        numbers = {"fold": self.fold, "seed": self.seed, "schema": self.schema}
        if self.split_seed is not None:
            numbers["split_seed"] = self.split_seed
        texts = {name: str(number) for name, number in numbers.items()}
        return hash_texts(
            {**_texts_of(self, *PARTS), **texts, "numerics": "null" if self.numerics is None else str(self.numerics)}
        )

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


def _texts_of(record: Cell | Experiment, *names: str) -> dict[str, str]:
    """Return some parts of a record as canonical JSON."""
    return {name: getattr(record, name).canonical for name in names}


def hash_texts(texts: Mapping[str, str]) -> str:
    """Return the sha256 of a record from its fields in canonical JSON; their names need no escapes."""
    whole = ",".join([f'"{name}":{texts[name]}' for name in sorted(texts)])
    return hashlib.sha256(f"{{{whole}}}".encode()).hexdigest()


def name_training(training: tuple[int, int]) -> str:
    """Return what a training of a row is called, from the seed of its folds and its own."""
    dealt_by, seed = training
    return f"seed {seed}" if dealt_by == seed else f"split seed {dealt_by}, seed {seed}"
