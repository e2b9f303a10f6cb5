"""How the rows of a leaderboard do by group, against soft labels, and of how much of the data they speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_bench.evaluation.calibration import soft_accuracy, soft_kl
from fer_bench.evaluation.groups import find_worst_group, measure_gap, pick_alike, score_groups
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.leaderboard import Row
from fer_bench.reports.table import Cell, Column, Field, Shown

FEWEST = 10
"""Predictions that a group must have: what fewer say is mostly noise."""

COVERAGE = Column("coverage %", "number")


def record(row: Row) -> dict[str, Any]:
    """Return ``coverage``, ``groups`` and ``soft`` of all predictions of a row, pooled.

    ``coverage`` is the share of the data set's images that were tested, None if its size is not known. ``groups`` has
    for each column of groups the UAR (0 to 1) of the ``worst`` of those with ``FEWEST`` predictions or more, with its
    ``n`` predictions, the largest ``gap`` between two and how many were ``compared``: those that hold the classes that
    most of them hold, on these classes (`pick_alike`). A column with fewer than two such groups is left out. ``soft``
    has ``accuracy`` (share of annotators who agree) and ``kl`` (nats), or is None.
    """
    pooled = row.pooled
    if pooled is None:
        return {"coverage": None, "groups": {}, "soft": None}
    size = row.experiment.dataset.n
    groups = {}
    for name, (names, codes) in pooled.groups.items():
        known = np.flatnonzero(codes >= 0)
        large = known[np.bincount(codes[known], minlength=len(names))[codes[known]] >= FEWEST]
        alike, compared = pick_alike(pooled.labels[large], codes[large]) if len(large) else (large, 0)
        if compared:
            rows = large[alike]
            values = score_groups(STANDARD["uar"], pooled.labels[rows], pooled.probabilities[rows], codes[rows])
            code, worst = find_worst_group(STANDARD["uar"], values)
            n, gap = int((codes[rows] == code).sum()), measure_gap(values)
            groups[name] = {"worst": names[code], "uar": worst, "n": n, "gap": gap, "compared": compared}
    soft = None
    if pooled.soft is not None:
        scores = (function(pooled.soft, pooled.probabilities) for function in (soft_accuracy, soft_kl))
        soft = dict(zip(("accuracy", "kl"), scores, strict=True))
    return {"coverage": row.n / size if size else None, "groups": groups, "soft": soft}


def group_fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of groups: the worst group of each, and the largest gap."""
    records = {id(row): record(row) for row in board}
    fields: list[Field[Row]] = []
    for name in sorted({name for known in records.values() for name in known["groups"]}):

        def worst(row: Row, name: str = name) -> Cell:
            group = records[id(row)]["groups"].get(name)
            return (
                Shown(f"{100 * group['uar']:.1f} ({group['worst']}, n {group['n']:,})", group["uar"]) if group else None
            )

        def gap(row: Row, name: str = name) -> Cell:
            group = records[id(row)]["groups"].get(name)
            return _percent(group["gap"] if group else None)

        fields.append((Column(f"worst {name}, UAR %", "number", "higher"), worst))
        fields.append((Column(f"{name} gap", "number", "lower"), gap))
    return [*fields, (COVERAGE, lambda row: _percent(records[id(row)]["coverage"]))]


def soft_fields(board: Sequence[Row]) -> list[Field[Row]]:
    """Return the columns of agreement with annotators' votes."""
    records = {id(row): record(row) for row in board}

    def kl(row: Row) -> Cell:
        soft = records[id(row)]["soft"]
        return Shown(f"{soft['kl']:.3f}", soft["kl"]) if soft else None

    def accuracy(row: Row) -> Cell:
        soft = records[id(row)]["soft"]
        return _percent(soft["accuracy"] if soft else None)

    return [
        (Column("soft accuracy %", "number", "higher"), accuracy),
        (Column("KL (nats)", "number", "lower"), kl),
        (COVERAGE, lambda row: _percent(records[id(row)]["coverage"])),
    ]


def _percent(share: float | None) -> Cell:
    return None if share is None else Shown(f"{100 * share:.1f}", share)
