"""What of a grid is done, and how long the rest takes, judged by speeds measured on this machine."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_bench.arrays import Array
from fer_bench.corruption import Corruption
from fer_bench.executors.grid import Block, Grid, Job, Reporter
from fer_bench.executors.kept import is_kept
from fer_bench.executors.stored import PlannedRow, describe, find_rows
from fer_bench.learning.plans import by_view, demand
from fer_bench.results import corrupted
from fer_bench.results.store import Store, StoredCell
from fer_bench.sizes import format_time, number_of
from fer_bench.specs import GradientPhase

if TYPE_CHECKING:
    from fer_bench.networks.source import BackboneSource

BEGIN_S = 1.5
"""Seconds of a run beside its rows: imports, folds, the board. Without them ``plan`` said 5.0 to 5.9 s of runs of 7.9
to 8.1 s (2 AMD cores)."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is left of a grid.

    Attributes:
        jobs: every cell with ``done``, ``failed`` (will be tried again) or ``to do``.
        rows: how many cells of each row count, and what else of its name is stored.
        images: images that must go through frozen stages still, to be kept; a mirrored one counts.
        seconds: that these take; None if a backbone among them never ran on this machine.
        corrupted: corrupted images that must be predicted still; one counts once for models that share its features.
        recalled: kept models that predict them, so that their cells are not trained again.
        samples: (strategy, phase, first stage that runs) -> samples that go through training steps, in all folds and
            epochs.
    """

    jobs: tuple[tuple[Job, str], ...]
    rows: tuple[PlannedRow, ...]
    images: int
    seconds: float | None
    samples: Mapping[tuple[str, str, str], int]
    corrupted: int = 0
    recalled: int = 0

    def lines(self) -> list[str]:
        """Return the forecast in words."""
        done = sum(status == "done" for _, status in self.jobs)
        count = f"{done} of {len(self.jobs)} cells are done"
        if done == len(self.jobs):
            return [f"{count}.", *describe(self.rows)]
        times = [row.seconds for row in self.rows if row.seconds is not None]
        unknown = len(self.rows) - len(times)
        duration = f"the rest takes about {format_time(sum(times))} on this machine" if times else ""
        none = f"no estimate yet for {number_of(unknown, 'row')} that never ran here" if unknown else ""
        lines = [f"{'; '.join(filter(None, (count, duration, none)))}.", *describe(self.rows)]
        if self.images:
            took = "" if self.seconds is None else f", about {format_time(self.seconds)}, once"
            lines.append(
                f"{number_of(self.images, 'image goes', 'images go')} through frozen stages{took}: the "
                "first row that needs them takes that."
            )
        if self.corrupted:
            lines.append(f"{self.corrupted:,} corrupted images are predicted; their time is in that of the rows.")
        if self.recalled:
            lines.append(f"{number_of(self.recalled, 'kept model needs', 'kept models need')} no training for them.")
        return lines

    def record(self) -> dict[str, Any]:
        """Return the forecast as plain JSON."""
        return {
            "schema": 1,
            "cells": [{"id": job.cell.id, "status": status, **job.cell.record()} for job, status in self.jobs],
            "rows": [asdict(row) for row in self.rows],
            "images": self.images,
            "seconds": self.seconds,
            "corrupted": self.corrupted,
            "recalled": self.recalled,
            "training": [
                {"strategy": strategy, "phase": phase, "from": stage, "samples": samples}
                for (strategy, phase, stage), samples in self.samples.items()
            ],
        }


def estimate(
    grid: Grid, store: Store, cache_dir: Path, probe: Reporter | None = None, corruptions: Sequence[Corruption] = ()
) -> Forecast:
    """Return what of ``grid`` is stored, the time that the rest takes, and how much is trained.

    Args:
        grid: of the run.
        store: of its cells.
        cache_dir: where speeds are remembered.
        probe: is told, where what never ran on this machine is to be measured on a few images.
        corruptions: of test images, which are to be predicted, too.

    Raises:
        FerBenchError: a backbone cannot be built; only with ``probe``.
    """
    stored = {id(job): store.find(job.cell) for job in grid.jobs}
    lacking: dict[int, list[Corruption]] = {}
    for job in grid.jobs:
        cell = stored[id(job)]
        wanted = () if job.cell.protocol.pairs_of else corruptions
        lacking[id(job)] = corrupted.lacking(cell, wanted) if cell and cell.ok else [*wanted]
    jobs = tuple((job, _status(stored[id(job)], lacking[id(job)])) for job in grid.jobs)
    rows = tuple(find_rows(jobs, store.cells()[0] if store.runs_dir.is_dir() else ()))
    kept = _find_kept(grid, store, stored, lacking)
    todo = {id(job) for job, status in jobs if status != "done"}
    images, seconds, samples = 0, 0.0, Counter[tuple[str, str, str]]()
    if not todo:
        return Forecast(jobs, rows, images, seconds, samples)
    # Only here: flax takes half a second, which a grid that is done need not spend.
    from fer_bench.executors import speeds
    from fer_bench.networks.source import BackboneSource

    blocks = [block for block in grid.blocks if any(id(job) in todo for job in block.jobs)]
    sources = {
        id(block.backbone): BackboneSource(block.backbone, block.backbone_identity, cache_dir) for block in blocks
    }
    if probe is not None:
        _probe(blocks, sources, probe)
    spent, predicted = {blocks[0].jobs[0].cell.experiment: BEGIN_S}, 0
    for _, group in itertools.groupby(blocks, key=lambda block: (id(block.task), id(block.backbone))):
        members = list(group)
        source = sources[id(members[0].backbone)]
        count, frozen = _frozen(members, source, cache_dir)
        images, seconds = images + count, seconds + frozen
        again, took_again = _corrupted(members, lacking, source)
        predicted, frozen = predicted + again, frozen + took_again
        for block in members:
            for key, number in _trained(block, todo - kept):
                samples[key] += number
            speed, experiment = speeds.recall(source, block), block.jobs[0].cell.experiment
            took = speed.seconds(block, todo - kept) if speed else math.nan
            spent[experiment] = spent.get(experiment, 0.0) + took + frozen
            frozen = 0.0
    experiments = dict.fromkeys(job.cell.experiment for job in grid.jobs)
    rows = tuple(
        replace(row, seconds=_known(spent.get(experiment, 0.0)))
        for row, experiment in zip(rows, experiments, strict=True)
    )
    return Forecast(jobs, rows, images, _known(seconds), samples, predicted, len(kept))


def _find_kept(
    grid: Grid, store: Store, stored: Mapping[int, StoredCell | None], lacking: Mapping[int, Sequence[Corruption]]
) -> set[int]:
    """Return the jobs, as `id`, that lack only predictions of corrupted images, which a kept model makes."""
    jobs = [(block, id(job)) for block in grid.blocks for job in block.jobs]
    return {key for block, key in jobs if lacking[key] and is_kept(store.runs_dir, block, stored[key])}


def _status(cell: StoredCell | None, lacking: Sequence[Corruption]) -> str:
    """Return what is to be done of a cell: ``done``, ``failed`` or ``to do``."""
    if cell is not None and not cell.ok:
        return "failed"
    return "to do" if cell is None or lacking else "done"


def _corrupted(
    blocks: Sequence[Block], lacking: Mapping[int, Sequence[Corruption]], source: BackboneSource
) -> tuple[int, float]:
    """Return how many corrupted images go through the backbone of blocks that share it, and the seconds, or NaN."""
    tested: dict[tuple[Corruption, int], Array] = {}
    for block in blocks:
        alone = any(isinstance(phase, GradientPhase) for plan in block.plans.values() for phase in plan.phases)
        for job in block.jobs:
            for one in lacking[id(job)]:
                key = one, id(job) if alone else 0  # a model that was trained by gradients is scored by itself
                tested[key] = tested.get(key, False) | job.fold.test
    count = sum(int(rows.sum()) for rows in tested.values())
    last = len(source.component.spec.stages)
    rate = source.known_rate(last, corrupted=True) or source.known_rate(last)
    return count, (count / rate if rate else math.nan) if count else 0.0


def _probe(blocks: Sequence[Block], sources: Mapping[int, BackboneSource], reporter: Reporter) -> None:
    """Build every backbone, and measure each strategy on it that never ran on this machine."""
    from fer_bench.executors import probe, speeds

    probe.check_backbones(list(sources.values()))
    for block in (block for block in blocks if not block.search):
        source = sources[id(block.backbone)]
        if speeds.recall(source, block) is None or math.isnan(_frozen([block], source, source.cache_dir)[1]):
            probe.measure(block, source, reporter)


def _frozen(blocks: Sequence[Block], source: BackboneSource, cache_dir: Path) -> tuple[int, float]:
    """Return how many images must go through the frozen stages of blocks that share them, and the seconds, or NaN."""
    from fer_bench.networks.prefix import cache_of, missing

    demands = [demand(plan, block.backbone, block.shapes) for block in blocks for plan in block.plans.values()]
    cache, images, seconds = cache_of(cache_dir), 0, 0.0
    for view, outputs in (each for part in blocks[0].task.parts for each in by_view(demands, part)):
        lacking = {stop: missing(cache, view, source, stop, count) for stop, count in outputs.items()}
        lacking = {stop: hashes for stop, hashes in lacking.items() if len(hashes)}
        if lacking:  # An image goes once through as many stages as it takes.
            count = len(np.unique(np.concatenate([*lacking.values()])))
            passed = count * max(outputs[stop] for stop in lacking)
            # A speed through all stages is a bound where the first ones never ran by themselves.
            rate = source.known_rate(max(lacking)) or source.known_rate(len(source.component.spec.stages))
            images += passed
            seconds += passed / rate if rate else math.nan
    return images, seconds


def _trained(block: Block, todo: Collection[int]) -> Iterator[tuple[tuple[str, str, str], int]]:
    """Yield (strategy, phase, first stage that runs) and the samples that go through it, of each gradient phase."""
    stages = block.backbone.spec.stages
    jobs = [job for job in block.jobs if id(job) in todo]
    if not jobs:
        return
    times = block.search.count_passes(jobs[0].cell.seed) if block.search else 1.0
    trained = round(times * sum(int(job.fold.train.sum()) for job in jobs))
    for phase, start, epochs in demand(block.plan, block.backbone, block.shapes).steps:
        first = stages[start] if 0 < start < len(stages) else "the image" if start == 0 else "the head"
        yield (str(block.strategy), phase, first), trained * epochs


def _known(seconds: float) -> float | None:
    return None if math.isnan(seconds) else seconds
