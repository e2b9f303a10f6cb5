"""Cells gathered into rows by what they are called: a row can be compared with itself at another commit."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.results.canonical import to_json
from fer_bench.results.predictions import Predictions
from fer_bench.results.reading import read_predictions
from fer_bench.results.records import Experiment, name_training
from fer_bench.results.store import Store, StoredCell
from fer_bench.results.versions import differences, without_code
from fer_bench.sizes import number_of

MOST_MISSING = 1000
MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class MethodRow:
    """All folds and seeds of a data set x protocol x backbone x strategy.

    Attributes:
        id: hash of what its cells have in common; two states of the code make two rows of one name.
        name: how it is called; rows of two runs with one name are the same question.
        experiment: what its cells have in common.
        cells: by seed of the folds, seed and fold.
        pairs: cells of its jackknife, whose models were trained without two of its folds, in the same order.
        older: how many rows are left out that differ from it only in code and were stored before it.
    """

    id: str
    name: str
    experiment: Experiment
    cells: tuple[StoredCell, ...]
    pairs: tuple[StoredCell, ...] = ()
    older: int = 0

    @property
    def splits(self) -> dict[int, str]:
        """Seed of the folds -> hash of its splits."""
        return {cell.record.dealt_by: cell.record.protocol.splits_sha256 for cell in self.cells}

    @property
    def trainings(self) -> list[tuple[int, int]]:
        """(seed of the folds, seed) of every training, in order."""
        return sorted({cell.record.training for cell in self.cells})

    @property
    def failed(self) -> tuple[StoredCell, ...]:
        """Cells that have no predictions."""
        return tuple(cell for cell in self.cells if not cell.ok)

    @property
    def missing(self) -> list[str]:
        """Seeds and folds of the cells that are not there, in words, the first of them."""
        present = {(cell.record.training, cell.record.fold) for cell in self.cells}
        expected = itertools.product(self.trainings, range(self.experiment.protocol.folds))
        missing = (
            f"{name_training(training)}, fold {fold}" for training, fold in expected if (training, fold) not in present
        )
        return list(itertools.islice(missing, MOST_MISSING))

    @property
    def one_random_training(self) -> bool:
        """Whether its training is random and was done once, so that nothing shows how much that matters."""
        return len({cell.record.training for cell in self.done}) == 1 and self.done[0].trained_in_epochs

    @property
    def finished(self) -> str:
        """When the last of its cells was stored, in UTC as ISO 8601."""
        return max(cell.finished for cell in self.cells)

    @cached_property
    def _read(self) -> tuple[Predictions | None, list[StoredCell], list[str]]:
        return read_predictions([cell for cell in self.cells if cell.ok])

    def assume(self, predictions: Predictions) -> None:
        """Take these for the predictions of all cells that are ok, which need not be read then."""
        vars(self)["_read"] = predictions, [cell for cell in self.cells if cell.ok], []

    @property
    def predictions(self) -> Predictions | None:
        """Predictions of all cells that are done; None if there is none."""
        return self._read[0]

    @property
    def done(self) -> list[StoredCell]:
        """Cells that are ok and whose predictions are sound; `Predictions.cell` is the place among them."""
        return self._read[1]

    @cached_property
    def further(self) -> tuple[Predictions | None, str]:
        """Predictions of the jackknife, and why they are not used; no predictions and no reason without a jackknife.

        Every training of the row has all of its cells, or none is used. Those of other trainings are left out.
        """
        if not self.pairs:
            return None, ""
        trainings = set(self.trainings)
        own = [cell for cell in self.pairs if cell.record.training in trainings]
        if lacking := sorted(trainings - {cell.record.training for cell in own}):
            names = "; ".join(name_training(training) for training in lacking[:MOST_NAMED])
            more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
            return None, f"the jackknife lacks {names}{more}"
        predictions, sound, _ = read_predictions([cell for cell in own if cell.ok])
        expected = own[0].record.protocol.folds * len(trainings)
        if predictions is None or len(sound) < expected:
            return None, f"{len(sound)} of {expected} cells of the jackknife are done"
        return predictions, ""

    @property
    def damaged(self) -> list[str]:
        """A message for each cell that is ok by its record and whose predictions are not sound."""
        return self._read[2]


def group(cells: Iterable[StoredCell]) -> list[MethodRow]:
    """Return the rows of ``cells``, by name and id. The cells of a jackknife belong to the row whose folds it left out,
    if that is there.

    Where a seed dealt in two ways, as before and after an audit that found copies, the way stored last counts.
    """
    groups: dict[Experiment, list[StoredCell]] = defaultdict(list)
    by_records: dict[tuple[object, ...], list[StoredCell]] = {}  # of records, which cells share: their hashes take long
    for cell in cells:
        record = cell.record
        key = id(record.dataset), id(record.protocol), id(record.backbone), id(record.strategy), record.numerics
        if key not in by_records:
            by_records[key] = groups[record.experiment]
        by_records[key].append(cell)
    pairs = {experiment.deal: _choose(groups[experiment]) for experiment in groups if experiment.protocol.pairs_of}
    rows: list[MethodRow] = []
    for experiment, members in groups.items():
        if not experiment.protocol.pairs_of:
            beside = pairs.pop(experiment.deal, ()) if pairs else ()
            rows.append(MethodRow(experiment.id, experiment.question, experiment, _choose(members), beside))
    for members in pairs.values():
        experiment = members[0].record.experiment
        rows.append(MethodRow(experiment.id, experiment.question, experiment, members))
    return sorted(rows, key=lambda row: (row.name, row.id))


def _choose(members: Sequence[StoredCell]) -> tuple[StoredCell, ...]:
    """Return the cells of an experiment that count, in order."""
    by_time = sorted(members, key=lambda cell: cell.finished)
    splits = {cell.record.dealt_by: cell.record.protocol.splits_sha256 for cell in by_time}
    chosen = [cell for cell in members if cell.record.protocol.splits_sha256 == splits[cell.record.dealt_by]]
    return tuple(sorted(chosen, key=lambda cell: (*cell.record.training, cell.record.fold)))


def newest(rows: Iterable[MethodRow]) -> dict[str, list[MethodRow]]:
    """Return id -> older rows, the newest of them first, of each row that no other differs from in code and is newer.

    The newer of two rows is the one whose last cell was stored later.
    """
    groups: dict[Experiment, list[MethodRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.finished, row.id), reverse=True):
        groups[without_code(row.experiment)].append(row)
    return {row.id: older for row, *older in groups.values()}


def gather(cells: Sequence[StoredCell]) -> dict[str, MethodRow]:
    """Return name -> row; of rows that differ only in code the newest.

    Raises:
        FerBenchError: two other rows have one name, as when the data changed.
    """
    rows = group(cells)
    current = newest(rows)
    groups: dict[str, list[MethodRow]] = defaultdict(list)
    for row in rows:
        if row.id in current:
            groups[row.name].append(replace(row, older=len(current[row.id])))
    clashes = [f"{name}: {_first_difference(several)}" for name, several in groups.items() if len(several) > 1]
    if clashes:
        raise FerBenchError(
            f"The runs hold several results under one name, so it is unclear which is meant:\n{bullet_list(clashes)}\n"
            "Delete the old cells, or run into a fresh folder with --runs-dir. 'fer-bench compare' holds them together."
        )
    return {name: several[0] for name, several in groups.items()}


def read_rows(runs_dir: Path) -> tuple[dict[str, MethodRow], list[str]]:
    """Return name -> row of a runs folder, and a message for each damaged cell.

    Raises:
        FerBenchError: there is no such folder, it is empty, or two rows of one name differ in more than code.
    """
    cells, damaged = Store(runs_dir).cells()
    if not cells:
        raise no_cells(runs_dir, damaged)
    return gather(cells), damaged


def no_cells(runs_dir: Path, damaged: Sequence[str]) -> FerBenchError:
    """Return what to tell a user whose runs folder holds no intact cells; ``damaged`` has a message for each other."""
    return FerBenchError(
        f"The runs folder {str(runs_dir)!r} holds no {'intact ' if damaged else ''}cells. "
        f"Run 'fer-bench run --runs-dir {runs_dir}' first." + (f" Left out:\n{bullet_list(damaged)}" if damaged else "")
    )


def _first_difference(rows: list[MethodRow]) -> str:
    name, first, second = differences(*(to_json(row.experiment) for row in rows[:2]))[0]
    return (
        f"{number_of(len(rows), 'variant')} ({', '.join(row.id[:8] for row in rows)}), {name} {first!r} and {second!r}"
    )
