"""Measure what never ran on this machine: a few images of a block, by the code that runs them all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench.executors.cells import Frozen, demand_of, make_calls
from fer_bench.executors.grid import Block, Reporter
from fer_bench.executors.leases import Leases
from fer_bench.keeping.checkpoints import Checkpoint
from fer_bench.keeping.programs import keep_compiled_programs
from fer_bench.learning.gradient import STEPS_AT_ONCE
from fer_bench.networks import devices
from fer_bench.networks.prefix import cache_of
from fer_bench.networks.source import BackboneSource
from fer_bench.sizes import number_of
from fer_bench.specs import ConvexPhase, GradientPhase, Plan
from fer_bench.tasks.folds import Fold
from fer_bench.tasks.task import Task

TRAINED = 64
"""Images that a probe trains on, at least."""
EIGHTH = 9
"""Of so many images a probe tests one: an eighth as many as it trains on."""


def check_backbones(sources: Sequence[BackboneSource]) -> None:
    """Build each backbone, which reads its weights.

    Raises:
        FerBenchError: some cannot be built, as where their weights are missing; all are named.
    """
    faults: list[str] = []
    for source in sources:
        try:
            source.digests()
            _ = source.built
        except FerBenchError as error:
            faults.append(f"{source.component}: {error}")
    if faults:
        raise FerBenchError(
            f"{number_of(len(faults), 'backbone')} cannot be built:\n{bullet_list(faults, len(faults))}"
        )


def measure(block: Block, source: BackboneSource, reporter: Reporter) -> None:
    """Train a block on a few images and remember what that took; nothing else stays but outputs of frozen stages.

    A block that fails is left without a time: its cells say why when they run.

    Args:
        block: every phase has one epoch of it, and there are two cells, of which the second finds all compiled.
        source: its backbone, which remembers.
        reporter: is told.
    """
    reporter.say(
        f"measuring {block.backbone} / {block.strategy} on {trained(block.plan)} images: it never ran on this machine"
    )
    small = _shrink(block)
    keep_compiled_programs(source.cache_dir, reporter.warn)
    convex = all(isinstance(phase, ConvexPhase) for phase in block.plan.phases)
    with tempfile.TemporaryDirectory() as runs, Leases(Path(runs)) as leases:
        for _ in range(2 if convex else 1):  # Heads of a few images take less than compiling does.
            frozen = Frozen(cache_of(source.cache_dir), source, {small: demand_of(small)}, leases, reporter)
            for call in make_calls(small, frozen, planned=block.plan).values():
                with Checkpoint(None) as checkpoint:
                    call(checkpoint)


def trained(plan: Plan) -> int:
    """Return how many images a probe trains on: as many as a program of steps, which an accelerator runs whole."""
    batches = [phase.batch for phase in plan.phases if isinstance(phase, GradientPhase)]
    return max([TRAINED, *(STEPS_AT_ONCE * batch for batch in batches)]) if devices.accelerated() else TRAINED


def _shrink(block: Block) -> Block:
    """Return a block with two cells of one fold of a few images, and one epoch of each phase."""
    view = block.task.parts[0]
    count = trained(block.plan) * EIGHTH // (EIGHTH - 1)
    sampled = np.unique(np.linspace(0, len(view.rows) - 1, count).astype(np.int64))
    task = Task((replace(view, rows=view.rows[sampled], faces=None),))
    test = np.arange(len(sampled)) % EIGHTH == 0
    fold = Fold(0, ~test, test)
    phases = tuple(
        replace(phase, epochs=1) if isinstance(phase, GradientPhase) else phase for phase in block.plan.phases
    )
    jobs = tuple(replace(block.jobs[0], fold=fold) for _ in range(2))
    # Nothing is calibrated, which takes milliseconds, since the fold has no validation part.
    return replace(block, task=task, plan=replace(block.plan, phases=phases, calibrate="none"), jobs=jobs)
