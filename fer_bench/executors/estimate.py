"""What of a grid is done, and how long the rest takes, judged by speeds measured on this machine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.executors.grid import Grid, Job
from fer_bench.results.store import Store
from fer_bench.training.prefix import Source, cache_of, is_cached


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is left of a grid.

    Attributes:
        jobs: every cell with ``done``, ``failed`` (will be tried again) or ``to do``.
        images: images that must go through a backbone still.
        seconds: that they take; None if a backbone among them never ran on this machine.
    """

    jobs: tuple[tuple[Job, str], ...]
    images: int
    seconds: float | None

    def lines(self) -> list[str]:
        """Return the forecast in words."""
        done = sum(status == "done" for _, status in self.jobs)
        lines = [f"{done} of {len(self.jobs)} cells are done."]
        if done == len(self.jobs):
            return lines
        if self.images == 0:
            lines.append("All features are cached; the rest takes seconds.")
        elif self.seconds is None:
            lines.append(f"{self.images} images go through a backbone that never ran on this machine: no estimate yet.")
        else:
            time = f"{self.seconds / 60:.1f} minutes" if self.seconds >= 60 else f"{self.seconds:.0f} seconds"
            lines.append(f"{self.images} images go through a backbone: about {time} on this machine, and compilation.")
        return lines

    def record(self) -> dict[str, Any]:
        """Return the forecast as plain JSON."""
        return {
            "schema": 1,
            "cells": [{"id": job.cell.id, "status": status, **job.cell.record()} for job, status in self.jobs],
            "images": self.images,
            "seconds": self.seconds,
        }


def estimate(grid: Grid, store: Store, cache_dir: Path) -> Forecast:
    """Return what of ``grid`` is stored, and the time that the missing features take."""
    names = {"ok": "done", "failed": "failed", None: "to do"}
    jobs = tuple((job, names[store.status(job.cell)]) for job in grid.jobs)
    todo = {id(job) for job, status in jobs if status != "done"}
    images, seconds = 0, 0.0
    for _, group in itertools.groupby(grid.blocks, key=lambda block: (id(block.task), id(block.backbone))):
        blocks = list(group)
        block = blocks[0]
        if not any(id(job) in todo for b in blocks for job in b.jobs):
            continue
        source, stages = Source(block.backbone, block.backbone_identity, cache_dir), len(block.backbone.spec.stages)
        for view in block.task.parts:
            if is_cached(cache_of(cache_dir), view, source, stages, variants=1):
                continue
            images += len(view.rows)
            rate = source.known_rate(stages)
            seconds += len(view.rows) / rate if rate else float("nan")
    return Forecast(jobs, images, None if seconds != seconds else seconds)
