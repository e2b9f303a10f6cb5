"""Execute a grid in this process, which shares the work with others on the same runs folder."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fer_bench.executors.cells import Calls, Frozen, demand_of, make_calls
from fer_bench.executors.corrupted import Scorer
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import Unit, by_outputs, divide
from fer_bench.executors.work import Work
from fer_bench.keeping.checkpoints import Checkpoint, remove_left
from fer_bench.keeping.programs import keep_compiled_programs
from fer_bench.networks.meter import compiling_told
from fer_bench.networks.prefix import cache_of
from fer_bench.networks.source import BackboneSource
from fer_bench.results import provenance
from fer_bench.sizes import number_of
from fer_bench.specs import Params

POLL_S = 1.0
"""Between two looks at what other processes hold, where nothing else is left."""


def execute(params: Params, work: Work) -> None:
    """Run what is left of a grid; other processes on the same runs folder share it.

    A cell that fails is stored with its error and the others go on.

    Args:
        params: none.
        work: the grid.

    Raises:
        FerBenchError: the runs or the cache folder cannot be written; what was stored stays.
    """
    del params
    store, cache_dir, reporter = work.store, work.cache_dir, work.reporter
    keep_compiled_programs(cache_dir, reporter.warn)
    cache = cache_of(cache_dir, work.cache_limit, reporter.warn)
    cache.space.tidy()
    origin = replace(provenance.collect(work.plugins), executor=work.executor)
    unfinished = store.runs_dir / "unfinished"
    pending = {job.cell.id for job in work.pending}  # a stored one lacks predictions of corrupted images
    remove_left(
        unfinished,
        lambda cell_id: store.folder(cell_id).is_dir() and cell_id not in pending,
        {job.cell.id for job in work.grid.jobs},
    )

    def run(unit: Unit, calls: Calls, scorer: Scorer) -> None:
        at_once = tuple(job.cell.place for job in unit.block.jobs)
        for job in unit.jobs:
            if stored := work.stored(job):  # another process did it meanwhile
                work.add(stored, new=False)
                continue
            if (stored := store.find(job.cell)) and scorer.add_kept(unit.block, job, stored):
                continue
            recorded = replace(origin, seeds=job.seeds, config=dict(job.config), together=at_once)
            # The checkpoint goes once the cell is stored.
            with Checkpoint(unfinished / f"{job.cell.id}.safetensors", reporter.warn) as checkpoint:
                scorer.add(job, store.update(job.cell, calls[id(job)](checkpoint), recorded))

    demand = functools.cache(demand_of)
    with compiling_told(reporter.compile), Leases(store.runs_dir) as leases:
        leases.tidy()
        remaining, waiting = divide(work.grid, work.pending), False
        while remaining:
            deferred: list[Unit] = []
            for units in by_outputs(remaining):
                block = units[0].block
                source = BackboneSource(block.backbone, block.backbone_identity, cache_dir, reporter.warn)
                frozen = Frozen(cache, source, {unit.block: demand(unit.block) for unit in units}, leases, reporter)
                deferred += _run_group(units, frozen, Scorer(work, frozen), run)
            if deferred and len(deferred) == len(remaining):
                if not waiting:
                    reporter.say(
                        f"waiting for {number_of(sum(len(unit.jobs) for unit in deferred), 'cell')} of other processes"
                    )
                waiting = True
                time.sleep(POLL_S)
            remaining = deferred


def _run_group(
    units: Sequence[Unit],
    frozen: Frozen,
    scorer: Scorer,
    run: Callable[[Unit, Calls, Scorer], None],
) -> list[Unit]:
    """Run units that share the outputs of frozen stages; return those that other processes hold."""
    deferred: list[Unit] = []
    with contextlib.ExitStack() as until_scored:
        until_scored.callback(frozen.free)
        until_scored.enter_context(frozen.early.opened())
        # Once a block, though each fold of it may be a unit: its programs would be compiled again for each.
        blocks = dict.fromkeys(unit.block for unit in units)
        prepared = {block: make_calls(block, frozen, scorer.hear_of(block)) for block in blocks}
        for block, members in itertools.groupby(units, key=lambda unit: unit.block):
            calls = prepared.pop(block)
            for unit in members:
                with contextlib.ExitStack() as leases:
                    entered = leases.enter_context(frozen.entered(unit))
                    if entered and leases.enter_context(frozen.leases.take(unit.name)):
                        run(unit, calls, scorer)
                        if scorer.waits:
                            until_scored.push(leases.pop_all())
                    else:
                        deferred.append(unit)
        scorer.score()
    return deferred
