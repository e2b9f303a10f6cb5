"""What a process takes at a time from a grid that several processes work on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from fer_bench.executors.grid import Block, Grid, Job
from fer_bench.executors.leases import Holder, Leases
from fer_bench.results.canonical import digest, to_json
from fer_bench.results.records import Cell
from fer_bench.specs import ConvexPhase


@dataclass(frozen=True, eq=False)
class Unit:
    """A cell, or the cells of a block whose heads are fitted at once.

    Attributes:
        block: of the cells.
        jobs: those that are to be done.
        name: of its lease, the same in every run that has these cells.
    """

    block: Block
    jobs: tuple[Job, ...]
    name: str


def divide(grid: Grid, jobs: Collection[Job]) -> list[Unit]:
    """Return the units that hold some jobs of a grid, in its order."""
    ids = {id(job) for job in jobs}
    units: list[Unit] = []
    for block in grid.blocks:
        todo = tuple(job for job in block.jobs if id(job) in ids)
        if todo and not block.search and len(block.plan.phases) == 1 and isinstance(block.plan.phases[0], ConvexPhase):
            units.append(Unit(block, todo, _names(todo[0].cell)[0]))
        else:
            units += (Unit(block, (job,), _names(job.cell)[1]) for job in todo)
    return units


def _names(cell: Cell) -> tuple[str, str]:
    """Return the names of the units that a cell is part of: with heads fitted at once, and by itself."""
    return cell.experiment.id[:16], cell.id[:16]


@contextlib.contextmanager
def held(cell: Cell, leases: Leases) -> Iterator[Holder | None]:
    """Keep other processes from working at a stored cell within the block; yield who works at it already."""
    with contextlib.ExitStack() as stack:
        for name in _names(cell):
            if not stack.enter_context(leases.take(name)):
                yield leases.holder(name)
                return
        yield None


def by_outputs(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Yield the units that share the outputs of frozen stages: those of one task and backbone."""
    for _, group in itertools.groupby(units, key=lambda unit: (id(unit.block.task), id(unit.block.backbone))):
        yield list(group)


def name_of_outputs(unit: Unit, cache: int) -> str:
    """Return the name of the lease of the frozen stages that a unit needs.

    Args:
        unit: one of those that share them.
        cache: tells the caches of machines apart, each of which needs the outputs.
    """
    cell = unit.jobs[0].cell
    record = {"dataset": to_json(cell.dataset), "backbone": to_json(cell.backbone), "cache": cache}
    return f"outputs-{digest(record)[:16]}"
