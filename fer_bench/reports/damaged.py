"""What methods score on corrupted test images, and how two of them differ there, from stored predictions."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.corruption import KINDS, SEVERITIES, Corruption, in_order
from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.evaluation.classification import find_largest
from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.extremes import ExtremeDifference, compare_worst, gather
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.metrics import Metric
from fer_bench.evaluation.robustness import Robustness, average, count_flips, measure_flips
from fer_bench.reports.comparison import cross, find_ends, measure_row
from fer_bench.results import corrupted
from fer_bench.results.canonical import Record, Share
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import read_predictions
from fer_bench.results.records import Experiment
from fer_bench.results.rows import MethodRow
from fer_bench.results.store import StoredCell
from fer_bench.sizes import number_of


@dataclass(frozen=True, kw_only=True, eq=False)
class DamagedRow:
    """A method whose models predicted corrupted images.

    Attributes:
        experiment: what its cells have in common.
        scores: corruption -> score.
        robustness: what follows from these.
        key: of what was tested; rows that share it are paired.
    """

    experiment: Experiment
    scores: dict[Corruption, Estimate]
    robustness: Robustness
    key: str

    @property
    def parts(self) -> tuple[str, str, str]:
        """Backbone, strategy and, where other data sets train too, what trains."""
        return self.experiment.backbone.text, self.experiment.strategy.text, self.experiment.trained_on

    @property
    def name(self) -> str:
        """The parts in one text."""
        return " / ".join(filter(None, self.parts))

    @property
    def corruptions(self) -> str:
        """Of how many kinds and severities, in words."""
        kinds = len(self.robustness.kinds)
        what = f"{number_of(kinds, 'kind')} of corruption" if kinds > 1 else f"{next(iter(self.robustness.kinds))}"
        counts = {sum(one.series == kind for one in self.scores) for kind in self.robustness.kinds}
        low, high = min(counts), max(counts)
        if low < high:
            return f"{what}, {low} to {high} severities of each"
        return f"{what}, {number_of(low, 'severity', 'severities')}{' of each' if kinds > 1 else ''}"

    @property
    def gaps(self) -> str:
        """Which kinds were not tested at all five severities, in words; nothing where all were."""
        severities = {kind: len({one.severity for one in self.scores if one.kind == kind}) for kind in KINDS}
        lacking = [kind for kind, count in severities.items() if count < len(SEVERITIES)]
        return ", ".join(f"{kind} (some severities)" if severities[kind] else kind for kind in lacking)

    @property
    def board(self) -> str:
        """What was tested, how, and under which corruptions."""
        dataset = self.experiment.dataset
        subset = f", balanced subset of {dataset.limit}" if dataset.limit else ""
        return f"{dataset.text}{subset}: {self.experiment.protocol.text}, {self.corruptions}"


def find_rows(rows: Sequence[MethodRow], metric: Metric) -> list[DamagedRow]:
    """Return the rows whose cells all have predictions of corrupted images, the best mean score first on each board.

    Args:
        rows: any.
        metric: that is measured.

    Raises:
        FerBenchError: there is none, or cells of one row lack some; every such row is named.
    """
    damaged_rows: list[DamagedRow] = []
    faults: list[str] = []
    for row in rows:
        whole, lacking = find_corruptions(row.done)
        if lacking:
            faults.append(f"{row.name}: {lacking} of {len(row.done)} cells lack some")
        elif whole and row.predictions is not None and row.predictions.n_units > 1:
            damaged_rows.append(measure(row.experiment, row.done, row.predictions, whole, metric))
    if faults:
        raise FerBenchError(
            f"Predictions of corrupted images are not complete:\n{bullet_list(faults)}\n"
            "Repeat 'fer-bench run' with the same --corrupt, which computes those that are missing."
        )
    if not damaged_rows:
        raise FerBenchError(
            "No method of these rows has predicted corrupted images. Repeat its 'fer-bench run' with '--corrupt all'."
        )
    sign = -1 if metric.higher_is_better else 1
    return sorted(damaged_rows, key=lambda one: (one.board, one.key, sign * one.robustness.mean.value, one.name))


def find_corruptions(cells: Sequence[StoredCell]) -> tuple[tuple[Corruption, ...], int]:
    """Return of which corrupted images any of some cells has predictions, and how many cells lack some of these."""
    by_cell = [set(corrupted.find(cell)) for cell in cells]
    whole = set[Corruption]().union(*by_cell)
    return in_order(whole), sum(one != whole for one in by_cell)


def measure(
    experiment: Experiment,
    cells: Sequence[StoredCell],
    clean: Predictions,
    corruptions: Sequence[Corruption],
    metric: Metric,
) -> DamagedRow:
    """Return what a method scores on corrupted images.

    Args:
        experiment: what its cells have in common.
        cells: those that are done, each with predictions of all these images.
        clean: their predictions of clean images.
        corruptions: of which there are predictions, in the order of reports.
        metric: that is measured.

    Raises:
        FerBenchError: predictions are not sound.
    """
    tables = [cell.table() for cell in cells]
    scores: dict[Corruption, Estimate] = {}
    flips: list[Array] = []
    for _, series in itertools.groupby(corruptions, key=lambda one: one.series):
        answers = [find_largest(clean.probabilities)]
        for one in series:
            damaged = [corrupted.corrupted(cell, table, one) for cell, table in zip(cells, tables, strict=True)]
            predictions, _, faults = read_predictions(damaged)
            if predictions is None or faults:
                raise FerBenchError(f"Predictions of {one} cannot be used: {faults[0]}.")
            scores[one] = measure_row(metric, predictions)
            answers.append(find_largest(predictions.probabilities))
        flips.append(count_flips(answers))
    kinds: dict[str, list[Estimate]] = defaultdict(list)
    for one, estimate in scores.items():
        kinds[one.series].append(estimate)
    means = {kind: average(estimates) for kind, estimates in kinds.items()}
    robustness = Robustness(
        clean=measure_row(metric, clean),
        kinds=means,
        mean=average([*means.values()]),
        flips=measure_flips(np.mean(flips, axis=0), clean.training, clean.units, clean.split),
        crossed=cross(experiment.protocol.folds, cells, clean),
    )
    key = f"{clean.key} {' '.join(map(str, corruptions))}"
    return DamagedRow(experiment=experiment, scores=scores, robustness=robustness, key=key)


@dataclass(frozen=True, kw_only=True)
class DamagedPair:
    """Two rows of a board; differences are the second minus the first.

    Attributes:
        first: a row; likewise ``second``.
        mean: of the mean score on corrupted images, and ``p_value`` adjusted for all pairs of the board.
        worst: of the scores on the worst kind of each.
        flips: of the flips of an image.
    """

    first: DamagedRow
    second: DamagedRow
    mean: Difference
    p_value: float
    worst: ExtremeDifference
    flips: Difference


def compare_rows(rows: Sequence[DamagedRow], *, with_first: bool = False) -> list[DamagedPair]:
    """Return every two rows that tested the same images under the same corruptions; rows of one key stand together.

    Args:
        rows: of any boards.
        with_first: return only pairs with the first row of a key; p-values are adjusted for all pairs.
    """
    pairs: list[DamagedPair] = []
    for _, group in itertools.groupby(rows, key=lambda one: one.key):
        board = list(group)
        indices = list(itertools.combinations(range(len(board)), 2))
        adjusted = adjust_steps([one.robustness.mean for one in board], indices).tolist()
        for (i, j), p_value in zip(indices, adjusted, strict=True):
            if i and with_first:
                continue
            first, second = board[i].robustness, board[j].robustness
            pairs.append(
                DamagedPair(
                    first=board[i],
                    second=board[j],
                    mean=compare_estimates(first.mean, second.mean),
                    p_value=p_value,
                    worst=compare_worst(gather([*first.kinds.values()]), gather([*second.kinds.values()])),
                    flips=compare_estimates(first.flips, second.flips),
                )
            )
    return pairs


@dataclass(frozen=True, kw_only=True)
class DifferencesRecord(Record):
    """A row on corrupted images minus the first row of its board, with the ends of 95 % intervals.

    Attributes:
        corrupted: of the mean score; ``p_value`` is adjusted for all pairs of the board.
        worst: of the scores on the worst kind of each.
        flips: of the flips of an image. The ends of all three are null where too few units allow none.
    """

    corrupted: float
    corrupted_low: float | None
    corrupted_high: float | None
    p_value: Share
    worst: float
    worst_low: float | None
    worst_high: float | None
    flips: float
    flips_low: float | None
    flips_high: float | None


@dataclass(frozen=True, kw_only=True)
class DamageRecord(Record):
    """What a row scores on corrupted images, each number with the ends of its 95 % interval.

    Attributes:
        corrupted: the mean over kinds of the mean over severities.
        worst: of the kind with the worst score, ``worst_kind``.
        flips: changes of an image's answer along the severities of a kind, the mean over kinds.
        corruptions: of which there are predictions.
        to_first: what it scores more than the first row of the board; None of that row, and of one that was tested
            under other corruptions.
    """

    corrupted: float
    corrupted_low: float
    corrupted_high: float
    worst: float
    worst_low: float
    worst_high: float
    worst_kind: str
    flips: float
    flips_low: float
    flips_high: float
    corruptions: tuple[str, ...]
    to_first: DifferencesRecord | None


def record_row(row: DamagedRow, to_first: DamagedPair | None) -> DamageRecord:
    """Return a row for JSON."""
    robust = row.robustness
    mean, worst, flips = robust.interval(robust.mean), robust.worst_interval(), robust.interval(robust.flips)
    return DamageRecord(
        corrupted=robust.mean.value,
        corrupted_low=mean.low,
        corrupted_high=mean.high,
        worst=robust.kinds[robust.worst].value,
        worst_low=worst.low,
        worst_high=worst.high,
        worst_kind=robust.worst,
        flips=robust.flips.value,
        flips_low=flips.low,
        flips_high=flips.high,
        corruptions=tuple(map(str, row.scores)),
        to_first=to_first and _record_differences(to_first),
    )


def _record_differences(pair: DamagedPair) -> DifferencesRecord:
    mean, worst, flips = (find_ends(one) for one in (pair.mean, pair.worst, pair.flips))
    return DifferencesRecord(
        corrupted=pair.mean.value,
        corrupted_low=mean[0],
        corrupted_high=mean[1],
        p_value=pair.p_value,
        worst=pair.worst.value,
        worst_low=worst[0],
        worst_high=worst[1],
        flips=pair.flips.value,
        flips_low=flips[0],
        flips_high=flips[1],
    )
