"""What of each row of a grid is stored, and which stored cells of the same name do not count, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fer_bench.executors.grid import Job
from fer_bench.results.records import Experiment
from fer_bench.results.rows import MethodRow, group
from fer_bench.results.store import StoredCell
from fer_bench.results.versions import explain
from fer_bench.sizes import number_of


@dataclass(frozen=True)
class Other:
    """Stored cells that are called like a row of the grid and do not count.

    Attributes:
        cells: how many.
        finished: the day on which the last of them was stored, as in ``2026-11-20``.
        why: what differs, in words.
    """

    cells: int
    finished: str
    why: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """A row of a grid.

    Attributes:
        dataset: as the user typed it; likewise ``protocol``, ``backbone`` and ``strategy``.
        cells: how many it has.
        done: those that are stored and count.
        failed: those that are stored as failed, and will be tried again.
        others: what does not count.
        trained_on: where other data sets train too, or alone: what trains; else empty.
        seconds: what is left takes; the first row that needs outputs of frozen stages takes theirs. None if not known.
    """

    dataset: str
    protocol: str
    backbone: str
    strategy: str
    cells: int
    done: int
    failed: int
    others: tuple[Other, ...]
    trained_on: str = ""
    seconds: float | None = 0.0


def find_rows(jobs: Sequence[tuple[Job, str]], stored: Iterable[StoredCell]) -> list[PlannedRow]:
    """Return the rows of a grid in its order.

    Args:
        jobs: every cell with ``done``, ``failed`` or ``to do``.
        stored: all cells of the runs folder.
    """
    on_disk: dict[str, list[MethodRow]] = defaultdict(list)
    for row in group(stored):
        on_disk[row.name].append(row)
    planned: dict[Experiment, list[tuple[Job, str]]] = defaultdict(list)
    for job, status in jobs:
        planned[job.cell.experiment].append((job, status))
    rows: list[PlannedRow] = []
    for experiment, members in planned.items():
        statuses = [status for _, status in members]
        splits = {job.cell.dealt_by: job.cell.protocol.splits_sha256 for job, _ in members}
        others = (_other(row, experiment, splits) for row in on_disk[experiment.question])
        rows.append(
            PlannedRow(
                dataset=experiment.dataset.text,
                protocol=experiment.protocol.text,
                backbone=experiment.backbone.text,
                strategy=experiment.strategy.text,
                cells=len(members),
                done=statuses.count("done"),
                failed=statuses.count("failed"),
                others=tuple(other for other in others if other),
                trained_on=experiment.trained_on,
            )
        )
    return rows


def _other(row: MethodRow, experiment: Experiment, splits: Mapping[int, str]) -> Other | None:
    """Return what of a stored row does not count for one that is planned and called the same; None if all does."""
    why, cells = explain(row.experiment, experiment), row.cells
    if not why:
        cells = [cell for cell in cells if cell.record.protocol.splits_sha256 != splits.get(cell.record.dealt_by)]
        cells, why = [cell for cell in cells if cell.record.dealt_by in splits], ["other splits"]
    return Other(len(cells), max(cell.finished for cell in cells)[:10], tuple(why)) if cells else None


def describe(rows: Sequence[PlannedRow]) -> list[str]:
    """Return in words what does not count, and why: one line for all rows that have the same reasons."""
    reasons: dict[tuple[str, ...], list[tuple[PlannedRow, Other]]] = defaultdict(list)
    for row in rows:
        for other in row.others:
            reasons[other.why].append((row, other))
    lines = []
    for why, pairs in reasons.items():
        first, count = pairs[0][0], sum(other.cells for _, other in pairs)
        where = (
            number_of(len(pairs), "row")
            if len(pairs) > 1
            else f"{first.backbone} / {first.strategy} on {first.dataset}"
        )
        cells = number_of(count, "stored cell does", "stored cells do")
        newest = max(other.finished for _, other in pairs)
        lines.append(f"{where}: {cells} not count, the newest of {newest}: {'; '.join(why)}.")
    return lines
