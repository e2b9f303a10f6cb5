"""How the rows of a leaderboard do by group, against soft labels, and of how much of the data they speak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.calibration import soft_accuracy, soft_kl
from fer_bench.evaluation.groups import find_worst_group, measure_gap, pick_alike, score_groups
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import notes
from fer_bench.reports.row import Row
from fer_bench.reports.table import Column, Field, number, percent, show
from fer_bench.results.canonical import AtLeastTwo, Count, Record, Share
from fer_bench.results.predictions import Predictions

SOFT = "soft"
"""Under which the agreement with votes is remembered."""
FEWEST = 10
"""Predictions that a group must have: what fewer say is mostly noise."""


@dataclass(frozen=True, kw_only=True)
class GroupRecord(Record):
    """How a row does by a column of groups, on those that `compare_groups` compares.

    Attributes:
        worst: the group with the lowest UAR.
        uar: of the worst group.
        n: predictions of the worst group.
        gap: largest difference of UAR between two groups.
        compared: groups that were compared.
    """

    worst: str
    uar: Share
    n: Count
    gap: Share
    compared: AtLeastTwo


@dataclass(frozen=True, kw_only=True)
class SoftRecord(Record):
    """How a row agrees with annotators' votes.

    Attributes:
        accuracy: share of annotators who agree.
        kl: divergence in nats.
    """

    accuracy: Share
    kl: float


def measure_coverage(row: Row) -> float | None:
    """Return the share of the data set's images that were tested; None if its size or nothing of it is known."""
    size = row.experiment.dataset.n
    return row.n / size if size and row.pooled is not None else None


def compare_groups(row: Row) -> dict[str, GroupRecord]:
    """Return for each column of groups what all predictions of a row, pooled, say of its groups.

    Compared are the groups of ``FEWEST`` predictions or more that hold the classes that most of them hold, on these
    classes (`pick_alike`). A column with fewer than two such groups is left out.
    """
    pooled = row.pooled
    if pooled is None:
        return {}
    return notes.recorded(pooled, "groups", dict[str, GroupRecord], _compare_groups)


def _compare_groups(pooled: Predictions) -> dict[str, GroupRecord]:
    records: dict[str, GroupRecord] = {}
    for name, (names, codes) in pooled.groups.items():
        rows, compared = find_alike(pooled, name)
        if compared:
            values: dict[int, float] = score_groups(
                STANDARD["uar"], pooled.labels[rows], pooled.probabilities[rows], codes[rows]
            )
            code, worst = find_worst_group(STANDARD["uar"], values)
            n, gap = int((codes[rows] == code).sum()), measure_gap(values)
            records[name] = GroupRecord(worst=names[code], uar=worst, n=n, gap=gap, compared=compared)
    return records


def find_alike(pooled: Predictions, attribute: str) -> tuple[Array, int]:
    """Return the predictions whose groups of an attribute are compared, (k,) int, and how many groups these are."""
    names, codes = pooled.groups[attribute]
    rows = np.flatnonzero(codes >= 0)
    large = rows[np.bincount(codes[rows], minlength=len(names))[codes[rows]] >= FEWEST]
    alike, compared = pick_alike(pooled.labels[large], codes[large]) if len(large) else (large, 0)
    return large[alike], compared


def score_soft(row: Row) -> SoftRecord | None:
    """Return how all predictions of a row, pooled, agree with soft labels; None where there are none."""
    pooled = row.pooled
    if pooled is None:
        return None
    return notes.recorded(pooled, SOFT, SoftRecord | None, _score_soft)


def _score_soft(pooled: Predictions) -> SoftRecord | None:
    soft, probabilities = pooled.soft, pooled.probabilities
    if soft is None:
        return None
    return SoftRecord(accuracy=soft_accuracy(soft, probabilities), kl=soft_kl(soft, probabilities))


def soft_fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of agreement with annotators' votes."""
    records = {id(row): score_soft(row) for row in board}
    return [
        (Column("soft accuracy %", "number", "higher"), show(records, lambda soft: percent(soft.accuracy))),
        (Column("KL (nats)", "number", "lower"), show(records, lambda soft: number(soft.kl, ".3f"))),
        COVERAGE,
    ]


COVERAGE: Field[Row] = (Column("coverage %", "number"), lambda row: percent(measure_coverage(row)))
