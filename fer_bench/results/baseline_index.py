"""What the index of a baseline holds: ``baseline.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StrictInt

from fer_bench.results.canonical import Record
from fer_bench.results.records import Experiment

BASELINE_SCHEMA = 2
"""Version of ``baseline.json``; since 2, the seed of the folds may be another one than that of the training, and the
oldest rows are kept."""


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
    """``baseline.json``.

    Attributes:
        rows: that are compared.
        oldest: of these, those that were frozen first with other predictions, from which drift is measured.
    """

    rows: tuple[BaselineRow, ...]
    oldest: tuple[BaselineRow, ...] = ()
    schema: StrictInt = BASELINE_SCHEMA
