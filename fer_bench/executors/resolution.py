"""Which differences a planned grid can show, before anything is trained."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np

from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.power import Design, find_difference
from fer_bench.evaluation.variances import Variance, assume_variances, count_images
from fer_bench.executors.grid import Block, Grid
from fer_bench.specs import GradientPhase
from fer_bench.tasks.splitting import noun

SEED_SD = 0.02
"""Assumed standard deviation of the UAR over trainings in epochs."""
POWER = 0.8


def describe_resolution(grid: Grid) -> list[str]:
    """Return a line for each board of a grid: by how much the UAR of two rows must differ to be told apart.

    By the assumptions of ``assume_variances``, from the subjects and the classes of what is tested.
    """
    boards: dict[tuple[int, str, int], list[Block]] = defaultdict(list)
    for block in grid.blocks:
        protocol = block.jobs[0].cell.protocol
        boards[id(block.task), protocol.text, protocol.folds].append(block)
    return [_describe(blocks) for blocks in boards.values()]


def _describe(blocks: list[Block]) -> str:
    """Return the line of a board, ``blocks`` being its rows."""
    task, jobs = blocks[0].task, blocks[0].jobs
    tested = np.flatnonzero(np.logical_or.reduce([job.fold.test for job in jobs]))
    seeds = len({job.cell.seed for job in jobs})
    groups = tested if task.groups is None else task.groups[tested]
    n, images = len(np.unique(groups)), count_images(np.bincount(task.labels[tested]))
    random = any(isinstance(phase, GradientPhase) for block in blocks for phase in block.plan.phases)
    word, trainings = noun(task.unit), f"{seeds} seed{'s' if seeds > 1 else ''}"
    name = f"{task.name}, {n:,} {word}{'s' if n != 1 else ''}, {trainings}"
    if n < FEWEST_UNITS:
        return f"{name}: too few for any two rows to be told apart; {FEWEST_UNITS} {word}s are the least."
    assumed = assume_variances(images / n) if n < len(tested) else assume_variances(images / n, alike=0.0)
    if random and seeds > 1:
        noise = 2 * SEED_SD**2
        assumed = replace(assumed, seed=Variance(value=noise, most=noise))
    design = Design(units=n, seeds=seeds)
    least, most = (100 * find_difference(one, design, POWER) for one in (assumed, assumed.raise_to_limits()))
    unknown = "; training noise unknown with one seed" if random and seeds == 1 else ""
    return (
        f"{name}: tells rows apart that differ by {_round(least)} points of UAR or more, at the most {_round(most)} "
        f"(with 80 %, assumed){unknown}."
    )


def _round(points: float) -> str:
    return f"{points:.0f}" if points >= 10 or not math.isfinite(points) else f"{points:.1f}"
