"""How sure a row's UAR is, and which rows of a board cannot be told apart: from the pooled predictions of all folds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import pandas as pd

from fer_bench.evaluation.intervals import Interval, bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.ranking import adjust_pairs, compare_pairs, find_tiers, name_tiers

Array = np.ndarray[Any, Any]

ALPHA = 0.05


def pool(tables: Sequence[pd.DataFrame], seeds: Sequence[int]) -> pd.DataFrame:
    """Return the predictions of a row's cells as one table, sorted by seed and sample, so that rows line up.

    Args:
        tables: predictions of each cell.
        seeds: of each cell.
    """
    pooled = pd.concat([table.assign(seed=seed) for table, seed in zip(tables, seeds, strict=True)])
    return pooled.sort_values(["seed", "id"], kind="stable", ignore_index=True)


def uar_interval(pooled: pd.DataFrame) -> Interval | None:
    """Return the 95 % bootstrap interval of the pooled UAR over subjects, or images where no subject is known.

    None if there is but one of them.
    """
    true, probabilities, units = _arrays(pooled)
    if _count(units, pooled) < 2:
        return None
    return bootstrap_interval(STANDARD["uar"], true, probabilities, units, level=1 - ALPHA)


def tiers(board: Sequence[pd.DataFrame | None]) -> list[str]:
    """Return the letters of each row: rows that share one cannot be told apart.

    Paired permutation tests of the UAR over subjects, or images where no subject is known; Holm's correction over all
    pairs of the board, at 5 %. Only rows that tested the same images with the same labels and seeds are paired; what
    differs from most (a row with missing cells) has no letter.

    Args:
        board: the pooled predictions of each row; None for a row without any.
    """
    keys = [None if table is None else _key(table) for table in board]
    counts = Counter(key for key in keys if key is not None)
    if not counts:
        return [""] * len(board)
    common = max(counts, key=lambda key: (counts[key], key))
    members = [index for index, key in enumerate(keys) if key == common]
    arrays = [_arrays(table) for index in members if (table := board[index]) is not None]
    true, _, units = arrays[0]
    letters = [""] * len(board)
    if _count(units, true) < 2:
        return letters
    predicted = [probabilities.argmax(axis=1) for _, probabilities, _ in arrays]
    scores = np.array([STANDARD["uar"].compute(true, probabilities) for _, probabilities, _ in arrays])
    p_values = adjust_pairs(compare_pairs(true, predicted, units, metric="uar"))
    for index, name in zip(members, name_tiers(find_tiers(scores, p_values, alpha=ALPHA), len(members)), strict=True):
        letters[index] = name
    return letters


def _arrays(pooled: pd.DataFrame) -> tuple[Array, Array, Array | None]:
    """Return true labels (n,), probabilities (n, c) and what is resampled: subject or, if unknown, sample id.

    None stands for the rows themselves, where each image was tested once.
    """
    probabilities = pooled.filter(regex=r"^p\d+$").to_numpy(np.float64)
    groups = pooled["group"].astype(str)
    units = groups.where(groups != "", pooled["id"].astype(str))
    return pooled["label"].to_numpy(), probabilities, None if units.is_unique else units.to_numpy(str)


def _count(units: Array | None, rows: Sized) -> int:
    return len(rows) if units is None else len(np.unique(units))


def _key(pooled: pd.DataFrame) -> str:
    """Return a hash of what was tested: seeds, sample ids and labels."""
    digest = hashlib.sha256("\0".join(pooled["id"].astype(str)).encode())
    for column in ("seed", "label"):
        digest.update(pooled[column].to_numpy("<i8").tobytes())
    return digest.hexdigest()
