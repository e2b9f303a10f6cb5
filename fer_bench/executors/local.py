"""Execute a grid in this process, which shares the work with others on the same runs folder."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer_bench.executors.cells import Calls, Frozen, demand_of, make_calls
from fer_bench.executors.grid import Grid, Job, Reporter
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import Unit, by_outputs, divide
from fer_bench.keeping.checkpoints import Checkpoint, remove_left
from fer_bench.keeping.programs import keep_compiled_programs
from fer_bench.networks.prefix import cache_of
from fer_bench.networks.source import BackboneSource
from fer_bench.plugins import Plugins
from fer_bench.results import provenance
from fer_bench.results.store import Store

POLL_S = 1.0
"""Between two looks at what other processes hold, where nothing else is left."""


@dataclass(frozen=True)
class Summary:
    """How many cells of the grid are stored as ``ok`` and ``failed`` now, and how many were done before."""

    ok: int
    failed: int
    done_before: int


def execute(
    grid: Grid,
    store: Store,
    cache_dir: Path,
    plugins: Plugins,
    reporter: Reporter,
    cache_limit: int | None = None,
    only: Job | None = None,
) -> Summary:
    """Run every cell that is not stored as ``ok`` yet; other processes on the same runs folder share the work.

    A cell that fails is stored with its error and the others go on.

    Args:
        grid: what to run.
        store: of results.
        cache_dir: where stage outputs and compiled programs are kept.
        plugins: are told of events.
        reporter: is told how it goes.
        cache_limit: bytes that stage outputs may take; None is half of what they take and what is free.
        only: store this job alone, trained as it is among those of its block, and tell plugins nothing: a replay.

    Raises:
        FerBenchError: the runs or the cache folder cannot be written; what was stored stays.
    """
    keep_compiled_programs(cache_dir, reporter.warn)
    cache = cache_of(cache_dir, cache_limit, reporter.warn)
    cache.space.tidy()
    origin = provenance.collect(plugins)
    before = {id(job): store.find(job.cell) for job in grid.jobs}
    pending = [job for job in grid.jobs if not ((cell := before[id(job)]) and cell.ok)]
    failed_before = {key: cell.finished for key, cell in before.items() if cell and not cell.ok}
    done = len(before) - len(pending)
    if pending:
        store.ensure_writable()
    told = plugins if only is None else None
    unfinished = store.runs_dir / "unfinished"
    remove_left(unfinished, lambda cell_id: store.folder(cell_id).is_dir(), {job.cell.id for job in grid.jobs})
    reporter.begin(len(before) if only is None else 1, done)
    _notify(told, reporter, "fer_bench_run_start", cells=len(before), done=done, runs_dir=store.runs_dir)
    counts = Counter(ok=done)

    def run(unit: Unit, calls: Calls) -> None:
        at_once = tuple(job.cell.place for job in unit.block.jobs)
        for job in unit.jobs:
            known = store.find(job.cell)
            if known and (known.ok or known.finished != failed_before.get(id(job))):  # by another process, meanwhile
                counts[known.status] += 1
                reporter.cell(known, str(job.cell))
                continue
            made = replace(origin, seeds=job.seeds, config=dict(job.config), together=at_once)
            # The checkpoint goes once the cell is stored.
            with Checkpoint(unfinished / f"{job.cell.id}.safetensors", reporter.warn) as checkpoint:
                stored = store.write(job.cell, calls[id(job)](checkpoint), made)
            counts[stored.status] += 1
            reporter.cell(stored, str(job.cell))
            cell = {"id": stored.id, "status": stored.status, **stored.record.record()}
            _notify(told, reporter, "fer_bench_cell_done", cell=cell)

    wanted = functools.cache(demand_of)
    with Leases(store.runs_dir) as leases:
        leases.tidy()
        left, waiting = divide(grid, pending if only is None else [only]), False
        while left:
            held: list[Unit] = []
            for units in by_outputs(left):
                block = units[0].block
                source = BackboneSource(block.backbone, block.backbone_identity, cache_dir, reporter.warn)
                frozen = Frozen(cache, source, {unit.block: wanted(unit.block) for unit in units}, leases, reporter)
                held += _run_group(units, frozen, run)
            if held and len(held) == len(left):
                if not waiting:
                    reporter.say(f"waiting for {sum(len(unit.jobs) for unit in held)} cells of other processes")
                waiting = True
                time.sleep(POLL_S)
            left = held
    _notify(told, reporter, "fer_bench_run_end", ok=counts["ok"], failed=counts["failed"], runs_dir=store.runs_dir)
    return Summary(counts["ok"], counts["failed"], done)


def _run_group(units: Sequence[Unit], frozen: Frozen, run: Callable[[Unit, Calls], None]) -> list[Unit]:
    """Run units that share the outputs of frozen stages; return those that other processes hold."""
    held: list[Unit] = []
    for block, members in itertools.groupby(units, key=lambda unit: unit.block):
        calls: Calls = {}
        for unit in members:
            with frozen.entered(unit) as entered, frozen.leases.take(unit.name) as taken:
                if entered and taken:
                    calls = calls or make_calls(block, frozen)
                    run(unit, calls)
                else:
                    held.append(unit)
    return held


def _notify(plugins: Plugins | None, reporter: Reporter, hook: str, **arguments: object) -> None:
    for message in plugins.notify(hook, **arguments) if plugins else ():
        reporter.warn(message)
