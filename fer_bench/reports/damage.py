"""The damage report: what each method scores on corrupted test images, and how methods differ there."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.corruption import Corruption, in_order
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.classification import find_largest
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.intervals import Interval
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.robustness import Robustness, average, count_flips, measure_flips
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.standing import PERCENT
from fer_bench.reports.table import Cell, Column, Field, Shown, Table, tabulate
from fer_bench.results import corrupted
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import read_predictions
from fer_bench.results.rows import MethodRow

NOTES = (
    "Corrupted: mean over kinds of the mean over severities. Worst: of the kind with the worst score. Flips: how often "
    "the answer to an image changes from one severity of a kind to the next, beginning with the clean image. "
    "Intervals: 95 %, for other people and, as far as several seeds show it, other trainings; that of the worst kind "
    "allows for the choice of the kind.",
    "Differences are row 2 minus row 1, paired by subject, or by image where no subject is known; p is of the score on "
    "all corrupted images, adjusted for all pairs of a board.",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class DamagedRow:
    """A method whose models predicted corrupted images.

    Attributes:
        row: its cells.
        scores: corruption -> score.
        robustness: what follows from these.
        key: of what was tested; rows that share it are paired.
    """

    row: MethodRow
    scores: dict[Corruption, Estimate]
    robustness: Robustness
    key: str

    @property
    def name(self) -> str:
        """Backbone and strategy."""
        return f"{self.row.experiment.backbone.text}, {self.row.experiment.strategy.text}"

    @property
    def board(self) -> str:
        """What was tested, how, and under which corruptions."""
        experiment, kinds = self.row.experiment, len(self.robustness.kinds)
        what = f"{kinds} kinds of corruption" if kinds > 1 else f"{next(iter(self.robustness.kinds))}"
        counts = {sum(one.series == kind for one in self.scores) for kind in self.robustness.kinds}
        severities = f"{counts.pop()} severities" if len(counts) == 1 else f"{len(self.scores)} in all"
        return f"{experiment.dataset.text}: {experiment.protocol.text}, {what}, {severities}"


def find_rows(rows: Sequence[MethodRow], metric: Metric) -> list[DamagedRow]:
    """Return the rows whose cells all have predictions of corrupted images, the best mean score first on each board.

    Args:
        rows: any.
        metric: that is measured.

    Raises:
        FerBenchError: there is none, or cells of one row lack some; every such row is named.
    """
    made: list[DamagedRow] = []
    faults: list[str] = []
    for row in rows:
        known = [set(corrupted.find(cell)) for cell in row.done]
        whole = set[Corruption]().union(*known)
        if not whole:
            continue
        if lacking := sum(one != whole for one in known):
            faults.append(f"{row.name}: {lacking} of {len(known)} cells lack some")
        elif row.predictions is not None and row.predictions.n_units > 1:
            made.append(_measure(row, in_order(whole), metric))
    if faults:
        raise FerBenchError(
            f"Predictions of corrupted images are not complete:\n{bullet_list(faults)}\n"
            "Repeat 'fer-bench run' with the same --corrupt, which computes those that are missing."
        )
    if not made:
        raise FerBenchError(
            "No method of these rows has predicted corrupted images. Repeat its 'fer-bench run' with '--corrupt all'."
        )
    sign = -1 if metric.higher_is_better else 1
    return sorted(made, key=lambda one: (one.board, one.key, sign * one.robustness.mean.value, one.name))


def _measure(row: MethodRow, corruptions: Sequence[Corruption], metric: Metric) -> DamagedRow:
    clean = row.predictions
    assert clean is not None
    tables = [cell.table() for cell in row.done]
    scores: dict[Corruption, Estimate] = {}
    flips: list[Array] = []
    for _, series in itertools.groupby(corruptions, key=lambda one: one.series):
        answers = [find_largest(clean.probabilities)]
        for one in series:
            cells = [corrupted.corrupted(cell, table, one) for cell, table in zip(row.done, tables, strict=True)]
            predictions, _, faults = read_predictions(cells)
            if predictions is None or faults:
                raise FerBenchError(f"Predictions of {one} cannot be used: {faults[0]}.")
            scores[one] = measure_row(metric, predictions)
            answers.append(find_largest(predictions.probabilities))
        flips.append(count_flips(answers))
    folds = row.experiment.protocol.folds
    trained = float(np.mean([sum(cell.measures.train_counts) for cell in row.done]))
    kinds: dict[str, list[Estimate]] = defaultdict(list)
    for one, estimate in scores.items():
        kinds[one.series].append(estimate)
    means = {kind: average(estimates) for kind, estimates in kinds.items()}
    robustness = Robustness(
        clean=measure_row(metric, clean),
        kinds=means,
        mean=average([*means.values()]),
        flips=measure_flips(np.mean(flips, axis=0), clean.training, clean.units, clean.split),
        crossed=CrossValidation(folds=folds, tested_per_trained=clean.n_samples / trained) if folds > 1 else None,
    )
    return DamagedRow(row=row, scores=scores, robustness=robustness, key=_key(clean, corruptions))


def _key(clean: Predictions, corruptions: Sequence[Corruption]) -> str:
    return f"{clean.key} {' '.join(map(str, corruptions))}"


@dataclass(frozen=True, kw_only=True)
class DamagedPair:
    """Two rows of a board; differences are the second minus the first.

    Attributes:
        first: names of the rows, likewise ``second``.
        mean: of the mean score on corrupted images, and ``p_value`` adjusted for all pairs of the board.
        worst: of the scores on the worst kind of each.
        flips: of the flips of an image.
    """

    first: str
    second: str
    mean: Difference
    p_value: float
    worst: Difference
    flips: Difference


def compare_rows(rows: Sequence[DamagedRow]) -> list[DamagedPair]:
    """Return every two rows that tested the same images under the same corruptions."""
    pairs: list[DamagedPair] = []
    for _, group in itertools.groupby(rows, key=lambda one: one.key):
        board = list(group)
        indices = list(itertools.combinations(range(len(board)), 2))
        adjusted = adjust_steps([one.robustness.mean for one in board], indices).tolist()
        for (i, j), p_value in zip(indices, adjusted, strict=True):
            first, second = board[i].robustness, board[j].robustness
            pairs.append(
                DamagedPair(
                    first=board[i].name,
                    second=board[j].name,
                    mean=compare_estimates(first.mean, second.mean),
                    p_value=p_value,
                    worst=compare_estimates(first.kinds[first.worst], second.kinds[second.worst]),
                    flips=compare_estimates(first.flips, second.flips),
                )
            )
    return pairs


def to_tables(rows: Sequence[DamagedRow], *, kinds: bool = False) -> list[Table]:
    """Return a table for each board, one of all pairs, and where asked for one of the kinds of each row."""
    boards = [list(group) for _, group in itertools.groupby(rows, key=lambda one: one.board)]
    tables = [tabulate(board, _fields(board), board[0].board) for board in boards]
    if pairs := compare_rows(rows):
        tables.append(tabulate(pairs, _pair_fields(rows[0]), "Paired differences"))
    if kinds:
        tables += [_kinds(row) for row in rows]
    return [*tables, Table(notes=NOTES if pairs else NOTES[:1])]


def _fields(board: Sequence[DamagedRow]) -> tuple[Field[DamagedRow], ...]:
    metric, scale = board[0].robustness.mean.metric, _scale(board[0])
    title = f"{metric.title} %" if scale == 100 else metric.title
    better = "higher" if metric.higher_is_better else "lower"

    def shown(value: float, interval: Interval | None = None, factor: float = scale, digits: int = 1) -> Shown:
        text = f"{factor * value:.{digits}f}"
        if interval is not None:
            text += f" ({factor * interval.low:.{digits}f} to {factor * interval.high:.{digits}f})"
        return Shown(text, value)

    def mean(one: DamagedRow) -> Cell:
        return shown(one.robustness.mean.value, one.robustness.interval(one.robustness.mean))

    def worst(one: DamagedRow) -> Cell:
        return shown(one.robustness.kinds[one.robustness.worst].value, one.robustness.worst_interval())

    def flips(one: DamagedRow) -> Cell:
        estimate = one.robustness.flips
        return shown(estimate.value, one.robustness.interval(estimate), 1, 2)

    return (
        (Column("backbone, strategy"), lambda one: one.name),
        (Column(f"clean {title}", "number", better), lambda one: shown(one.robustness.clean.value)),
        (Column("corrupted", "number", better), mean),
        (Column("worst", "number", better), worst),
        (Column("worst kind"), lambda one: one.robustness.worst),
        (Column("flips", "number", "lower"), flips),
    )


def _pair_fields(row: DamagedRow) -> tuple[Field[DamagedPair], ...]:
    scale = _scale(row)

    def difference(name: str, factor: float, digits: int) -> Field[DamagedPair]:
        def cell(pair: DamagedPair) -> Cell:
            one: Difference = getattr(pair, name)
            value, low, high = (factor * part for part in (one.value, one.low, one.high))
            return Shown(f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})", one.value)

        return Column({"mean": "corrupted"}.get(name, name), "number"), cell

    return (
        (Column("row 1"), lambda pair: pair.first),
        (Column("row 2"), lambda pair: pair.second),
        difference("mean", scale, 1),
        (
            Column("p", "number"),
            lambda pair: Shown("<0.001" if pair.p_value < 0.001 else f"{pair.p_value:.3f}", pair.p_value),
        ),
        difference("worst", scale, 1),
        difference("flips", 1, 2),
    )


def _kinds(row: DamagedRow) -> Table:
    """Return the score of each kind at each severity."""
    scale, severities = _scale(row), sorted({one.severity for one in row.scores})

    def at(severity: int) -> Field[str]:
        def cell(kind: str) -> Cell:
            known = [
                estimate for one, estimate in row.scores.items() if one.series == kind and one.severity == severity
            ]
            return Shown(f"{scale * known[0].value:.1f}", known[0].value) if known else None

        return Column(str(severity), "number"), cell

    def mean(kind: str) -> Cell:
        estimate = row.robustness.kinds[kind]
        interval = row.robustness.interval(estimate)
        text = f"{scale * estimate.value:.1f} ({scale * interval.low:.1f} to {scale * interval.high:.1f})"
        return Shown(text, estimate.value)

    fields: tuple[Field[str], ...] = (
        (Column("kind"), lambda kind: kind),
        *(at(severity) for severity in severities),
        (Column("mean", "number"), mean),
    )
    clean = f"{scale * row.robustness.clean.value:.1f}"
    return tabulate([*row.robustness.kinds], fields, f"{row.name} by severity; clean: {clean}")


def _scale(row: DamagedRow) -> float:
    return 100 if row.robustness.mean.metric.name in PERCENT else 1


def record(rows: Sequence[DamagedRow]) -> dict[str, Any]:
    """Return the report as plain JSON."""

    def ends(interval: Interval) -> list[float]:
        return [interval.low, interval.high]

    def difference(one: Difference) -> dict[str, float]:
        return {"value": one.value, "low": one.low, "high": one.high, "p_value": one.p_value}

    return {
        "rows": [
            {
                "dataset": row.row.experiment.dataset.text,
                "protocol": row.row.experiment.protocol.text,
                "backbone": row.row.experiment.backbone.text,
                "strategy": row.row.experiment.strategy.text,
                "metric": known.mean.metric.name,
                "clean": known.clean.value,
                "corrupted": {"value": known.mean.value, "interval": ends(known.interval(known.mean))},
                "worst": {
                    "kind": known.worst,
                    "value": known.kinds[known.worst].value,
                    "interval": ends(known.worst_interval()),
                },
                "flips": {"value": known.flips.value, "interval": ends(known.interval(known.flips))},
                "kinds": {kind: one.value for kind, one in known.kinds.items()},
                "scores": {str(one): estimate.value for one, estimate in row.scores.items()},
            }
            for row in rows
            for known in [row.robustness]
        ],
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                **{name: difference(getattr(pair, name)) for name in ("mean", "worst", "flips")},
                "p_adjusted": pair.p_value,
            }
            for pair in compare_rows(rows)
        ],
    }
