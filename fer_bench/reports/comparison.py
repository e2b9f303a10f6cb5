"""How sure a row's score is, and which rows cannot be told apart: from the pooled predictions of all folds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.cross_validation import CrossValidation, measure_folds
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.equivalence import weigh_behind
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.extra import NOTHING, Extra
from fer_bench.evaluation.extremes import ExtremeDifference
from fer_bench.evaluation.guards import Answers
from fer_bench.evaluation.intervals import Interval, algorithm_interval, bootstrap_interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.ranking import find_rank_intervals, find_tiers, name_tiers
from fer_bench.reports.jackknife import measure_stored
from fer_bench.reports.notes import once
from fer_bench.results.predictions import Predictions
from fer_bench.results.store import StoredCell

ALPHA = 0.05
ROPE = 0.01
"""Half the width of the region of practical equivalence, in the metric's unit: one point."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a row stands on its board.

    Attributes:
        tier: letters; rows that share one cannot be told apart.
        ranks: best and worst rank that the row may have, from 1, all of a board together with 95 %.
        behind: probability that the row is worse than the first of the board by more than ``rope``, 0 to 1; None where
            there are too few units, see ``weigh_behind``.
        rope: in the metric's unit.
        above_baseline: whether it is shown to be better than the majority class; None where that cannot be tested.
    """

    tier: str
    ranks: tuple[int, int]
    behind: float | None
    rope: float
    above_baseline: bool | None

    @property
    def may_be_best(self) -> bool:
        """Whether no row is shown to be better: with 95 % the best method is among these."""
        return self.ranks[0] == 1


def interval(
    metric: Metric, pooled: Predictions, trained: float | None = None, further: Predictions | None = None
) -> Interval | None:
    """Return the 95 % interval of a row's score over subjects, or images where no subject is known.

    It is that of the algorithm in cross-validation, with other people to train on, and with several seeds, for other
    trainings; else a bootstrap interval of the models that were trained.

    Args:
        metric: of which.
        pooled: the predictions of all cells.
        trained: samples in the training part of a fold, on average; None where folds do not train on each other.
        further: the predictions of a jackknife of these folds; if they are not of these folds, they are not used.

    Returns:
        None if there is but one subject or image.
    """
    if pooled.n_units < 2:
        return None
    if trained is not None or len(estimate(metric, pooled).seeds) > 1:
        crossed = None if trained is None else _measure_folds(metric, pooled, trained, further)
        return algorithm_interval(estimate(metric, pooled), crossed, level=1 - ALPHA)
    return bootstrap_interval(
        metric,
        pooled.labels,
        pooled.probabilities,
        pooled.units,
        level=1 - ALPHA,
        extra=_extra(metric, pooled),
    )


def estimate(metric: Metric, pooled: Predictions) -> Estimate:
    """Return the score of a row, and what subjects and seeds add to it; kept for as long as the predictions are."""
    return once(pooled, metric, lambda: measure_row(metric, pooled))


def keep(pooled: Predictions, measured: Estimate) -> None:
    """Take an estimate for what `estimate` says of some predictions by its metric."""
    once(pooled, measured.metric, lambda: measured)


def cross(folds: int, cells: Sequence[StoredCell], predictions: Predictions) -> CrossValidation | None:
    """Return how the folds of a row trained on each other, for `algorithm_interval`; None of a single fold.

    Args:
        folds: of the protocol.
        cells: of the row, those that are done.
        predictions: of all of them.
    """
    trained = [sum(cell.measures.train_counts) for cell in cells]
    ratio = predictions.n_samples / float(np.mean(trained))
    return CrossValidation(folds=folds, tested_per_trained=ratio) if folds > 1 else None


def measure_row(metric: Metric, pooled: Predictions) -> Estimate:
    """Return the score of a row, and what subjects, seeds and splits add to it."""
    columns = pooled.labels, pooled.probabilities, pooled.training, pooled.units
    return measure(metric, *columns, extra=_extra(metric, pooled), splits=pooled.split)


def answers_of(pooled: Predictions) -> Answers:
    """Return what a row said, as guards and gaps are measured of it."""
    return Answers(
        true=pooled.labels,
        probabilities=pooled.probabilities,
        seeds=pooled.training,
        splits=pooled.split,
        units=pooled.unit_codes,
    )


@dataclass(frozen=True, eq=False)
class Lineup:
    """The rows of a board that are ranked: those that tested the same images with the same labels, folds and seeds.

    Attributes:
        rows: of the board.
        members: places of those that are ranked; none where nothing can be tested.
        estimates: of each of them.
        baseline: of the majority class, if it tested the same.
    """

    rows: int
    members: tuple[int, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    baseline: Estimate | None = None

    @property
    def questions(self) -> list[tuple[tuple[Estimate, ...], list[tuple[int, int]]]]:
        """What `adjust_steps` is asked: all pairs of the rows, and each row against the majority class."""
        count = len(self.members)
        questions = [(self.estimates, list(combinations(range(count), 2)))]
        if self.baseline is not None:
            questions.append(((self.baseline, *self.estimates), [(0, 1 + place) for place in range(count)]))
        return questions if count else []


def line_up(metric: Metric, board: Sequence[Predictions | None], baseline: Predictions | None = None) -> Lineup:
    """Return which rows of a board are ranked; what differs from most (a row with missing cells) is not.

    Args:
        metric: by which.
        board: the pooled predictions of each row; None for a row without any, or that is not to be ranked.
        baseline: those of the majority class.
    """
    keys = [None if pooled is None else pooled.key for pooled in board]
    counts = Counter(key for key in keys if key is not None)
    if not counts:
        return Lineup(len(board))
    whole = baseline.key if baseline else None
    common = max(counts, key=lambda key: (counts[key], key == whole, key))
    members = tuple(index for index, key in enumerate(keys) if key == common)
    parts = [pooled for index in members if (pooled := board[index]) is not None]
    if parts[0].n_units < 2:
        return Lineup(len(board))
    floor = estimate(metric, baseline) if baseline is not None and whole == common else None
    return Lineup(len(board), members, tuple(estimate(metric, pooled) for pooled in parts), floor)


def rank(metric: Metric, lineup: Lineup, adjusted: Sequence[Array], rope: float = ROPE) -> list[Standing | None]:
    """Return where each row of a board stands.

    All pairs of rows are one family of paired tests (`adjust_steps`, 5 %); the majority class is no member of it and is
    compared with each row in a family of its own. A row that is not ranked has no standing.

    Args:
        metric: by which.
        lineup: of the board.
        adjusted: what `adjust_steps` says of each of its questions.
        rope: see `Standing`.
    """
    standings: list[Standing | None] = [None] * lineup.rows
    if not lineup.members:
        return standings
    (estimates, pairs), *_ = lineup.questions
    scores, up = np.array([one.value for one in estimates]), metric.higher_is_better
    p_values = np.ones((len(estimates), len(estimates)))
    for (first, second), p in zip(pairs, adjusted[0].tolist(), strict=True):
        p_values[first, second] = p_values[second, first] = p
    above: list[bool | None] = [None] * len(estimates)
    if lineup.baseline is not None:
        better = (scores > lineup.baseline.value) == up
        above = [bool(better[index] and p <= ALPHA) for index, p in enumerate(adjusted[1].tolist())]
    leader = int(np.argmax(scores if up else -scores))
    others = [place for place in range(len(estimates)) if place != leader]
    paired = [tuple(estimates[one] for one in ((place, leader) if up else (leader, place))) for place in others]
    chances = weigh_behind(scores, [compare_estimates(*pair) for pair in paired], estimates[0].units, rope)
    behind = None if chances is None else {**dict(zip(others, chances, strict=True)), leader: 0.0}
    tiers = find_tiers(scores, p_values, higher_is_better=up, alpha=ALPHA)
    names = name_tiers(tiers, len(estimates))
    ranks = find_rank_intervals(scores, p_values, higher_is_better=up, alpha=ALPHA)
    for place, index in enumerate(lineup.members):
        standings[index] = Standing(
            tier=names[place],
            ranks=ranks[place],
            behind=None if behind is None else behind[place],
            rope=rope,
            above_baseline=above[place],
        )
    return standings


def _measure_folds(metric: Metric, pooled: Predictions, trained: float, further: Predictions | None) -> CrossValidation:
    columns, extra = (pooled.labels, pooled.probabilities, pooled.training, pooled.fold), _extra(metric, pooled)
    crossed = measure_folds(metric, *columns, pooled.n_samples / trained, extra)
    return crossed if further is None else replace(crossed, training=measure_stored(metric, pooled, further, extra))


def _extra(metric: Metric, pooled: Predictions) -> Extra:
    return pooled.extra if metric.wants else NOTHING


def find_ends(one: Difference | ExtremeDifference) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of the interval of a difference; None where too few units allow none."""
    return (one.low, one.high) if math.isfinite(one.high - one.low) else (None, None)
