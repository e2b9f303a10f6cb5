"""How sure a row's score is, and which rows cannot be told apart: from the pooled predictions of all folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
from fer_bench.results.predictions import Predictions

ALPHA = 0.05
RESAMPLES = 1000
"""Of a board, for the probability of being best."""


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


def interval(metric: Metric, pooled: Predictions) -> Interval | None:
    """Return the 95 % bootstrap interval of a pooled metric over subjects, or images where no subject is known.

    None if there is but one of them.
    """
    if pooled.n_units < 2:
        return None
    return bootstrap_interval(
        metric, pooled.labels, pooled.probabilities, pooled.units, level=1 - ALPHA, extra=pooled.extra
    )


def rank(metric: Metric, board: Sequence[Predictions | None]) -> list[Standing | None]:
    """Return where each row of a board stands.

    Tests between all pairs, over subjects, or images where no subject is known: paired permutation tests for accuracy
    and UAR, ``compare_resampled`` for other metrics; Holm's correction over all pairs of the board, at 5 %. Only rows
    that tested the same images with the same labels and seeds are paired; what differs from most (a row with missing
    cells) has no standing.

    Args:
        metric: by which.
        board: the pooled predictions of each row; None for a row without any.
    """
    keys = [None if pooled is None else pooled.key for pooled in board]
    counts = Counter(key for key in keys if key is not None)
    standings: list[Standing | None] = [None] * len(board)
    if not counts:
        return standings
    common = max(counts, key=lambda key: (counts[key], key))
    members = [index for index, key in enumerate(keys) if key == common]
    parts = [pooled for index in members if (pooled := board[index]) is not None]
    true, units, n_units = parts[0].labels, parts[0].units, parts[0].n_units
    if n_units < 2:
        return standings
    methods, up = [pooled.probabilities for pooled in parts], metric.higher_is_better
    extra = parts[0].extra
    scores = np.array([metric.score(true, probabilities, extra) for probabilities in methods])
    values = resample_metric(metric, true, methods, units, resamples=RESAMPLES, extra=extra)
    if metric.name in ("accuracy", "uar"):
        predicted = [probabilities.argmax(axis=1) for probabilities in methods]
        name: Literal["accuracy", "uar"] = "accuracy" if metric.name == "accuracy" else "uar"
        p_values = compare_pairs(true, predicted, units, metric=name)
    else:
        p_values = compare_resampled(scores, values, n_units)
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
