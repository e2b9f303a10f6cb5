"""By how many points a protocol that lets people, sequences or copies into both parts flatters."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fer_bench.evaluation.intervals import Interval, difference_interval
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports import comparison
from fer_bench.reports.leaderboard import refuse
from fer_bench.reports.table import Column, Field, Shown, Table, tabulate
from fer_bench.results.predictions import pair
from fer_bench.results.rows import MethodRow, group
from fer_bench.results.store import StoredCell

NOTES = (
    "UAR of all predictions pooled, in percent. Both protocols test the same images with the same seeds; the interval "
    "is of the difference, by resampling subjects, or groups of images that belong together (paired bootstrap, 95 %). "
    "It says how the difference would vary with other people; more seeds show how it varies with other folds.",
    "Leak-free official parts train without the images that share a subject, sequence or copy with a test image, so "
    "that a part of their difference may come from less training data.",
)


@dataclass(frozen=True, kw_only=True)
class Inflation:
    """One method under a protocol that leaks and under its leak-free twin.

    Attributes:
        dataset: that is tested; ``trained_on``: where other data train too; ``backbone`` and ``strategy``: the method.
        protocol: that leaks; ``ignores``: what it lets into both parts.
        twin: the protocol that does not.
        images: that both tested.
        leaky: UAR of the protocol, 0 to 1; ``honest``: of its twin.
        interval: of the difference of the UAR.
        accuracy: interval of the difference of the accuracy.
    """

    dataset: str
    trained_on: str
    backbone: str
    strategy: str
    protocol: str
    ignores: tuple[str, ...]
    twin: str
    images: int
    leaky: float
    honest: float
    interval: Interval
    accuracy: Interval

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def measure(cells: Sequence[StoredCell], left_out: Callable[[str], object] = refuse) -> list[Inflation]:
    """Return the inflation of each method that was run under a protocol that ignores groups and under its twin.

    The twin of ``kfold`` is ``group-kfold``; that of ``official`` is ``official`` with leaked
    training images left out; both have as many folds. Predictions are paired by seed and sample; those that only one
    has do not count.

    Args:
        cells: stored cells.
        left_out: is told of each cell that is left out since its predictions are not sound.

    Raises:
        FerBenchError: a cell is left out, and nobody is there to be told.
    """
    methods: dict[tuple[object, ...], dict[tuple[str, bool], list[MethodRow]]] = defaultdict(lambda: defaultdict(list))
    for row in group(cells):
        for message in row.damaged:
            left_out(message)
        asked = row.experiment
        if row.predictions is not None:
            method = asked.dataset, asked.backbone, asked.strategy, asked.numerics
            methods[method][asked.protocol.name, bool(asked.protocol.ignores)].append(row)
    pairs: list[Inflation] = []
    for protocols in methods.values():
        for leaky, honest in (("kfold", "group-kfold"), ("official", "official")):
            for row, twin in itertools.product(protocols[leaky, True], protocols[honest, False]):
                same = row.experiment.protocol.folds == twin.experiment.protocol.folds
                pairs += [made] if same and (made := _compare(row, twin)) else []
    return sorted(pairs, key=lambda row: (row.dataset, row.protocol, row.trained_on, row.backbone, row.strategy))


def to_table(rows: Sequence[Inflation]) -> Table:
    """Return what flatters by how much."""
    return tabulate(rows, FIELDS, "By how many points each protocol flatters", NOTES)


FIELDS: tuple[Field[Inflation], ...] = (
    (Column("data set"), lambda row: f"{row.dataset}, trained on {row.trained_on}" if row.trained_on else row.dataset),
    (Column("backbone, strategy"), lambda row: f"{row.backbone}, {row.strategy}"),
    (Column("protocol"), lambda row: row.protocol),
    (Column("lets in"), lambda row: ", ".join("copies" if name == "copy" else f"{name}s" for name in row.ignores)),
    (Column("its UAR %", "number"), lambda row: _points(row.leaky, "")),
    (Column("leak-free UAR %", "number"), lambda row: _points(row.honest, "")),
    (Column("flatters by", "number"), lambda row: _points(row.interval.estimate)),
    (
        Column("95 % interval", "number"),
        lambda row: Shown(f"{100 * row.interval.low:+.1f} to {100 * row.interval.high:+.1f}", row.interval.low),
    ),
    (Column("images", "number", optional=True), lambda row: row.images),
)


def _compare(leaky: MethodRow, honest: MethodRow) -> Inflation | None:
    """Return the inflation, or None where the two share no two groups of images."""
    assert leaky.predictions is not None
    assert honest.predictions is not None
    first, second = pair(leaky.predictions, honest.predictions)
    if not len(first) or first.n_units < 2:
        return None
    one, other = first.probabilities, second.probabilities
    uar, accuracy = (
        difference_interval(STANDARD[name], first.labels, one, other, first.units, level=1 - comparison.ALPHA)
        for name in ("uar", "accuracy")
    )
    experiment = leaky.experiment
    return Inflation(
        dataset=experiment.dataset.text,
        trained_on=experiment.trained_on,
        backbone=experiment.backbone.text,
        strategy=experiment.strategy.text,
        protocol=experiment.protocol.text,
        ignores=experiment.protocol.ignores,
        twin=honest.experiment.protocol.text,
        images=first.n_samples,
        leaky=STANDARD["uar"].compute(first.labels, one),
        honest=STANDARD["uar"].compute(first.labels, other),
        interval=uar,
        accuracy=accuracy,
    )


def _points(share: float, sign: str = "+") -> Shown:
    return Shown(f"{100 * share:{sign}.1f}", share)
