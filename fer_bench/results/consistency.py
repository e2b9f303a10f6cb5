"""Whether cells of several people belong together: what their records and predictions say of one test set.

Boards may be compared where they tested the same samples of the same splits in the same classes, under the same names.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fer_bench.results.reading import read_predictions
from fer_bench.results.records import DatasetRecord, ProtocolRecord
from fer_bench.results.store import StoredCell
from fer_bench.sizes import number_of

ONCE = frozenset({"kfold", "group-kfold", "loso", "official", "cross"})
"""Protocols that test a sample once in a training; a plugin's may do so several times."""


@dataclass(frozen=True)
class Pairing:
    """Two boards of one data set.

    Attributes:
        first: its name; ``second`` likewise.
        why_not: what keeps them from being compared; nothing if they may be.
    """

    first: str
    second: str
    why_not: tuple[str, ...]

    def __str__(self) -> str:
        if not self.why_not:
            return f"{self.first} and {self.second}: the same samples, splits and classes, so they may be compared"
        return f"{self.first} and {self.second} are not paired: {', '.join(self.why_not)}"


def find_contradictions(cells: Iterable[StoredCell]) -> list[str]:
    """Return what cells say of one test set that cannot be true together, in words.

    A sample has one label and one unit; cells of one fold of the same splits test the same samples; folds of one
    training that tests each sample once have none in common.
    """
    by_data: dict[DatasetRecord, list[StoredCell]] = defaultdict(list)
    for cell in cells:
        by_data[cell.record.dataset].append(cell)
    return [line for several in by_data.values() for line in _contradictions(several)]


def _contradictions(cells: Sequence[StoredCell]) -> Iterator[str]:
    """Yield what cells of one data set contradict one another about."""
    predictions, cells, _ = read_predictions(cells)
    if predictions is None:
        return
    sample, cell = predictions.sample, predictions.cell
    names = [stored.id[:16] for stored in cells]
    first = np.unique(sample, return_index=True)[1]  # the first row of each sample, which all of them have
    for what, values in (("labels", predictions.labels), ("units", predictions.unit)):
        wrong = np.flatnonzero(values != values[first][sample])
        for number, place in zip(*np.unique(cell[wrong], return_index=True), strict=True):
            other = names[cell[first[sample[wrong[place]]]]]
            yield f"{names[number]} and {other} give a sample two {what}"
    order = np.lexsort((sample, cell))
    parts = np.split(sample[order], np.flatnonzero(np.diff(cell[order])) + 1)
    tested: dict[tuple[str, int], tuple[bytes, str]] = {}
    for stored, name, part in zip(cells, names, parts, strict=True):
        fold, digest = stored.record.fold, hashlib.sha256(part.tobytes()).digest()
        same = tested.setdefault((stored.record.protocol.splits_sha256, fold), (digest, name))
        if same[0] != digest:
            yield f"{name} and {same[1]} test other samples in fold {fold} of the same splits"
    trainings: dict[tuple[str, tuple[int, int]], int] = {}
    code = np.array([trainings.setdefault((c.record.experiment.id, c.record.training), len(trainings)) for c in cells])
    once = np.array([stored.record.protocol.name in ONCE and not stored.record.protocol.pairs_of for stored in cells])
    order = np.lexsort((cell, sample, code[cell]))
    key = code[cell[order]].astype(np.int64) * len(predictions.ids) + sample[order]
    again = np.flatnonzero((np.diff(key) == 0) & once[cell[order[1:]]])
    numbers, places, counts = np.unique(cell[order[again + 1]], return_index=True, return_counts=True)
    for number, place, count in zip(numbers, places, counts, strict=True):
        other = names[cell[order[again[place]]]]
        yield f"{names[number]} and {other} test {number_of(count, 'sample')} twice in one training"


def pair_boards(cells: Iterable[StoredCell]) -> list[Pairing]:
    """Return every two boards of data sets of one name, and whether they may be compared."""
    boards: dict[tuple[DatasetRecord, ProtocolRecord], dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for cell in (cell for cell in cells if not cell.record.protocol.pairs_of):
        experiment = cell.record.experiment
        splits = boards[experiment.dataset, experiment.protocol]
        splits[cell.record.dealt_by].add(cell.record.protocol.splits_sha256)
    pairs: list[Pairing] = []
    for (first, first_splits), (second, second_splits) in itertools.combinations(boards.items(), 2):
        if first[0].name == second[0].name:
            one, other = (f"{data.text} / {protocol.text}" for data, protocol in (first, second))
            why = _why_not(first[0], second[0])
            if not any(first_splits[seed] & second_splits[seed] for seed in first_splits.keys() & second_splits.keys()):
                why.append("other splits")
            pairs.append(Pairing(one, other, tuple(why)))
    return pairs


def _why_not(first: DatasetRecord, second: DatasetRecord) -> list[str]:
    """Return what keeps two data sets from being the same test set."""
    reasons = [
        ("other samples", first.samples_sha256 != second.samples_sha256 or first.fingerprint != second.fingerprint),
        ("other classes", (first.classes, first.labels) != (second.classes, second.labels)),
        ("other faces", first.faces != second.faces),
        (f"ids hashed with other keys ({first.key or 'none'}, {second.key or 'none'})", first.key != second.key),
    ]
    return [reason for reason, differs in reasons if differs]
