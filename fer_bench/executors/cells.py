"""Compute a cell: images to features, features to predictions."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

import jax
import numpy as np
import pandas as pd

from fer_bench.atomic import lacking
from fer_bench.errors import FerBenchError, PluginError
from fer_bench.executors.grid import Block, Job
from fer_bench.executors.leases import Leases
from fer_bench.executors.reporting import Reporter
from fer_bench.executors.sharing import Unit, name_of_outputs
from fer_bench.executors.speeds import Watch
from fer_bench.executors.trainings import searched, trainings_of
from fer_bench.keeping.cache import Cache
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.outputs import Inputs
from fer_bench.learning.material import Material, Outcome
from fer_bench.learning.plans import Demand, demand, together, unite
from fer_bench.networks import answers, devices, resident
from fer_bench.networks.early import Early
from fer_bench.networks.meter import Meter, peak_memory
from fer_bench.networks.pictures import Pictures, pictures_of
from fer_bench.networks.prefix import Prefix, fetch, join
from fer_bench.networks.source import BackboneSource
from fer_bench.results.outcomes import Calibration, Cost, FaceCounts, Measures, PeakMemory, Seconds
from fer_bench.results.store import Result
from fer_bench.specs import Plan, ReadoutPhase
from fer_bench.tasks.crops import as_errors
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import View

T = TypeVar("T")
Trained = Callable[[Job, Outcome, Result], None]
"""Is given each job that succeeded, the outcome of its training, and its result."""
Calls = dict[int, Callable[[Checkpoint], Result]]
"""The id of a job as an object -> the call that runs it."""


@dataclass(eq=False)
class Frozen:
    """The frozen stages of blocks that share a task and a backbone.

    Attributes:
        cache: of their outputs.
        source: the backbone.
        demands: what each of the blocks asks of the backbone.
        leases: of this process.
        reporter: is told when they run.
        early: compiles what is needed next while they run.
    """

    cache: Cache
    source: BackboneSource
    demands: Mapping[Block, Demand]
    leases: Leases
    reporter: Reporter
    early: Early = field(default_factory=Early)
    _ready: bool = False
    _pictures: Inputs | None = None
    _kept: dict[tuple[int, int], Inputs] = field(default_factory=dict[tuple[int, int], Inputs])
    _lease: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def entered(self, unit: Unit) -> Iterator[bool]:
        """Keep other processes from these stages until their outputs are there; say whether this process may go on.

        Without, two processes would come to a backbone at once, and one of them would wait for the other's pass.
        """
        if self._ready or not self.demands[unit.block].outputs:
            yield True
            return
        with self._lease:
            number, folder = 0, self.source.cache_dir
            with contextlib.suppress(OSError):  # it can be read only, and need not be there then
                folder.mkdir(parents=True, exist_ok=True)
                number = folder.stat().st_ino
            yield self._lease.enter_context(self.leases.take(name_of_outputs(unit, number)))

    def pictures(self, task: Task) -> Inputs:
        """Return the images of the task; where they stay in memory or a file, they are decoded once for all blocks."""
        if self._pictures is None:
            self._pictures = pictures_of(task, self.source.built.input_size, self.source.cache_dir)
        return self._pictures

    def inputs(self, stop: int, variants: int, parts: Sequence[Prefix]) -> Inputs:
        """Return what `outputs` gave as inputs of a training; what stays on an accelerator is one copy for all blocks.

        On a CPU nothing is held, so that the memory of a block's outputs is free when its last trainings end.
        """
        variants = self._variants(stop, variants)
        if (stop, variants) not in self._kept:
            outputs = join(parts, dtype=None)
            if (inputs := resident.of_outputs(outputs, variants)) is outputs:
                return outputs
            self._kept[stop, variants] = inputs
        return self._kept[stop, variants]

    def free(self) -> None:
        """Let go of what stays on a device."""
        self._pictures = None
        self._kept.clear()

    def _variants(self, stop: int, variants: int) -> int:
        """Return how many variants of a stage's output are made: as many as any of the blocks will ask for."""
        return max(variants, together(self.demands.values()).get(stop, 1))

    def outputs(self, block: Block, stop: int, variants: int, window: str = "") -> list[Prefix]:
        """Return what the first ``stop`` stages make of each part of the task: from the cache, or computed.

        Args:
            block: whose task and backbone.
            stop: stages that run.
            variants: 2 for the mirrored image beside each.
            window: that images are cut down to; empty takes all of them.
        """
        stages = block.backbone.spec.stages

        def begin(stops: Sequence[int], images: int, view: View) -> None:
            to = [stages[stop - 1] for stop in stops if stop < len(stages)]
            what = [f"stages to {' and '.join(to)}"] * bool(to) + ["features"] * (len(to) < len(stops))
            where = f" ({window})" if window else ""
            self.reporter.step(f"{', '.join(what)}: {view}{where} through {block.backbone}", images)
            _ = self.source.built  # in this thread
            self.early.begin()

        demand_of_all = {} if window else together(self.demands.values())
        outputs = [
            fetch(
                self.cache,
                self.source,
                view,
                stop,
                variants if window else self._variants(stop, variants),
                also=demand_of_all,
                begin=functools.partial(begin, view=view),
                advance=self.reporter.advance,
                waiting=lambda view=view: self.reporter.step(
                    f"waiting for another process: {view} through {block.backbone}", len(view.rows)
                ),
            )
            for view in (replace(view, window=window) for view in block.task.parts)
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


def material_of(
    block: Block, frozen: Frozen, spent: _Spent | None = None, meter: Meter | None = None, window: str = ""
) -> Material:
    """Return what the engine works on; each part is fetched when a phase needs it first.

    Nothing that it holds refers to it, so that the memory of stage outputs is free as soon as the last trainings end.

    Args:
        block: whose jobs.
        frozen: the frozen stages.
        spent: is told what the stage outputs cost.
        meter: is told what predicting takes.
        window: that images are cut down to; empty takes all of them.
    """
    stages, source, reporter = block.backbone.spec.stages, frozen.source, frozen.reporter
    meter = Meter() if meter is None else meter

    @functools.cache
    def outputs(stop: int, variants: int) -> list[Prefix]:
        with meter.count("features"):
            parts = frozen.outputs(block, stop, variants, window)
        if spent is not None:
            spent.add(parts)
        return parts

    def inputs(stop: int, flip: bool) -> Inputs:
        if stop == 0:
            if not window:
                return frozen.pictures(block.task)
            parts = tuple(replace(view, window=window) for view in block.task.parts)
            return Pictures(replace(block.task, parts=parts), source.built.input_size)
        if window:
            return join(outputs(stop, 1), dtype=None)
        return frozen.inputs(stop, 1 + flip, outputs(stop, 1 + flip))

    mirrored = any(plan.views == "mirror" for plan in block.plans.values())
    method = f"{block.task.name} / {block.backbone} / {block.search.text if block.search else block.strategy}"
    return Material(
        labels=block.task.labels,
        classes=len(block.task.classes),
        class_names=tuple(block.task.classes),
        answers=answers.known(block.backbone),
        features=lambda: join(outputs(len(stages), 1 + mirrored)),
        inputs=inputs,
        backbone=lambda seed: source.built if seed is None else source.afresh(seed),
        soft_labels=lambda: block.task.soft_labels,
        begin=lambda phase, samples: reporter.step(f"phase {phase}: {method}", samples),
        advance=reporter.advance,
        meter=meter,
        sequences=lambda: block.task.sequences,
        through=functools.partial(material_of, block, frozen, spent, meter),
    )


def make_calls(block: Block, frozen: Frozen, trained: Trained = lambda *_: None, planned: Plan | None = None) -> Calls:
    """Return the call that runs each job of a block.

    The engine is given all of them: heads are fitted together, and which cells are stored already must not show, not
    even in their rounding.

    Args:
        block: whose jobs.
        frozen: the frozen stages.
        trained: is told of each job that succeeded.
        planned: the whole plan, where that of the block is less, to measure how long the strategy takes.
    """
    spent, jobs, source = _Spent(), block.jobs, frozen.source
    watch = Watch(source, block, planned)
    material = material_of(block, frozen, spent)
    sample = functools.partial(_sample_after, block, source)
    # A CPU is busy with the passes: a first run on two cores took 44 s of processor time then, and 34 without. A search
    # has too many programs, of which some may never run.
    if devices.accelerated() and not block.search:
        material = replace(material, early=lambda lower: frozen.early.add(functools.partial(lower, sample)))
    trainings = trainings_of(block, material)

    def run(checkpoint: Checkpoint, job: Job, training: Callable[[Checkpoint], Outcome]) -> Result:
        before = material.meter.seconds()
        # The backbone is built here at the latest, even where all of its outputs come from the cache.
        with material.meter.count("train"):
            outcome = guarded(lambda: (training(checkpoint), source.built.parameters, source.flops()), block)
        if isinstance(outcome, str):
            return _failure(outcome)
        seconds = material.meter.seconds(before)
        watch.add(job.fold, seconds, outcome[0])
        cost = Cost(
            seconds={work: round(s, 4) for work, s in seconds.items()},
            peak_memory_bytes=PeakMemory(**peak_memory()),
            forward_flops=outcome[2],
        )
        result = _success(block, job, outcome[1], spent, outcome[0], cost)
        trained(job, outcome[0], result)
        return result

    return {
        id(job): functools.partial(run, job=job, training=training)
        for job, training in zip(jobs, trainings, strict=True)
    }


def _sample_after(block: Block, source: BackboneSource, stop: int) -> jax.ShapeDtypeStruct:
    """Return what the material of a block will give of a sample after ``stop`` stages; nothing is computed.

    Where half precision does not hold the outputs of a stage, it is given something else, and other programs run.
    """
    backbone = source.built
    if stop == 0:
        return jax.ShapeDtypeStruct(Pictures(block.task, backbone.input_size).shape, np.uint8)
    image = np.zeros((1, backbone.input_size, backbone.input_size, backbone.image_input.channels), np.uint8)
    shape = backbone.shapes(image, [stop])[stop].shape[1:]
    return jax.ShapeDtypeStruct(shape, np.float32 if block.backbone.spec.answers else np.float16)


def demand_of(block: Block) -> Demand:
    """Return what a block asks of its backbone."""
    return unite(demand(plan, block.backbone, block.shapes) for plan in block.plans.values())


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
        calibration=outcome.scaling and Calibration(**asdict(outcome.scaling)),
        search=searched(block, outcome),
    )
    return Result("ok", "", measures, predictions, outcome.history)


def _failure(error: str) -> Result:
    return Result("failed", error, None, None, pd.DataFrame({"phase": []}))


def guarded(work: Callable[[], T], block: Block) -> T | str:
    """Return what ``work`` returns, or its error as one line if neither we nor the user can correct it now."""
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
        if devices.is_lost(error):
            raise FerBenchError(
                f"The run ends: the device was lost ({' '.join(str(error).split())[:200]}). Its cell is unfinished. "
                "Give the same command again, once the device is back: stored cells stay, and a training goes on from "
                "its last epoch that was kept. JAX_PLATFORMS=cpu goes on without it."
            ) from error
        text = f"{type(error).__name__}: {' '.join(str(error).split()) or _unsaid(error)}"
        name = plugin_at_fault(error, _packages(block))
        return f"Plugin {name!r} failed: {text}" if name else text


def _unsaid(error: BaseException) -> str:
    """Return what an error without a text means."""
    if isinstance(error, MemoryError):
        return "there is too little memory; close other programs, or take fewer or smaller images"
    return "no more is said"


def _packages(block: Block) -> dict[str, str]:
    """Return top-level package -> plugin of the code that a block runs."""
    backbone, strategy = block.backbone, block.strategy
    phases = [phase for plan in block.plans.values() for phase in plan.phases]
    references = {phase.estimator: strategy for phase in phases if isinstance(phase, ReadoutPhase)}
    references |= {strategy.spec.plan: strategy, backbone.spec.build: backbone}
    return {reference.partition(":")[0].partition(".")[0]: part.plugin.name for reference, part in references.items()}


def plugin_at_fault(error: BaseException, packages: Mapping[str, str]) -> str:
    """Return the plugin whose code was running last when ``error`` was raised, or nothing where none was.

    Args:
        error: as it was caught; what caused it counts, since jax raises another error from what it caught.
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
