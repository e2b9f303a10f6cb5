"""By how many points a protocol that lets people, sequences or copies into both parts flatters."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.leaderboard import refuse
from fer_bench.reports.table import Column, Field, Table, percent, span, tabulate
from fer_bench.results.predictions import pair
from fer_bench.results.rows import MethodRow, group
from fer_bench.results.store import StoredCell

NOTES = (
    "UAR in percent: all predictions of a seed pooled, averaged over seeds. Both protocols test the same images with "
    "the same seeds. The 95 % interval of the difference is for other people (subjects, or groups that belong "
    "together) and for other folds and trainings, as far as seeds show them: with one seed it is of these folds and "
    "these trained models only.",
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
        difference: of the UAR, leaky minus honest, with its interval from two variances.
        accuracy: difference of the accuracy.
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
    difference: Difference
    accuracy: Difference

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
    if not any(cell.record.protocol.ignores for cell in cells):
        return []
    methods: dict[tuple[object, ...], dict[tuple[str, bool], list[MethodRow]]] = defaultdict(lambda: defaultdict(list))
    for row in group(cells):
        experiment = row.experiment
        method = experiment.dataset, experiment.backbone, experiment.strategy, experiment.numerics
        methods[method][experiment.protocol.name, bool(experiment.protocol.ignores)].append(row)
    pairs: list[Inflation] = []
    for protocols in methods.values():
        for leaky, honest in (("kfold", "group-kfold"), ("official", "official")):
            several = itertools.product(protocols[leaky, True], protocols[honest, False])
            twins = [two for two in several if len({row.experiment.protocol.folds for row in two}) == 1]
            for message in (
                message for row in dict.fromkeys(row for two in twins for row in two) for message in row.damaged
            ):
                left_out(message)
            pairs += [inflation for two in twins if (inflation := _compare(*two))]
    return sorted(pairs, key=lambda row: (row.dataset, row.protocol, row.trained_on, row.backbone, row.strategy))


def to_table(rows: Sequence[Inflation]) -> Table:
    """Return what flatters by how much."""
    return tabulate(rows, FIELDS, "By how many points each protocol flatters", NOTES)


FIELDS: tuple[Field[Inflation], ...] = (
    (Column("data set"), lambda row: f"{row.dataset}, trained on {row.trained_on}" if row.trained_on else row.dataset),
    (Column("backbone, strategy"), lambda row: f"{row.backbone}, {row.strategy}"),
    (Column("protocol"), lambda row: row.protocol),
    (Column("lets in"), lambda row: ", ".join("copies" if name == "copy" else f"{name}s" for name in row.ignores)),
    (Column("its UAR %", "number"), lambda row: percent(row.leaky)),
    (Column("leak-free UAR %", "number"), lambda row: percent(row.honest)),
    (Column("flatters by", "number"), lambda row: percent(row.difference.value, sign="+")),
    (Column("95 % interval", "number"), lambda row: span(row.difference.low, row.difference.high, "+z.1f")),
    (Column("images", "number", optional=True), lambda row: row.images),
)


def _compare(leaky: MethodRow, honest: MethodRow) -> Inflation | None:
    """Return the inflation, or None where the two share no two groups of images."""
    if leaky.predictions is None or honest.predictions is None:
        return None
    first, second = pair(leaky.predictions, honest.predictions)
    if not len(first) or first.n_units < 2:
        return None
    uar, accuracy = (tuple(measure_row(STANDARD[name], one) for one in (second, first)) for name in ("uar", "accuracy"))
    experiment = leaky.experiment
    return Inflation(
        **experiment.texts,
        trained_on=experiment.trained_on,
        ignores=experiment.protocol.ignores,
        twin=honest.experiment.protocol.text,
        images=first.n_samples,
        leaky=uar[1].value,
        honest=uar[0].value,
        difference=compare_estimates(*uar),
        accuracy=compare_estimates(*accuracy),
    )
