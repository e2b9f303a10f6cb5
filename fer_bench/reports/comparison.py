"""How sure a row's score is, and which rows cannot be told apart: from the pooled predictions of all folds."""

from __future__ import annotations

import hashlib
import re
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
from fer_bench.results.store import StoredCell, read_predictions

Array = np.ndarray[Any, Any]

ALPHA = 0.05
PROBABILITY = re.compile(r"p\d+")
"""Columns of predictions that hold the probability of a class."""
RESAMPLES = 1000
"""Of a board, for the probability of being best."""


def pool(cells: Sequence[StoredCell]) -> pd.DataFrame:
    """Return the predictions of a row's cells as one table, sorted by seed and sample, so that rows line up.

    Returns:
        Columns ``id`` and ``group`` (categories), ``label``, ``p0`` … (float32), ``seed``, and ``cell``, the place of a
        row's cell among ``cells``. A name is held once, since a row of the leaderboard may hold millions of samples.
    """
    table = read_predictions(cells)
    names = [name for name in table.column_names if PROBABILITY.fullmatch(name)]
    pooled = pd.DataFrame({name: pd.Categorical(table[name].to_pandas()) for name in ("id", "group")})
    for name in ("label", *names, "cell"):
        column = table[name].to_numpy()
        pooled[name] = column.astype(np.float32) if name in names else column
    pooled["seed"] = np.array([cell.record["seed"] for cell in cells], dtype=np.int64)[table["cell"].to_numpy()]
    order = np.lexsort((pooled["id"].cat.codes, pooled["seed"]))
    return pooled.iloc[order].reset_index(drop=True)


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
    """Return true labels (n,), probabilities (n, c) and codes of what is resampled: subject or, if unknown, sample.

    None stands for the rows themselves, where each image was tested once.
    """
    probabilities = np.stack([pooled[name] for name in pooled if PROBABILITY.fullmatch(str(name))], axis=1)
    groups, ids = pooled["group"].astype("category"), pooled["id"].astype("category")
    alone = ids.cat.codes.to_numpy(np.int64) + len(groups.cat.categories)
    units = np.where(groups == "", alone, groups.cat.codes)
    labels = pooled["label"].to_numpy()
    return labels, probabilities.astype(np.float64), None if len(np.unique(units)) == len(units) else units


def count_units(units: Array | None, rows: Sized) -> int:
    """Return how many units there are, where None stands for the rows themselves."""
    return len(rows) if units is None else len(np.unique(units))


def _key(pooled: pd.DataFrame) -> str:
    """Return a hash of what was tested: seeds, sample ids and labels."""
    digest = hashlib.sha256("\0".join(pooled["id"].cat.categories).encode())
    for column in (pooled["id"].cat.codes, pooled["seed"], pooled["label"]):
        digest.update(column.to_numpy("<i8").tobytes())
    return digest.hexdigest()
