"""Methods against each annotator who has a name, on images on which annotators agree and on doubtful ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.arrays import Array
from fer_bench.evaluation.cross_validation import CrossValidation
from fer_bench.evaluation.intervals import Interval, algorithm_interval
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.reports.comparison import measure_row
from fer_bench.reports.table import Cell, Column, Field, Table, percent, tabulate
from fer_bench.results.predictions import Predictions
from fer_bench.results.records import DatasetRecord

LABELS = "the labels"
NOTE = (
    "UAR in percent with the 95 % intervals of the board, the annotator's votes taken as the truth, on the images that "
    "the annotator saw. The labels against an annotator are a little too high, since each took part in the label."
)


@dataclass(frozen=True, kw_only=True)
class AnnotatorScore:
    """Answers against one annotator, by UAR.

    Attributes:
        annotator: the name.
        answers: name of a method, or ``LABELS``.
        images: that the annotator saw.
        everything: on all of them; ``agreed``: on those on which annotators agree; ``doubtful``: on the others. None
            where fewer than two classes or two units are left.
    """

    annotator: str
    answers: str
    images: int
    everything: Interval | None
    agreed: Interval | None
    doubtful: Interval | None


def score_each_annotator(
    methods: Sequence[tuple[str, Predictions, CrossValidation | None]], dataset: DatasetRecord, sure: Array | None
) -> list[AnnotatorScore]:
    """Return how the labels and each method do against each annotator who has a name.

    Args:
        methods: names, predictions of the same images, and how folds trained on each other, see `algorithm_interval`.
        dataset: that they are of.
        sure: (images,) bool, on which images annotators agree; None without votes.
    """
    first = methods[0][1]
    places = {name: index for index, name in enumerate(dataset.classes)}
    scores: list[AnnotatorScore] = []
    for annotator in first.annotators:
        once = first.take(np.unique(first.sample, return_index=True)[1])
        labels = replace(once, probabilities=np.eye(len(places))[once.labels])
        for name, predictions, crossed in [(LABELS, labels, None), *methods]:
            votes = _read_votes(predictions.annotators[annotator], dataset.labels.map, places)
            answered = predictions.take(np.flatnonzero(votes >= 0))
            answered = replace(answered, labels=votes[votes >= 0])
            parts = [None, None] if sure is None else [sure[answered.sample], ~sure[answered.sample]]
            scores.append(
                AnnotatorScore(
                    annotator=annotator,
                    answers=name,
                    images=answered.n_samples,
                    everything=_score(answered, crossed),
                    agreed=None if parts[0] is None else _score(answered.take(np.flatnonzero(parts[0])), crossed),
                    doubtful=None if parts[1] is None else _score(answered.take(np.flatnonzero(parts[1])), crossed),
                )
            )
    return scores


def _read_votes(column: tuple[list[str], Array], mapped: Mapping[str, str | None], places: Mapping[str, int]) -> Array:
    """Return the class of each vote, (n,) int32; -1 without a vote, and for a label that has no place."""
    names, codes = column
    classes = [places.get(mapped.get(name, name) or "", -1) for name in names]
    return np.array([*classes, -1], np.int32)[codes]


def _score(part: Predictions, crossed: CrossValidation | None) -> Interval | None:
    if len(part) == 0 or len(np.unique(part.labels)) < 2 or part.n_units < 2:
        return None
    return algorithm_interval(measure_row(STANDARD["uar"], part), crossed)


def to_table(scores: Sequence[AnnotatorScore]) -> Table:
    """Return a row for each annotator and each method."""
    return tabulate(scores, FIELDS, "Against each annotator", (NOTE,))


def _range(one: Interval | None) -> Cell:
    return one and percent(one.estimate, (one.low, one.high))


FIELDS: tuple[Field[AnnotatorScore], ...] = (
    (Column("annotator"), lambda one: one.annotator),
    (Column("answers"), lambda one: one.answers),
    (Column("images", "number", optional=True), lambda one: one.images),
    (Column("UAR", "number"), lambda one: _range(one.everything)),
    (Column("agreed", "number", optional=True), lambda one: _range(one.agreed)),
    (Column("doubtful", "number", optional=True), lambda one: _range(one.doubtful)),
)
