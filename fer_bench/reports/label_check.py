"""What a data set's labels are worth: how many are probably wrong, which, and what annotators themselves reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.arrays import Array
from fer_bench.data.texts import listed
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.annotators import (
    Agreement,
    answers_of,
    find_ceiling,
    score_against_annotators,
    score_annotators,
)
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.intervals import Interval, algorithm_interval
from fer_bench.evaluation.label_noise import LabelNoise, bound_label_noise, estimate_label_noise
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.annotator_check import AnnotatorScore, score_each_annotator
from fer_bench.reports.comparison import cross, line_up, measure_row, rank
from fer_bench.results.predictions import Predictions
from fer_bench.results.rows import MethodRow

UAR = STANDARD["uar"]


@dataclass(frozen=True, kw_only=True)
class PartScore:
    """A score on a part of the images, and the letters of its tier there; both None or empty where too little is."""

    value: Interval | None
    tier: str = ""


@dataclass(frozen=True, kw_only=True)
class MethodCheck:
    """A method on parts of the images, by UAR.

    Attributes:
        name: backbone and strategy, and the protocol where there are several.
        everything: on all images; ``kept``: without the suspects.
        agreed: on images whose annotators agree; ``doubtful``: on the others; None without votes.
        annotator: against an annotator drawn at random; None without votes.
    """

    name: str
    everything: PartScore
    kept: PartScore
    agreed: PartScore | None = None
    doubtful: PartScore | None = None
    annotator: Agreement | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelCheck:
    """The labels of one data set.

    Attributes:
        dataset: as the user typed it, with its label set.
        classes: their names.
        ids: (n,) of the images; ``labels``: (n,) int; ``probabilities``: (n, c), the mean of all methods.
        noise: the estimate; ``wrong``: (2,) its interval; ``wrong_by_class``: (c, 2).
        methods: that tested these images.
        left_out: names of methods that tested other images of the data set.
        soft: (n, c) shares of annotators; None without votes.
        labelled: an annotator against the labels, ``ceiling``: the best answers against an annotator; None without
            votes.
        annotators: the labels and each method against each annotator who has a name.
    """

    dataset: str
    classes: tuple[str, ...]
    ids: list[str]
    labels: Array
    probabilities: Array
    noise: LabelNoise
    wrong: Array
    wrong_by_class: Array
    methods: tuple[MethodCheck, ...]
    left_out: tuple[str, ...] = ()
    soft: Array | None = None
    labelled: Agreement | None = None
    ceiling: Agreement | None = None
    annotators: tuple[AnnotatorScore, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An image whose label is probably wrong.

    Attributes:
        dataset: as the user typed it.
        id: of the image.
        label: as it is given; ``suggested``: the class that it probably is of.
        p_label: mean probability of the label.
        margin: that minus the largest of the other classes.
        annotators: share of annotators who gave the label; None without votes.
    """

    dataset: str
    id: str
    label: str
    suggested: str
    p_label: float
    margin: float
    annotators: float | None


@dataclass(frozen=True, eq=False)
class _Consensus:
    """What several methods say together of the images that all of them tested."""

    ids: list[str]
    labels: Array
    probabilities: Array
    units: Array | None
    soft: Array | None
    rows: list[tuple[MethodRow, Predictions]]
    left_out: list[str]


def check_labels(rows: Sequence[MethodRow], agreed: float) -> list[LabelCheck]:
    """Return what the rows say of the labels of each data set that they test.

    Args:
        rows: of one data set or several; those without predictions do not count.
        agreed: share of an image's annotators who must agree for the image to count as agreed.

    Raises:
        FerBenchError: no row has predictions, or those of a data set hold one class.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[MethodRow]] = defaultdict(list)
    for row in rows:
        if row.predictions is not None:
            groups[row.experiment.dataset.fingerprint, row.experiment.dataset.classes].append(row)
    if not groups:
        raise FerBenchError("None of these rows has predictions: all of their cells failed or are damaged.")
    return [_check(members, agreed) for members in groups.values()]


def _check(rows: Sequence[MethodRow], agreed: float) -> LabelCheck:
    consensus = _join(rows)
    experiment = rows[0].experiment
    labels, probabilities = consensus.labels, consensus.probabilities
    if len(np.unique(labels)) < 2:
        raise FerBenchError(
            f"The rows of {experiment.dataset.text!r} hold images of one class: nothing can be confused."
        )
    noise = estimate_label_noise(labels, probabilities)
    wrong, by_class = bound_label_noise(labels, probabilities, consensus.units)
    suspect = np.zeros(len(labels), bool)
    suspect[noise.suspects] = True
    soft = consensus.soft
    sure = None if soft is None else soft.max(axis=1) >= agreed
    parts = [np.ones(len(labels), bool), ~suspect, *([] if sure is None else [sure, ~sure])]
    scores = [_score_part(consensus, part) for part in parts]
    names = _names([row for row, _ in consensus.rows])
    methods = [
        MethodCheck(
            name=name,
            **dict(zip(("everything", "kept", "agreed", "doubtful"), columns, strict=False)),
            annotator=None if soft is None else score_against_annotators(*_soft_answers(soft, predictions)),
        )
        for name, (_, predictions), *columns in zip(names, consensus.rows, *scores, strict=True)
    ]
    return LabelCheck(
        dataset=experiment.dataset.text,
        classes=experiment.dataset.classes,
        ids=consensus.ids,
        labels=labels,
        probabilities=probabilities,
        noise=noise,
        wrong=wrong,
        wrong_by_class=by_class,
        methods=tuple(methods),
        left_out=tuple(consensus.left_out),
        soft=soft,
        labelled=None if soft is None else score_annotators(soft, labels),
        ceiling=None if soft is None else find_ceiling(soft),
        annotators=tuple(
            score_each_annotator(
                [(name, one, _cross(row, one)) for name, (row, one) in zip(names, consensus.rows, strict=True)],
                experiment.dataset,
                sure,
            )
        ),
    )


def _names(rows: Sequence[MethodRow]) -> list[str]:
    """Return backbone and strategy of each row, and its protocol where rows have several."""
    several = len({row.experiment.protocol for row in rows}) > 1
    parts = [(each.backbone.text, each.strategy.text, each.protocol.name) for each in (row.experiment for row in rows)]
    return [", ".join(part[: 3 if several else 2]) for part in parts]


def _soft_answers(soft: Array, predictions: Predictions) -> tuple[Array, Array]:
    return soft[predictions.sample], answers_of(predictions.probabilities)


def _join(rows: Sequence[MethodRow]) -> _Consensus:
    """Return the mean predictions of the rows that tested the images that most of them did."""
    readable = [(row, row.predictions) for row in rows if row.predictions is not None]
    most = max((len(predictions.ids), -place) for place, (_, predictions) in enumerate(readable))
    first = readable[-most[1]][1]
    same = [(row, predictions) for row, predictions in readable if predictions.ids.equals(first.ids)]
    left_out = [row.name for row, predictions in readable if not predictions.ids.equals(first.ids)]
    shape = len(first.ids), first.probabilities.shape[1]
    total = np.zeros(shape)
    for _, predictions in same:
        counts = np.bincount(predictions.sample, minlength=shape[0])[:, None]
        sums = [np.bincount(predictions.sample, column, shape[0]) for column in predictions.probabilities.T]
        total += np.stack(sums, axis=1) / counts
    place = np.unique(first.sample, return_index=True)[1]
    units = first.units
    return _Consensus(
        ids=listed(first.ids),
        labels=first.labels[place],
        probabilities=total / total.sum(axis=1, keepdims=True),
        units=None if units is None else units[place],
        soft=None if first.soft is None else first.soft[place].astype(np.float64),
        rows=same,
        left_out=left_out,
    )


def _score_part(consensus: _Consensus, part: Array) -> list[PartScore]:
    """Return the UAR of every method on the images of a part, (n,) bool."""
    if len(np.unique(consensus.labels[part])) < 2:
        return [PartScore(value=None) for _ in consensus.rows]
    parts = [predictions.take(np.flatnonzero(part[predictions.sample])) for _, predictions in consensus.rows]
    lineup = line_up(UAR, parts)
    standings = rank(UAR, lineup, [adjust_steps(*question) for question in lineup.questions])
    return [
        PartScore(
            value=algorithm_interval(measure_row(UAR, predictions), _cross(*row)),
            tier=standing.tier if standing else "",
        )
        for row, predictions, standing in zip(consensus.rows, parts, standings, strict=True)
    ]


def _cross(row: MethodRow, predictions: Predictions) -> CrossValidation | None:
    return cross(row.experiment.protocol.folds, row.done, predictions)


def list_suspects(check: LabelCheck) -> list[Suspect]:
    """Return the suspects of a data set, the clearest first."""
    noise = check.noise
    suspects: list[Suspect] = []
    for place, sample in enumerate(map(int, noise.suspects)):
        label = int(check.labels[sample])
        suspects.append(
            Suspect(
                dataset=check.dataset,
                id=check.ids[sample],
                label=check.classes[label],
                suggested=check.classes[int(noise.suggested[place])],
                p_label=float(check.probabilities[sample, label]),
                margin=float(noise.margins[place]),
                annotators=None if check.soft is None else float(check.soft[sample, label]),
            )
        )
    return suspects
