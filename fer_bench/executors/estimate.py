"""What of a grid is done, and how long the rest takes, judged by speeds measured on this machine."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.executors.grid import Grid, Job
from fer_bench.executors.stored import PlannedRow, describe, find_rows
from fer_bench.learning.plans import Demand, demand, together
from fer_bench.results.store import Store


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is left of a grid.

    Attributes:
        jobs: every cell with ``done``, ``failed`` (will be tried again) or ``to do``.
        rows: how many cells of each row count, and what else of its name is stored.
        images: images that must go through frozen stages still, to be kept; a mirrored one counts.
        seconds: that they take; None if a backbone among them never ran on this machine.
        samples: (strategy, phase, first stage that runs) -> samples that go through training steps, in all folds and
            epochs.
    """

    jobs: tuple[tuple[Job, str], ...]
    rows: tuple[PlannedRow, ...]
    images: int
    seconds: float | None
    samples: Mapping[tuple[str, str, str], int]

    def lines(self) -> list[str]:
        """Return the forecast in words."""
        done = sum(status == "done" for _, status in self.jobs)
        lines = [f"{done} of {len(self.jobs)} cells are done.", *describe(self.rows)]
        if done == len(self.jobs):
            return lines
        if self.images == 0:
            rest = "they are trained as follows" if self.samples else "the rest takes seconds"
            lines.append(f"All outputs of frozen stages are cached; {rest}.")
        elif self.seconds is None:
            lines.append(
                f"{self.images:,} images go through frozen stages of a backbone that never ran on this machine: "
                "no estimate yet."
            )
        else:
            time = f"{self.seconds / 60:.1f} minutes" if self.seconds >= 60 else f"{self.seconds:.0f} seconds"
            lines.append(
                f"{self.images:,} images go through frozen stages: about {time} on this machine, and compilation."
            )
        for (strategy, phase, stage), samples in self.samples.items():
            lines.append(f"{strategy}, phase {phase}: {samples:,} training samples, each step from {stage} on.")
        return lines

    def record(self) -> dict[str, Any]:
        """Return the forecast as plain JSON."""
        return {
            "schema": 1,
            "cells": [{"id": job.cell.id, "status": status, **job.cell.record()} for job, status in self.jobs],
            "rows": [asdict(row) for row in self.rows],
            "images": self.images,
            "seconds": self.seconds,
            "training": [
                {"strategy": strategy, "phase": phase, "from": stage, "samples": samples}
                for (strategy, phase, stage), samples in self.samples.items()
            ],
        }


def estimate(grid: Grid, store: Store, cache_dir: Path) -> Forecast:
    """Return what of ``grid`` is stored, the time that missing stage outputs take, and how much is trained."""
    names = {"ok": "done", "failed": "failed", None: "to do"}
    jobs = tuple((job, names[store.status(job.cell)]) for job in grid.jobs)
    rows = tuple(find_rows(jobs, store.cells()[0] if store.runs_dir.is_dir() else ()))
    todo = {id(job) for job, status in jobs if status != "done"}
    images, seconds, samples = 0, 0.0, Counter[tuple[str, str, str]]()
    if not todo:
        return Forecast(jobs, rows, images, seconds, samples)
    # Only here: flax takes half a second, which a grid that is done need not spend.
    from fer_bench.networks.prefix import cache_of, missing
    from fer_bench.networks.source import BackboneSource

    cache = cache_of(cache_dir)
    for _, group in itertools.groupby(grid.blocks, key=lambda block: (id(block.task), id(block.backbone))):
        demands: list[Demand] = []
        blocks = [block for block in group if any(id(job) in todo for job in block.jobs)]
        for block in blocks:
            wanted, stages = demand(block.plan, block.backbone, block.shapes), block.backbone.spec.stages
            demands.append(wanted)
            trained = sum(int(job.fold.train.sum()) for job in block.jobs if id(job) in todo)
            for phase, start, epochs in wanted.steps:
                first = stages[start] if 0 < start < len(stages) else "the image" if start == 0 else "the head"
                samples[str(block.strategy), phase, first] += trained * epochs
        outputs = together(demands)
        if not outputs:
            continue
        source = BackboneSource(blocks[0].backbone, blocks[0].backbone_identity, cache_dir)
        for view in blocks[0].task.parts:
            lacking = {stop: missing(cache, view, source, stop, count) for stop, count in outputs.items()}
            lacking = {stop: images for stop, images in lacking.items() if len(images)}
            if lacking:  # An image goes once through as many stages as it takes.
                count = len(np.unique(np.concatenate([*lacking.values()])))
                passed = count * max(outputs[stop] for stop in lacking)
                # A speed through all stages is a bound where the first ones never ran alone.
                rate = source.known_rate(max(lacking)) or source.known_rate(len(source.component.spec.stages))
                images += passed
                seconds += passed / rate if rate else float("nan")
    return Forecast(jobs, rows, images, None if seconds != seconds else seconds, samples)
