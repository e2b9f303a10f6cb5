"""From stored cells to a table: a row for each data set x protocol x backbone x strategy.

Scores are recomputed from predictions, never read from a file.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from fer_bench.errors import PluginError
from fer_bench.evaluation.chance import Chance, measure_chance
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import STANDARD, Metric, evaluate_parts
from fer_bench.reports import comparison
from fer_bench.reports.pooled import Pooled, pool
from fer_bench.results.cell import record_id, shared_part
from fer_bench.results.store import StoredCell

BASELINE = "majority-class"


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric over the cells of a row.

    Attributes:
        mean: over folds and seeds.
        std: sample standard deviation over folds and seeds; None for a single cell. It is the spread of the folds,
            not the standard error of the mean.
    """

    mean: float
    std: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the leaderboard.

    Attributes:
        dataset: as the user typed it; likewise ``backbone`` and ``strategy``. The baseline's backbone is empty.
        limit: of the class-balanced subset, or None.
        synthetic: whether a program drew the images.
        protocol: its name, with what else decides its folds.
        ignores: what is known to belong together but may stand in training and test: subject, sequence, copy.
        labels: the label set, ``native`` for a data set's own labels.
        trained_on: where other data sets train too, or alone: what trains. Empty for the tested data set alone.
        folds: K.
        seeds: how many.
        classes: how many.
        precision: of the products; empty for the baseline.
        n: distinct samples that were tested.
        faces: share of the images in which a face was found; None where none was looked for.
        scores: metric -> score; empty if no cell is ok.
        metric: the metric that orders the rows.
        interval: of that metric over all predictions pooled; None if it cannot be told.
        chance: what guessing reaches, on average over the cells that are done; None without any.
        standing: tier, rank interval and chance of being best; None where cells are missing.
        ok: cells that are done.
        failed: cells that failed.
        parameters: of backbone and head, and ``trained_parameters``, those that the strategy trained; None if
            no cell is ok.
        seconds: to compute the row from nothing: features once, and all fits; None if no cell is ok.
        converged: whether the training of every cell met its stopping rule.
        errors: messages of the failed cells, each once.
        variant: tells rows apart that look alike but come from other code, weights, data or versions; else empty.
        baseline: whether it is the majority class of the training part.
        faults: messages of the metrics of plugins that failed on it.
        cells: the stored cells of the row, those of the methods beside it for the baseline.
        pooled: predictions of all its cells; None without any.
    """

    dataset: str
    limit: int | None
    synthetic: bool
    protocol: str
    ignores: tuple[str, ...]
    labels: str
    trained_on: str
    folds: int
    seeds: int
    classes: int
    backbone: str
    strategy: str
    precision: str
    n: int
    faces: float | None
    scores: dict[str, Score]
    metric: Metric
    interval: Interval | None
    chance: Chance | None
    standing: comparison.Standing | None
    ok: int
    failed: int
    parameters: int | None
    trained_parameters: int | None
    seconds: float | None
    converged: bool
    errors: tuple[str, ...]
    variant: str
    baseline: bool
    faults: tuple[str, ...]
    cells: tuple[StoredCell, ...] = field(repr=False, compare=False)
    pooled: Pooled | None = field(repr=False, compare=False)

    @property
    def tier(self) -> str:
        """Letters of the row; empty without a standing."""
        return self.standing.tier if self.standing else ""

    @property
    def subject(self) -> tuple[Any, ...]:
        """What is the same for all rows that may be compared."""
        return self.dataset, self.limit or 0, self.labels, self.protocol, self.folds


def build(
    cells: Sequence[StoredCell], metrics: Sequence[Metric] = tuple(STANDARD.values()), by: Metric = STANDARD["uar"]
) -> list[Row]:
    """Return the rows of a leaderboard, the best first on each board, the majority class among them.

    Args:
        cells: stored cells.
        metrics: to compute of every cell.
        by: one of them, which orders the rows.

    Raises:
        PluginError: the metric that orders the rows fails. Others that fail are left out of a row and named in it.
    """
    groups: dict[str, list[StoredCell]] = defaultdict(list)
    boards: dict[str, dict[tuple[int, int], StoredCell]] = defaultdict(dict)
    tasks: dict[str, str] = {}
    for cell in cells:
        record = cell.record
        shared = shared_part(record)
        key = record_id(shared)
        groups[key].append(cell)
        if cell.status == "ok":
            if key not in tasks:
                tasks[key] = record_id({"dataset": shared["dataset"], "protocol": shared["protocol"]})
            boards[tasks[key]].setdefault(_place(cell), cell)
    methods = {key: _row(group, metrics, by) for key, group in groups.items()}
    made = list(methods.values())
    for task, board in boards.items():
        # Predictions of a method that has all cells of the board serve the baseline too; only the answers are others.
        own = [(_by_fold(groups[key]), methods[key].pooled) for key in tasks if tasks[key] == task]
        whole = next((part for part in own if sorted(map(_place, part[0])) == sorted(board)), None)
        done, pooled = whole or (_by_fold(board.values()), None)
        made.append(_baseline(done, pooled, metrics, by))
    ordered = sorted(_tell_apart(made, [*groups, *boards]), key=_order)
    rows: list[Row] = []
    for _, board in groupby(ordered, key=lambda row: row.subject):
        members = list(board)
        standings = comparison.rank(by, [row.pooled for row in members])
        rows += [replace(row, standing=standing) for row, standing in zip(members, standings, strict=True)]
    return rows


def _row(cells: Sequence[StoredCell], metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of a method."""
    done = _by_fold(cells)
    measures = [cell.measures for cell in done]
    return Row(
        **_task(cells),
        **_evaluate(pool(done) if done else None, done, metrics, by),
        backbone=cells[0].record["backbone"]["text"],
        strategy=cells[0].record["strategy"]["text"],
        precision=cells[0].record["backbone"]["precision"],
        ok=len(done),
        failed=len(cells) - len(done),
        parameters=measures[0]["parameters"] if measures else None,
        trained_parameters=measures[0]["trained_parameters"] if measures else None,
        seconds=_seconds(measures) if measures else None,
        converged=all(measure["converged"] for measure in measures),
        errors=tuple(sorted({cell.error for cell in cells if cell.status == "failed"})),
        baseline=False,
        cells=tuple(cells),
    )


def _place(cell: StoredCell) -> tuple[int, int]:
    return cell.record["seed"], cell.record["fold"]


def _by_fold(cells: Iterable[StoredCell]) -> list[StoredCell]:
    """Return those that are done, in an order in which rows of repeated folds line up."""
    return sorted((cell for cell in cells if cell.status == "ok"), key=lambda cell: cell.record["fold"])


def _baseline(cells: Sequence[StoredCell], pooled: Pooled | None, metrics: Sequence[Metric], by: Metric) -> Row:
    """Return the row of always naming the commonest class of the training part; of equals, the first.

    Args:
        cells: by fold.
        pooled: their predictions, if they are at hand.
        metrics: as in `build`.
        by: as in `build`.
    """
    pooled = pool(cells) if pooled is None else pooled
    counts = _train_counts(cells)
    certain = np.eye(counts.shape[1], dtype=np.float32)
    pooled = replace(pooled, probabilities=certain[counts.argmax(axis=1)[pooled.cell]])
    return Row(
        **_task(cells),
        **_evaluate(pooled, cells, metrics, by),
        backbone="",
        strategy=BASELINE,
        precision="",
        ok=len(cells),
        failed=0,
        parameters=0,
        trained_parameters=0,
        seconds=0.0,
        converged=True,
        errors=(),
        baseline=True,
        cells=tuple(cells),
    )


def _train_counts(cells: Sequence[StoredCell]) -> np.ndarray[Any, Any]:
    """Return (cells, c) samples of each class in the training part of each cell."""
    return np.array([cell.measures["train_counts"] for cell in cells])


def _evaluate(
    pooled: Pooled | None, cells: Sequence[StoredCell], metrics: Sequence[Metric], by: Metric
) -> dict[str, Any]:
    """Return the fields of a row that its predictions decide; None if it has none."""
    blank: dict[str, Any] = {"variant": "", "standing": None, "metric": by}
    if pooled is None:
        return {"n": 0, "scores": {}, "interval": None, "pooled": None, "faults": (), "chance": None, **blank}
    scores = evaluate_parts(
        pooled.labels, pooled.probabilities, pooled.cell, [metric for metric in metrics if not metric.origin]
    )
    faults: list[str] = []
    for metric in metrics:
        extra = pooled.extra(metric)
        if metric.origin and (extra.has(metric.wants) or metric.name == by.name):
            try:
                scores |= evaluate_parts(pooled.labels, pooled.probabilities, pooled.cell, [metric], extra)
            except PluginError as error:
                if metric.name == by.name:
                    raise
                faults.append(str(error))
    return {
        "n": len(pooled.ids),
        "scores": _summarise(scores),
        "faults": tuple(faults),
        "interval": comparison.interval(by, pooled),
        "chance": measure_chance(pooled.labels, _train_counts(cells), pooled.cell, len(pooled.ids)),
        "pooled": pooled,
        **blank,
    }


def _task(cells: Sequence[StoredCell]) -> dict[str, Any]:
    """Return the fields of a row that its data and protocol decide."""
    dataset, protocol = cells[0].record["dataset"], cells[0].record["protocol"]
    return {
        "dataset": dataset["text"],
        "limit": dataset["limit"],
        "synthetic": dataset["synthetic"],
        "faces": next((cell.measures["faces"]["coverage"] for cell in cells if "faces" in cell.measures), None),
        "classes": len(dataset["classes"]),
        "protocol": protocol.get("text", protocol["name"]),
        "ignores": tuple(protocol.get("ignores", ())),
        "labels": dataset.get("labels", {}).get("set", "native"),
        "trained_on": trained_on(dataset, protocol),
        "folds": protocol["folds"],
        "seeds": len({cell.record["seed"] for cell in cells}),
    }


def trained_on(dataset: dict[str, Any], protocol: dict[str, Any]) -> str:
    """Return what trains, as records of a cell say it, where other data sets do; else nothing."""
    others = [other["text"] for other in dataset.get("trained_with", ())]
    own = [dataset["text"]] if others and protocol["name"] != "cross" else []
    return " + ".join(own + others)


def _summarise(scores: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Score]:
    """Return mean and spread of each metric."""
    values = {name: np.sort(score) for name, score in scores.items()}  # sorted: sums must not depend on order
    return {
        name: Score(mean=float(v.mean()), std=float(v.std(ddof=1)) if len(v) > 1 else None)
        for name, v in values.items()
    }


def _seconds(measures: Iterable[dict[str, Any]]) -> float:
    """Return the cost of a row: its features once, whenever they were computed, and every fit."""
    seconds = [measure["seconds"] for measure in measures]
    return max(second["features"] for second in seconds) + sum(sorted(second["fit"] for second in seconds))


def _tell_apart(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Give rows that look alike a variant, the start of the hash of what they have in common."""
    seen: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in rows:
        seen[_looks(row)] += 1
    return [
        replace(row, variant=key[:6]) if seen[_looks(row)] > 1 else row for row, key in zip(rows, keys, strict=True)
    ]


def _looks(row: Row) -> tuple[Any, ...]:
    return *row.subject, row.trained_on, row.backbone, row.strategy


def _order(row: Row) -> tuple[Any, ...]:
    score = row.scores[row.metric.name].mean if row.scores else math.nan
    strength = -math.inf if math.isnan(score) else score if row.metric.higher_is_better else -score
    return *row.subject, -strength, row.backbone, row.strategy, row.trained_on, row.variant
