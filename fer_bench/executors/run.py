"""A whole run: from settings to stored cells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError
from fer_bench.executors import memory
from fer_bench.executors.grid import expand
from fer_bench.executors.kept import FOLDER, drop_all_but_best, file_of
from fer_bench.executors.reporting import Reporter
from fer_bench.executors.work import Summary, Work
from fer_bench.plugins import CORE
from fer_bench.registry import Component, Registry
from fer_bench.results.store import Store, StoredCell
from fer_bench.several import collector
from fer_bench.sizes import number_of
from fer_bench.specs import ExecutorSpec


@dataclass(frozen=True, eq=False)
class Finished:
    """The result of a run.

    Attributes:
        summary: how many of its cells are ok, failed, or were done before.
        cells: all cells of the run, sorted by id.
        damaged: a message for each folder of the store that is no intact cell.
    """

    summary: Summary
    cells: tuple[StoredCell, ...]
    damaged: tuple[str, ...]


def run_grid(runs: Sequence[RunConfig], registry: Registry, reporter: Reporter) -> Finished:
    """Run every cell of ``runs`` that is not stored yet.

    Args:
        runs: the settings; folders are those of the first.
        registry: of the installed plugins.
        reporter: is told how it goes.

    Raises:
        FerBenchError: settings or data are not right, or a folder cannot be written; stored cells stay.
    """
    settings = runs[0]
    executor = registry.executor(settings.executor)
    if settings.stage:
        _check_stage(executor)
    if executor.spec.name != "local":
        # The driver computes nothing: the memory of a GPU is for its workers, several of which may share one.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    store = Store(settings.runs_dir)
    if not (settings.runs_dir / "cells").is_dir():  # else all may be done, and the folder may be read-only
        store.ensure_writable()
    grid = expand(runs, registry, settings.data_folder, settings.cache_folder, reporter)
    for note in (*grid.folds, *grid.notes):
        reporter.say(note)
    many = max((len(block.task) for block in grid.blocks), default=0) > memory.MANY
    if many:
        memory.give_back()
    work = Work(grid, store, settings.cache_folder, registry.plugins, reporter, runs)
    work.begin()
    if work.pending:
        execute = executor.resolve(executor.spec.execute)
        with collector(True):
            if executor.plugin.distribution == CORE:
                # What the core sets, as the folder of compiled programs, it sets for the whole process.
                execute(executor.params, work)
            else:
                executor.call(f"run by {str(executor)!r}", execute, executor.params, work)
    if (summary := work.end()) is None:
        raise FerBenchError(
            f"{number_of(work.left, 'cell is', 'cells are')} not done: the workers of {str(executor)!r} "
            "ended before. What is stored stays; "
            "look at the warnings above, then repeat the command to go on."
        )
    reporter.say(f"{number_of(summary.ok, 'cell')} ok, {summary.failed} failed; stored in {settings.runs_dir}.")
    ids, before = {job.cell.id for job in grid.jobs}, None if work.pending else work.all_stored
    if many:
        del grid, work
        memory.give_back(for_good=True)
    cells, damaged = before or store.cells()
    finished = Finished(summary, tuple(cell for cell in cells if cell.id in ids), tuple(damaged))
    if settings.keep == "best":
        drop_all_but_best(settings.runs_dir, finished.cells)
    if settings.keep != "none":
        _say_what_is_kept(settings, finished.cells, reporter)
    return finished


def _check_stage(executor: Component[ExecutorSpec]) -> None:
    """Raise FerBenchError if workers on other machines cannot do what is asked for."""
    if not executor.spec.stages:
        raise FerBenchError(
            f"--stage copies files to other machines, and the executor {str(executor)!r} uses the folders of this one. "
            "Leave --stage out, or name dask[scheduler=…] or slurm[…] with --executor."
        )


def _say_what_is_kept(settings: RunConfig, cells: Sequence[StoredCell], reporter: Reporter) -> None:
    kept = sum(file_of(settings.runs_dir, cell.id).is_file() for cell in cells)
    lacking = sum(cell.ok and not cell.record.protocol.pairs_of for cell in cells) - kept
    text = f"{number_of(kept, 'model is', 'models are')} kept in {settings.runs_dir / FOLDER}."
    if settings.keep == "all" and lacking:
        text += (
            f" {number_of(lacking, 'cell has', 'cells have')} none: nothing is trained in them, or a run "
            "that kept no model did them before. "
            "'fer-bench fit' trains a model on all data."
        )
    reporter.say(text)
