"""From stored cells to a table: a row for each data set x protocol x backbone x strategy.

Scores are recomputed from predictions, never read from a file.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.evaluation.chance import Chance, measure_chance
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate_parts
from fer_bench.reports import comparison
from fer_bench.results.canonical import Amount, Record
from fer_bench.results.outcomes import Measures
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import DatasetRecord, Experiment, ProtocolRecord
from fer_bench.results.rows import MethodRow, group, newest
from fer_bench.results.store import StoredCell

BASELINE = "majority-class"
Subject = tuple[str, int, str, str, int]
"""What is the same for all rows that may be compared: data set, limit (0 without), labels, protocol, folds."""


@dataclass(frozen=True, kw_only=True)
class Score(Record):
    """A metric of a row.

    Attributes:
        mean: over seeds, of the metric of all predictions of a seed: its folds are pooled.
        std: sample standard deviation of single folds, of all seeds; None for a single cell. It is the spread of the
            folds, not the standard error of the mean.
    """

    mean: float
    std: Amount | None


@dataclass(frozen=True, kw_only=True)
class Sources(Record):
    """By how much the metric that orders the rows varies, each a standard deviation in the metric's unit.

    Attributes:
        subjects: of the score, over other draws of as many subjects (or images where no subject is known): its standard
            error given what was trained. None of one subject.
        folds: of single folds within a seed; None of one fold.
        seeds: of the score of single seeds, whatever folds they trained on; 0 where they agree, None of one seed.
        trainings: of the score of seeds that trained on the same folds; None where no two did.
    """

    subjects: Amount | None
    folds: Amount | None
    seeds: Amount | None
    trainings: Amount | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the leaderboard.

    Attributes:
        experiment: what its cells have in common; of the baseline, those of the first method beside it.
        baseline: whether it is the majority class of the training part.
        seeds: how many trainings of all folds.
        split_seeds: on how many splits they trained, where ``--split-seeds`` dealt them; 0 where each deals its own.
        scores: metric -> score; empty if no cell is ok.
        metric: the metric that orders the rows.
        interval: of that metric, for other people and other seeds, in cross-validation to train on, too; None if it
            cannot be told.
        sources: what the metric varies by; None without any cell that is done.
        lacking: cells that are done whose test part lacks a class that others of the seed have.
        chance: what guessing reaches on the cells that are done; None without any.
        stochastic: whether the training is random, as far as one seed shows it: whether it has epochs. With several
            seeds the results tell, and it is False.
        standing: tier, rank interval and what else the board's tests say; None for the baseline, where cells are
            missing, and where the training is stochastic and one seed tells nothing of it.
        ok: cells that are done.
        failed: cells that failed.
        parameters: of backbone and head, and ``trained_parameters``, those that the strategy trained; None if
            no cell is ok.
        seconds: to compute the row from nothing: features once, and all fits; None if no cell is ok.
        converged: whether the training of every cell met its stopping rule.
        errors: messages of the failed cells, each once.
        variant: tells rows apart that look alike but come from other code, weights, data or versions; else empty.
        older: how many rows are left out that differ from it in code alone and were made before it.
        faults: messages of the metrics of plugins that failed on it.
        cells: the stored cells of the row, those of the methods beside it for the baseline.
        pooled: predictions of all its cells; None without any.
    """

    experiment: Experiment
    baseline: bool
    seeds: int
    split_seeds: int
    scores: dict[str, Score]
    metric: Metric
    interval: Interval | None
    sources: Sources | None
    lacking: int
    chance: Chance | None
    stochastic: bool
    standing: comparison.Standing | None = None
    ok: int
    failed: int
    parameters: int | None
    trained_parameters: int | None
    seconds: float | None
    converged: bool
    errors: tuple[str, ...]
    variant: str = ""
    older: int = 0
    faults: tuple[str, ...]
    cells: tuple[StoredCell, ...] = field(repr=False, compare=False)
    pooled: Predictions | None = field(repr=False, compare=False)

    @property
    def finished(self) -> str:
        """When the last of its cells was stored, in UTC as ISO 8601."""
        return max(cell.finished for cell in self.cells)

    @property
    def dataset(self) -> str:
        """As the user typed it."""
        return self.experiment.dataset.text

    @property
    def backbone(self) -> str:
        """As the user typed it; empty for the baseline."""
        return "" if self.baseline else self.experiment.backbone.text

    @property
    def strategy(self) -> str:
        """As the user typed it."""
        return BASELINE if self.baseline else self.experiment.strategy.text

    @property
    def precision(self) -> Literal["", "float32", "bfloat16"]:
        """Of the products; empty for the baseline."""
        return "" if self.baseline else self.experiment.backbone.precision

    @property
    def limit(self) -> int | None:
        """Of the class-balanced subset, or None."""
        return self.experiment.dataset.limit

    @property
    def synthetic(self) -> bool:
        """Whether a program drew the images."""
        return self.experiment.dataset.synthetic

    @property
    def protocol(self) -> str:
        """Its name, with what else decides its folds."""
        return self.experiment.protocol.text

    @property
    def ignores(self) -> tuple[str, ...]:
        """What is known to belong together but may stand in training and test: subject, sequence, copy."""
        return self.experiment.protocol.ignores

    @property
    def labels(self) -> str:
        """The label set, ``native`` for a data set's own labels."""
        return self.experiment.dataset.labels.set

    @property
    def trained_on(self) -> str:
        """Where other data sets train too, or alone: what trains. Empty for the tested data set alone."""
        return self.experiment.trained_on

    @property
    def folds(self) -> int:
        """K."""
        return self.experiment.protocol.folds

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.experiment.dataset.classes

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.class_names)

    @property
    def n(self) -> int:
        """Distinct samples that were tested."""
        return len(self.pooled.ids) if self.pooled else 0

    @property
    def faces(self) -> float | None:
        """Share of the images in which a face was found; None where none was looked for."""
        counts = (cell.measures.faces for cell in self.cells if cell.ok)
        return next((known.coverage for known in counts if known), None)

    @property
    def tier(self) -> str:
        """Letters of the row; empty without a standing."""
        return self.standing.tier if self.standing else ""

    @property
    def subject(self) -> Subject:
        """What is the same for all rows that may be compared."""
        return self.dataset, self.limit or 0, self.labels, self.protocol, self.folds


def refuse(message: str) -> None:
    """Raise FerBenchError: a cell had to be left out."""
    raise FerBenchError(f"A cell cannot be used: {message}.")


def build(
    cells: Sequence[StoredCell],
    metrics: Sequence[Metric] = tuple(STANDARD.values()),
    by: Metric = STANDARD["uar"],
    left_out: Callable[[str], object] = refuse,
    rope: float = comparison.ROPE,
    all_versions: bool = False,
) -> list[Row]:
    """Return the rows of a leaderboard, the best first on each board, the majority class among them.

    Args:
        cells: stored cells.
        metrics: to compute of every cell.
        by: one of them, which orders the rows.
        left_out: is told of each cell that is left out since its predictions are not sound.
        rope: differences up to it do not matter, in the unit of ``by``.
        all_versions: of rows that differ in code alone return all, and not the newest.

    Raises:
        PluginError: the metric that orders the rows fails. Others that fail are left out of a row and named in it.
        FerBenchError: a cell is left out, and nobody is there to be told.
    """
    methods = group(cells)
    current = newest(methods)
    if not all_versions:
        methods = [method for method in methods if method.id in current]
    for message in (message for method in methods for message in method.damaged):
        left_out(message)
    methods = [method for method in methods if method.done or method.failed]
    made = [_row(method, metrics, by) for method in methods]
    keys = [method.id for method in methods]
    tasks: dict[tuple[DatasetRecord, ProtocolRecord], list[MethodRow]] = defaultdict(list)
    for method in methods:
        if method.done:
            tasks[method.experiment.dataset, method.experiment.protocol].append(method)
    for members in tasks.values():
        board = {_place(cell): cell for method in reversed(members) for cell in method.done}
        # Predictions of a method that has all cells of the board serve the baseline too; only the answers are others.
        whole = next((method for method in members if len(method.done) == len(board)), None)
        made.append(_baseline(whole or _join(board.values(), members[0]), metrics, by))
        keys.append(members[0].experiment.task_id)
    if not all_versions:
        made = [replace(row, older=len(current.get(key, ()))) for row, key in zip(made, keys, strict=True)]
    ordered = sorted(_tell_apart(made, keys), key=_order)
    rows: list[Row] = []
    for _, board in groupby(ordered, key=lambda row: row.subject):
        members = list(board)
        ranked = [None if row.baseline or row.stochastic else row.pooled for row in members]
        baseline = next((row.pooled for row in members if row.baseline), None)
        standings = comparison.rank(by, ranked, baseline, rope)
        rows += [replace(row, standing=standing) for row, standing in zip(members, standings, strict=True)]
    return rows


def _place(cell: StoredCell) -> tuple[int, int, int]:
    return *cell.record.training, cell.record.fold


def _join(cells: Iterable[StoredCell], method: MethodRow) -> MethodRow:
    """Return cells of several methods as one row."""
    return replace(method, cells=tuple(sorted(cells, key=_place)))


def _row(method: MethodRow, metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of a method."""
    measures = [cell.measures for cell in method.done]
    return Row(
        experiment=method.experiment,
        baseline=False,
        **_evaluate(method.predictions, method.done, metrics, by),
        seeds=len(method.trainings),
        split_seeds=_count_split_seeds(method),
        ok=len(method.done),
        failed=len(method.failed),
        parameters=measures[0].parameters if measures else None,
        trained_parameters=measures[0].trained_parameters if measures else None,
        seconds=_seconds(measures) if measures else None,
        converged=all(measure.converged for measure in measures),
        stochastic=method.one_random_training,
        errors=tuple(sorted({cell.error for cell in method.failed})),
        cells=(*method.done, *method.failed),
    )


def _baseline(method: MethodRow, metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of always naming the commonest class of the training part; of equals, the first.

    Args:
        method: that has all cells of the board.
        metrics: as in `build`.
        by: as in `build`.
    """
    assert method.predictions is not None, "a board has predictions"
    counts = _train_counts(method.done)
    certain = np.eye(counts.shape[1], dtype=np.float32)
    pooled = replace(method.predictions, probabilities=certain[counts.argmax(axis=1)[method.predictions.cell]])
    return Row(
        experiment=method.experiment,
        baseline=True,
        **_evaluate(pooled, method.done, metrics, by),
        seeds=len(method.trainings),
        split_seeds=_count_split_seeds(method),
        ok=len(method.done),
        failed=0,
        parameters=0,
        trained_parameters=0,
        seconds=0.0,
        converged=True,
        stochastic=False,
        errors=(),
        cells=tuple(method.done),
    )


def _count_split_seeds(method: MethodRow) -> int:
    """Return how many splits ``--split-seeds`` dealt; 0 where each seed dealt its own."""
    return 0 if all(cell.record.split_seed is None for cell in method.cells) else len(method.splits)


def _train_counts(cells: Sequence[StoredCell]) -> Array:
    """Return (cells, c) samples of each class in the training part of each cell."""
    return np.array([cell.measures.train_counts for cell in cells])


def _evaluate(
    pooled: Predictions | None, cells: Sequence[StoredCell], metrics: Sequence[Metric], by: Metric
) -> dict[str, Any]:
    """Return the fields of a row that its predictions decide; None if it has none."""
    if pooled is None:
        unknown = dict.fromkeys(("interval", "sources", "chance", "pooled"))
        return {"metric": by, "scores": {}, "faults": (), "lacking": 0, **unknown}
    faults: list[str] = []
    scores: dict[str, Score] = {}
    run = np.unique(pooled.training, return_inverse=True)[1]
    folds: dict[str, Array] = {}
    wanted = [metric for metric in metrics if pooled.extra.has(metric.wants) or metric.name == by.name]
    # Those of the core share one table of counts; each of a plugin may fail by itself.
    core = [metric for metric in wanted if not metric.origin]
    for together in (core, *([metric] for metric in wanted if metric.origin)):
        try:
            runs, parts = (
                evaluate_parts(pooled.labels, pooled.probabilities, part, together, pooled.extra)
                for part in (run, pooled.cell)
            )
        except PluginError as error:
            if by in together:
                raise
            faults.append(str(error))
            continue
        scores |= {metric.name: _summarise(runs[metric.name], parts[metric.name]) for metric in together}
        folds |= parts
    scores = {metric.name: scores[metric.name] for metric in wanted if metric.name in scores}
    counts = _train_counts(cells)
    trained = float(counts.sum(axis=1).mean())
    names = sorted({cell.record.training for cell in cells})
    seeds = np.array([names.index(cell.record.training) for cell in cells])
    return {
        "metric": by,
        "scores": scores,
        "faults": tuple(faults),
        "interval": comparison.interval(by, pooled, trained if cells[0].record.protocol.folds > 1 else None),
        "sources": _trace(by, pooled, seeds, folds[by.name]),
        "lacking": _count_lacking(pooled, seeds),
        "chance": measure_chance(pooled.labels, counts, pooled.cell, seeds, len(pooled.ids)),
        "pooled": pooled,
    }


def _trace(metric: Metric, pooled: Predictions, seeds: Array, folds: Array) -> Sources:
    """Return what a row's metric varies by; ``seeds`` are (p,), trainings of its cells, ``folds`` (p,) the metric of
    each.
    """
    estimate = comparison.estimate(metric, pooled)
    series = [folds[seeds == seed] for seed in np.unique(seeds)]
    trainings = [estimate.scores[estimate.splits == split] for split in np.unique(estimate.splits)]
    return Sources(
        subjects=None if estimate.unit_variance is None else math.sqrt(estimate.unit_variance),
        folds=_spread_within(series),
        seeds=_spread_within([estimate.scores]),
        trainings=_spread_within(trainings),
    )


def _spread_within(series: Sequence[Array]) -> float | None:
    """Return the standard deviation within several series together; None where none holds two values."""
    freedom = sum(len(values) - 1 for values in series)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in series)
    return math.sqrt(squares / freedom) if freedom else None


def _count_lacking(pooled: Predictions, seeds: Array) -> int:
    """Return how many cells lack a class that others of their training have; ``seeds`` are (p,), its number."""
    held = np.zeros((len(seeds), pooled.probabilities.shape[1]), bool)
    held[pooled.cell, pooled.labels] = True
    return sum(int((~held[seeds == seed][:, held[seeds == seed].any(axis=0)]).any(axis=1).sum()) for seed in set(seeds))


def _summarise(by_seed: Array, by_cell: Array) -> Score:
    """Return the mean over seeds of a metric and its spread over cells."""
    cells = np.sort(by_cell)  # sorted: sums must not depend on order
    return Score(mean=float(np.sort(by_seed).mean()), std=float(cells.std(ddof=1)) if len(cells) > 1 else None)


def _seconds(measures: Iterable[Measures]) -> float:
    """Return the cost of a row: its features once, whenever they were computed, and every fit."""
    seconds = [measure.seconds for measure in measures]
    return max(second.features for second in seconds) + sum(sorted(second.fit for second in seconds))


def _tell_apart(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Give rows that look alike a variant, the start of the hash of what they have in common."""
    seen: dict[tuple[str | int, ...], int] = defaultdict(int)
    for row in rows:
        seen[_looks(row)] += 1
    return [
        replace(row, variant=key[:6]) if seen[_looks(row)] > 1 else row for row, key in zip(rows, keys, strict=True)
    ]


def _looks(row: Row) -> tuple[str | int, ...]:
    return *row.subject, row.trained_on, row.backbone, row.strategy


def _order(row: Row) -> tuple[str | float, ...]:
    score = row.scores[row.metric.name].mean if row.scores else math.nan
    strength = -math.inf if math.isnan(score) else score if row.metric.higher_is_better else -score
    return *row.subject, -strength, row.backbone, row.strategy, row.trained_on, row.variant
