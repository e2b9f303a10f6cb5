"""How sure a row's score is, and which rows cannot be told apart: from the pooled predictions of all folds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer_bench.evaluation.intervals import Interval, bootstrap_interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.ranking import (
    adjust_pairs,
    compare_pairs,
    compare_resampled,
    find_rank_intervals,
    find_tiers,
    measure_best,
    name_tiers,
)
from fer_bench.evaluation.resampling import resample_metric

Array = np.ndarray[Any, Any]

ALPHA = 0.05
RESAMPLES = 1000
"""Of a board, for the probability of being best."""


def pool(tables: Sequence[pd.DataFrame], seeds: Sequence[int]) -> pd.DataFrame:
    """Return the predictions of a row's cells as one table, sorted by seed and sample, so that rows line up.

    Args:
        tables: predictions of each cell.
        seeds: of each cell.
    """
    pooled = pd.concat([table.assign(seed=seed) for table, seed in zip(tables, seeds, strict=True)])
    return pooled.sort_values(["seed", "id"], kind="stable", ignore_index=True)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a row stands on its board.

    Attributes:
        tier: letters; rows that share one cannot be told apart.
        ranks: best and worst rank that the row may have, from 1, all of a board together with 95 %.
        best: share of resamples in which the row is best, 0 to 1.
    """

    tier: str
    ranks: tuple[int, int]
    best: float


def interval(metric: Metric, pooled: pd.DataFrame) -> Interval | None:
    """Return the 95 % bootstrap interval of a pooled metric over subjects, or images where no subject is known.

    None if there is but one of them.
    """
    true, probabilities, units = arrays(pooled)
    if count_units(units, pooled) < 2:
        return None
    return bootstrap_interval(metric, true, probabilities, units, level=1 - ALPHA)


def rank(metric: Metric, board: Sequence[pd.DataFrame | None]) -> list[Standing | None]:
    """Return where each row of a board stands.

    Tests between all pairs, over subjects, or images where no subject is known: paired permutation tests for accuracy
    and UAR, ``compare_resampled`` for other metrics; Holm's correction over all pairs of the board, at 5 %. Only rows
    that tested the same images with the same labels and seeds are paired; what differs from most (a row with missing
    cells) has no standing.

    Args:
        metric: by which.
        board: the pooled predictions of each row; None for a row without any.
    """
    keys = [None if table is None else _key(table) for table in board]
    counts = Counter(key for key in keys if key is not None)
    standings: list[Standing | None] = [None] * len(board)
    if not counts:
        return standings
    common = max(counts, key=lambda key: (counts[key], key))
    members = [index for index, key in enumerate(keys) if key == common]
    parts = [arrays(table) for index in members if (table := board[index]) is not None]
    true, _, units = parts[0]
    if count_units(units, true) < 2:
        return standings
    methods, up = [probabilities for _, probabilities, _ in parts], metric.higher_is_better
    scores = np.array([metric.compute(true, probabilities) for probabilities in methods])
    values = resample_metric(metric, true, methods, units, resamples=RESAMPLES)
    if metric.name in ("accuracy", "uar"):
        predicted = [probabilities.argmax(axis=1) for probabilities in methods]
        name: Literal["accuracy", "uar"] = "accuracy" if metric.name == "accuracy" else "uar"
        p_values = compare_pairs(true, predicted, units, metric=name)
    else:
        p_values = compare_resampled(scores, values, count_units(units, true))
    adjusted = adjust_pairs(p_values)
    tiers = find_tiers(scores, adjusted, higher_is_better=up, alpha=ALPHA)
    for index, letters, ranks, best in zip(
        members,
        name_tiers(tiers, len(members)),
        find_rank_intervals(scores, adjusted, higher_is_better=up, alpha=ALPHA),
        measure_best(values, higher_is_better=up).tolist(),
        strict=True,
    ):
        standings[index] = Standing(tier=letters, ranks=ranks, best=best)
    return standings


def arrays(pooled: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """Return true labels (n,), probabilities (n, c) and what is resampled: subject or, if unknown, sample id.

    None stands for the rows themselves, where each image was tested once.
    """
    probabilities = pooled.filter(regex=r"^p\d+$").to_numpy(np.float64)
    groups = pooled["group"].astype(str)
    units = groups.where(groups != "", pooled["id"].astype(str))
    return pooled["label"].to_numpy(), probabilities, None if units.is_unique else units.to_numpy(str)


def count_units(units: Array | None, rows: Sized) -> int:
    """Return how many units there are, where None stands for the rows themselves."""
    return len(rows) if units is None else len(np.unique(units))


def _key(pooled: pd.DataFrame) -> str:
    """Return a hash of what was tested: seeds, sample ids and labels."""
    digest = hashlib.sha256("\0".join(pooled["id"].astype(str)).encode())
    for column in ("seed", "label"):
        digest.update(pooled[column].to_numpy("<i8").tobytes())
    return digest.hexdigest()
