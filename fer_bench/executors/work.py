"""A grid that an executor is asked to run: what is left of it, what it is told, and its description for workers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.about import __version__
from fer_bench.config import RunConfig
from fer_bench.corruption import Corruption, parse
from fer_bench.executors.grid import Grid, Job
from fer_bench.executors.reporting import Reporter
from fer_bench.plugins import CORE, Plugins
from fer_bench.privacy import anonymise_component
from fer_bench.results import corrupted
from fer_bench.results.canonical import digest
from fer_bench.results.store import Store, StoredCell


@dataclass(frozen=True)
class Summary:
    """How many cells of the grid are stored as ``ok`` and ``failed`` now."""

    ok: int
    failed: int


class Work:
    """The cells of a grid that are not stored as ``ok``.

    An executor calls `add` for each cell that is stored now, or `hear` with what its workers tell.

    Args:
        grid: all cells.
        store: of results.
        cache_dir: where stage outputs and compiled programs are kept.
        plugins: are told of events.
        reporter: is told how it goes.
        runs: the settings that make the grid; a replay has none, and tells plugins nothing.
        only: do just this job, trained as it is among those of its block: a replay.
        corruptions: of test images, on which its model is scored, too; of a run, those of the settings.

    Attributes:
        corruptions: likewise, of all jobs; a job is done once it has these predictions, too.
        pending: the jobs that are to be done, in the order of the grid.
        all_stored: what the store held at the beginning, as `Store.read_all` returns it.
    """

    def __init__(
        self,
        grid: Grid,
        store: Store,
        cache_dir: Path,
        plugins: Plugins,
        reporter: Reporter,
        runs: Sequence[RunConfig] = (),
        only: Job | None = None,
        corruptions: Sequence[Corruption] = (),
    ):
        self.corruptions = parse(runs[0].corrupt) if runs else tuple(corruptions)
        self.grid, self.store, self.cache_dir, self.plugins, self.reporter = grid, store, cache_dir, plugins, reporter
        self.runs, self._told = tuple(runs), plugins if runs else None
        self.all_stored = store.read_all()
        by_id = {cell.id: cell for cell in self.all_stored[0]}
        before = [(job, by_id.get(job.cell.id)) for job in grid.jobs]
        self._failed_before = {job.cell.id: cell.finished for job, cell in before if cell and not cell.ok}
        self.pending = [only] if only else [job for job, cell in before if not (cell and self.whole(cell))]
        self._cells, self.done = len(before), len(before) - len(self.pending)
        self._left = {job.cell.id: job for job in self.pending}
        self._counts = Counter(ok=self.done)

    @property
    def cache_limit(self) -> int | None:
        """Bytes that stage outputs may take; None is half of their size and the free space."""
        return self.runs[0].cache_limit if self.runs else None

    @property
    def keeps_models(self) -> bool:
        """Whether what cells learn is kept beside them."""
        return bool(self.runs) and self.runs[0].keep != "none"

    @property
    def executor(self) -> str:
        """The executor as the user typed it, without what is private; nothing for a replay."""
        return anonymise_component(self.runs[0].executor) if self.runs else ""

    @property
    def staged(self) -> bool:
        """Whether workers share no folder with this process."""
        return bool(self.runs) and self.runs[0].stage

    def begin(self) -> None:
        """Tell that it begins.

        Raises:
            FerBenchError: there is work, and the runs folder cannot be written.
        """
        if self.pending:
            self.store.ensure_writable()
        if self.runs:
            self.reporter.begin(self._cells, self.done)
        self._notify("fer_bench_run_start", cells=self._cells, done=self.done, runs_dir=self.store.runs_dir)

    def whole(self, cell: StoredCell) -> bool:
        """Return whether a stored cell is ok and has the predictions of all corrupted images that are asked for."""
        return cell.ok and not corrupted.lacking(cell, self.corruptions)

    def stored(self, job: Job) -> StoredCell | None:
        """Return the cell of a job if it is whole, or if a process stored after this run began that it failed."""
        cell = self.store.find(job.cell)
        if cell is None or self.whole(cell):
            return cell
        return None if cell.ok or cell.finished == self._failed_before.get(cell.id) else cell

    def add(self, cell: StoredCell, new: bool = True) -> None:
        """Count a cell once.

        Args:
            cell: as it is stored.
            new: whether this run stored it, not another one on the same folder.
        """
        job = self._left.pop(cell.id, None)
        if job is None:
            return
        self._counts[cell.status] += 1
        self.reporter.cell(cell, str(job.cell))
        if new:
            record = {"id": cell.id, "status": cell.status, **cell.record.record()}
            self._notify("fer_bench_cell_done", cell=record)

    def end(self) -> Summary | None:
        """Tell that it is over and return its summary; None if some cells are not stored."""
        for job in list(self._left.values()):
            if cell := self.stored(job):
                self.add(cell, new=False)
        if self._left:
            return None
        ok, failed = self._counts["ok"], self._counts["failed"]
        self._notify("fer_bench_run_end", ok=ok, failed=failed, runs_dir=self.store.runs_dir)
        return Summary(ok, failed)

    @property
    def left(self) -> int:
        """How many cells were not counted yet."""
        return len(self._left)

    def describe(self, share: Sequence[str] = (), runs: Sequence[RunConfig] = ()) -> str:
        """Return what `fer_bench.executors.worker.do` takes: settings, versions, and a hash of all cells.

        Args:
            share: ids of the cells that a worker does which shares no folder with this process; none means all, with
                the folders of this process.
            runs: the settings as such a worker knows them, with names of files that it was given.
        """
        folders = [] if share else [self.store.runs_dir, *_folders(self.runs[0])]
        return json.dumps(
            {
                "runs": [run.model_dump(mode="json") for run in runs or self.runs],
                "folders": [str(folder.absolute()) for folder in folders],
                "share": [*share],
                "versions": versions(self.plugins),
                "cells": digest_of(self.grid),
            }
        )

    def narrow(self, share: AbstractSet[str]) -> list[str]:
        """Leave all cells but some to others; return the ids of those of them that are stored already."""
        self.pending = [job for job in self.pending if job.cell.id in share]
        self._left = {job.cell.id: job for job in self.pending}
        return sorted(share - self._left.keys())

    def hear(self, worker: int, message: Mapping[str, Any]) -> None:
        """Show what a worker tells.

        Args:
            worker: its number, from 1.
            message: from `fer_bench.executors.worker.do`.
        """
        match dict(message):
            case {"step": [str(what), int() | None as total]}:
                self.reporter.step(f"worker {worker}: {what}", total, worker)
            case {"advance": int(parts)}:
                self.reporter.advance(parts, worker)
            case {"end": True}:
                self.reporter.end(worker)
            case {"compile": bool(begins)}:
                self.reporter.compile(begins, worker)
            case {"warn": str(text)}:
                self.reporter.warn(f"worker {worker}: {text}")
            case {"cell": str(cell_id)} if cell_id in self._left:
                if cell := self.stored(self._left[cell_id]):
                    self.add(cell)
            case _:
                pass

    def _notify(self, hook: str, **arguments: object) -> None:
        for message in self._told.notify(hook, **arguments) if self._told else ():
            self.reporter.warn(message)


def versions(plugins: Plugins) -> dict[str, str]:
    """Return distribution -> version of fer-bench and of each plugin that works."""
    return {CORE: __version__, **{plugin.distribution: plugin.version for plugin in plugins if plugin.status == "ok"}}


def digest_of(grid: Grid) -> str:
    """Return a hash of the ids of all cells."""
    return digest({"cells": [job.cell.id for job in grid.jobs]})


def _folders(run: RunConfig) -> tuple[Path, Path]:
    return run.data_folder, run.cache_folder
