"""Execute a grid in this process: images to features, features to predictions, predictions to disk."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from fer_bench.atomic import lacking
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.executors.grid import Block, Grid, Job, Reporter
from fer_bench.executors.leases import Leases
from fer_bench.executors.sharing import Unit, by_outputs, divide, name_of_outputs
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.checkpoints import Checkpoint, remove_left
from fer_bench.keeping.outputs import Inputs
from fer_bench.keeping.programs import keep_compiled_programs
from fer_bench.learning.engine import Material, Outcome, run_plan
from fer_bench.learning.plans import Demand, demand, together
from fer_bench.networks import answers
from fer_bench.networks.meter import Meter, Metered, peak_memory
from fer_bench.networks.pictures import Pictures
from fer_bench.networks.prefix import Prefix, cache_of, fetch, join
from fer_bench.networks.source import BackboneSource
from fer_bench.plugins import Plugins
from fer_bench.results import provenance
from fer_bench.results.records import Cost, FaceCounts, Measures, PeakMemory, Seconds
from fer_bench.results.store import Result, Store
from fer_bench.specs import ReadoutPhase
from fer_bench.tasks.crops import as_errors
from fer_bench.tasks.view import View

T = TypeVar("T")
Calls = dict[int, Callable[[Checkpoint], Result]]
"""The id of a job as an object -> the call that runs it."""
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
        at_once = tuple((job.cell.seed, job.cell.fold) for job in unit.block.jobs)
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

    wanted = functools.cache(_wanted)
    with Leases(store.runs_dir) as leases:
        leases.tidy()
        left, waiting = divide(grid, pending if only is None else [only]), False
        while left:
            held: list[Unit] = []
            for units in by_outputs(left):
                block = units[0].block
                source = BackboneSource(block.backbone, block.backbone_identity, cache_dir, reporter.warn)
                frozen = _Frozen(cache, source, {unit.block: wanted(unit.block) for unit in units}, leases, reporter)
                held += _run_group(units, frozen, run)
            if held and len(held) == len(left):
                if not waiting:
                    reporter.say(f"waiting for {sum(len(unit.jobs) for unit in held)} cells of other processes")
                waiting = True
                time.sleep(POLL_S)
            left = held
    _notify(told, reporter, "fer_bench_run_end", ok=counts["ok"], failed=counts["failed"], runs_dir=store.runs_dir)
    return Summary(counts["ok"], counts["failed"], done)


def _run_group(units: Sequence[Unit], frozen: _Frozen, run: Callable[[Unit, Calls], None]) -> list[Unit]:
    """Run units that share the outputs of frozen stages; return those that other processes hold."""
    held: list[Unit] = []
    for block, members in itertools.groupby(units, key=lambda unit: unit.block):
        calls: Calls = {}
        for unit in members:
            with frozen.entered(unit) as entered, frozen.leases.take(unit.name) as taken:
                if entered and taken:
                    calls = calls or _calls(block, frozen)
                    run(unit, calls)
                else:
                    held.append(unit)
    return held


@dataclass(eq=False)
class _Frozen:
    """The frozen stages of blocks that share a task and a backbone.

    Attributes:
        cache: of their outputs.
        source: the backbone.
        wanted: what each of the blocks asks of the backbone.
        leases: of this process.
        reporter: is told when they run.
    """

    cache: Cache
    source: BackboneSource
    wanted: Mapping[Block, Demand]
    leases: Leases
    reporter: Reporter
    _ready: bool = False
    _lease: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def entered(self, unit: Unit) -> Iterator[bool]:
        """Keep other processes from these stages until their outputs are there; say whether this process may go on.

        Without, two processes would come to a backbone at once, and one of them would wait for the other's pass.
        """
        if self._ready or not self.wanted[unit.block].outputs:
            yield True
            return
        with self._lease:
            number, folder = 0, self.source.cache_dir
            with contextlib.suppress(OSError):  # it can be read only, and need not be there then
                folder.mkdir(parents=True, exist_ok=True)
                number = folder.stat().st_ino
            yield self._lease.enter_context(self.leases.take(name_of_outputs(unit, number)))

    def outputs(self, block: Block, stop: int, variants: int) -> list[Prefix]:
        """Return what the first ``stop`` stages make of each part of the task: from the cache, or computed."""
        stages = block.backbone.spec.stages

        def begin(stops: Sequence[int], images: int, view: View) -> None:
            to = [stages[stop - 1] for stop in stops if stop < len(stages)]
            what = [f"stages to {' and '.join(to)}"] * bool(to) + ["features"] * (len(to) < len(stops))
            self.reporter.step(f"{', '.join(what)}: {view} through {block.backbone}", images)

        wanted = together(self.wanted.values())
        outputs = [
            fetch(
                self.cache,
                self.source,
                view,
                stop,
                max(variants, wanted.get(stop, 1)),
                also=wanted,
                begin=functools.partial(begin, view=view),
                advance=self.reporter.advance,
                waiting=lambda view=view: self.reporter.step(
                    f"waiting for another process: {view} through {block.backbone}", len(view.rows)
                ),
            )
            for view in block.task.parts
        ]
        self._ready = True
        self._lease.close()
        return outputs


@dataclass
class _Spent:
    """What the frozen stages of a block cost, whenever they ran."""

    seconds: float = 0.0
    images_per_second: float | None = None
    batch: int | None = None
    runs: set[str] = field(default_factory=set[str])

    def add(self, parts: Sequence[Prefix]) -> None:
        """Count one stage's outputs."""
        shares = [(name, seconds) for part in parts for name, seconds in part.seconds.items()]
        self.seconds += sum(seconds for name, seconds in shares if name not in self.runs)
        self.runs |= {name for name, _ in shares}
        self.images_per_second = min(part.images_per_second for part in parts)
        self.batch = parts[0].batch


def _material(block: Block, frozen: _Frozen, spent: _Spent) -> Material:
    """Return what the engine works on; each part is fetched when a phase needs it first."""
    stages, meter, source, reporter = block.backbone.spec.stages, Meter(), frozen.source, frozen.reporter

    @functools.cache
    def outputs(stop: int, variants: int) -> list[Prefix]:
        with meter.count("features"):
            parts = frozen.outputs(block, stop, variants)
        spent.add(parts)
        return parts

    def inputs(stop: int, flip: bool) -> Inputs:
        if stop == 0:
            return Metered(Pictures(block.task, source.built.input_size), meter)
        return Metered(join(outputs(stop, 1 + flip), dtype=None), meter)

    method = f"{block.task.name} / {block.backbone} / {block.strategy}"
    return Material(
        labels=block.task.labels,
        classes=len(block.task.classes),
        class_names=tuple(block.task.classes),
        answers=answers.known(block.backbone),
        features=lambda: join(outputs(len(stages), 1)),
        inputs=inputs,
        backbone=lambda seed: source.built if seed is None else source.afresh(seed),
        soft_labels=lambda: block.task.soft_labels,
        begin=lambda phase, samples: reporter.step(f"phase {phase}: {method}", samples),
        advance=reporter.advance,
        meter=meter,
    )


def _calls(block: Block, frozen: _Frozen) -> Calls:
    """Return the call that runs each job of a block.

    The engine is given all of them: heads are fitted together, and which cells are stored already must not show, not
    even in their rounding.
    """
    spent, jobs, source = _Spent(), block.jobs, frozen.source
    material = _material(block, frozen, spent)
    trainings = run_plan(block.plan, material, [job.fold for job in jobs], [job.cell.seed for job in jobs])

    def run(checkpoint: Checkpoint, job: Job, training: Callable[[Checkpoint], Outcome]) -> Result:
        before = material.meter.seconds()
        # The backbone is built here at the latest, even where all of its outputs come from the cache.
        with material.meter.count("train"):
            outcome = _guarded(lambda: (training(checkpoint), source.built.parameters, source.flops()), block)
        if isinstance(outcome, str):
            return _failure(outcome)
        cost = Cost(
            seconds={work: round(s, 4) for work, s in material.meter.seconds(before).items()},
            peak_memory_bytes=PeakMemory(**peak_memory()),
            forward_flops=outcome[2],
        )
        return _success(block, job, outcome[1], spent, outcome[0], cost)

    return {
        id(job): functools.partial(run, job=job, training=training)
        for job, training in zip(jobs, trainings, strict=True)
    }


def _wanted(block: Block) -> Demand:
    """Return what a block asks of its backbone."""
    return demand(block.plan, block.backbone)


def _success(block: Block, job: Job, parameters: int, spent: _Spent, outcome: Outcome, cost: Cost) -> Result:
    """Return the result of a fold that was trained and tested."""
    task = block.task
    labels = task.labels
    tested = np.flatnonzero(job.fold.test)
    predictions = task.describe(tested)
    probabilities = as_errors(outcome.probabilities, labels[tested], task.found[tested])
    for index in range(len(task.classes)):
        predictions[f"p{index}"] = probabilities[:, index]
    counts = None
    if (faces := task.parts[0].faces) is not None:
        predictions["found"] = task.found[tested]
        counts = FaceCounts(coverage=faces.coverage, tested=len(tested), found=int(task.found[tested].sum()))
    measures = Measures(
        parameters=parameters + outcome.head_parameters,
        trained_parameters=outcome.trained_parameters,
        converged=outcome.converged,
        train_counts=tuple(np.bincount(labels[job.fold.train], minlength=len(task.classes)).tolist()),
        seconds=Seconds(features=spent.seconds, fit=outcome.seconds),
        tested=len(tested),
        images_per_second=spent.images_per_second,
        images_at_once=spent.batch,
        cost=cost,
        faces=counts,
    )
    return Result("ok", "", measures, predictions, outcome.history)


def _failure(error: str) -> Result:
    return Result("failed", error, None, None, pd.DataFrame({"phase": []}))


def _guarded(work: Callable[[], T], block: Block) -> T | str:
    """Return what ``work`` returns, or its error as one line if it is not ours or the user's to mend now."""
    try:
        return work()
    except PluginError as error:
        if lacking(error):
            raise
        return str(error)
    except FerBenchError:
        raise
    # A plugin's code may raise anything, or try to end the process; that fails its cells, not the run.
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of native code is no Exception
        if why := lacking(error):
            raise FerBenchError(f"The run ends: {why} to go on. Cells that are stored are untouched.") from error
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        name = plugin_at_fault(error, _packages(block))
        return f"Plugin {name!r} failed: {text}" if name else text


def _packages(block: Block) -> dict[str, str]:
    """Return top-level package -> plugin of the code that a block runs."""
    backbone, strategy = block.backbone, block.strategy
    references = {phase.estimator: strategy for phase in block.plan.phases if isinstance(phase, ReadoutPhase)}
    references |= {strategy.spec.plan: strategy, backbone.spec.build: backbone}
    return {reference.partition(":")[0].partition(".")[0]: part.plugin.name for reference, part in references.items()}


def _notify(plugins: Plugins | None, reporter: Reporter, hook: str, **arguments: object) -> None:
    for message in plugins.notify(hook, **arguments) if plugins else ():
        reporter.warn(message)


def plugin_at_fault(error: BaseException, packages: Mapping[str, str]) -> str:
    """Return the plugin whose code was running last when ``error`` was raised, or nothing where none was.

    Args:
        error: as it was caught; what caused it counts, since jax raises anew what it caught.
        packages: top-level package -> name of the plugin that it belongs to.
    """
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in reversed(list(traceback.walk_tb(cause.__traceback__))):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in packages:
                return packages[package]
        cause = cause.__cause__ or cause.__context__
    return ""
