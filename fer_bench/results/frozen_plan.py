"""A plan that is frozen before its rows run: questions, rows, folds, metric and margin, in one file with its digest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictFloat, StrictInt

from fer_bench import atomic, foreign_files
from fer_bench.errors import FerBenchError
from fer_bench.results.canonical import Record, Seed, digest, from_json, to_json
from fer_bench.results.records import Experiment

MOST_BYTES = 64_000_000
Question = tuple[str, str]
"""Ids of two rows of one board that are to be compared."""


@dataclass(frozen=True, kw_only=True)
class PlannedTrainings(Record):
    """A row that is planned.

    Attributes:
        name: of the row.
        common: what its cells have in common, but for ``numerics``, whose default changes with the core.
        numerics: version of the core's numerics.
        trainings: seed of the folds and seed of each training.
        splits: seed of the folds -> hash of the folds.
    """

    name: str
    common: Experiment
    numerics: StrictInt | None
    trainings: tuple[tuple[Seed, Seed], ...]
    splits: dict[str, str] = field(hash=False)

    @property
    def experiment(self) -> Experiment:
        """What its cells have in common."""
        return replace(self.common, numerics=self.numerics)


@dataclass(frozen=True, kw_only=True)
class FrozenPlan(Record):
    """What is asked, before anything that answers it is known.

    Attributes:
        frozen: when, in UTC as ISO 8601.
        metric: name of the metric that the questions are about.
        margin: the smallest difference that matters, in the metric's unit.
        rows: id of a row -> the row.
        questions: pairs of these ids.
        earlier: what was stored of rows with these names, by other code or from other data.
        digest: the sha256 of all the rest as canonical JSON; empty before it is written.
    """

    schema: Literal[1]
    frozen: str
    metric: str
    margin: Annotated[StrictFloat, Field(gt=0)]
    rows: dict[str, PlannedTrainings] = field(hash=False)
    questions: tuple[Question, ...]
    earlier: tuple[str, ...] = ()
    digest: str = ""


def write_plan(plan: FrozenPlan, file: Path) -> str:
    """Write a plan into a file that does not exist yet, and return its digest.

    Raises:
        FerBenchError: the file exists.
    """
    if file.exists():
        raise FerBenchError(
            f"--freeze {str(file)!r}: the file exists, and a frozen plan is not changed. Name another file."
        )
    stated = replace(plan, digest=digest(_undigested(plan)))
    atomic.write_file(file, to_text(stated), "the plan")
    return stated.digest


def to_text(plan: FrozenPlan) -> str:
    """Return what the file of a plan with its digest holds."""
    return f"{json.dumps({'digest': plan.digest, **_undigested(plan)}, indent=1, ensure_ascii=False)}\n"


def _undigested(plan: FrozenPlan) -> dict[str, Any]:
    return to_json(replace(plan, digest=""))


def read_plan(file: Path) -> FrozenPlan:
    """Return the plan in a file.

    Raises:
        FerBenchError: there is none, or it was changed after it was frozen.
    """
    try:
        record: Any = json.loads(foreign_files.read(file, MOST_BYTES))
        stated = record["digest"]
        content = {name: value for name, value in record.items() if name != "digest"}
        actual = digest(content)
        plan = from_json(FrozenPlan, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FerBenchError(
            f"{str(file)!r} is no plan: {error}. Expected a file that 'fer-bench plan --freeze' wrote."
        ) from None
    if actual != stated:
        raise FerBenchError(
            f"The plan {str(file)!r} was changed after it was frozen: its digest is {actual[:12]}, and it was frozen "
            f"with {str(stated)[:12]}. Take the file as 'plan --freeze' wrote it."
        )
    return replace(plan, digest=actual)
