"""Which differences a planned grid can show, and which it cannot, before anything is trained."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.evaluation.flips import FEWEST_UNITS
from fer_bench.evaluation.power import Design, find_difference
from fer_bench.evaluation.variances import (
    DATA_SET_SD,
    SEED_SD,
    Variance,
    Variances,
    assume_noise,
    assume_variances,
    count_images,
)
from fer_bench.executors.grid import Block, Grid
from fer_bench.sizes import number_of
from fer_bench.specs import GradientPhase
from fer_bench.tasks.splitting import noun

POWER = 0.8
ENOUGH_SEEDS = 5
"""Trainings that show their noise well."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is planned of a board.

    Attributes:
        name: of its data set.
        source: the data set, which may have several boards.
        unit: what is compared, such as ``subject``.
        design: units and seeds.
        random: whether a row is trained in epochs.
        variances: what is assumed of the difference of two rows.
    """

    name: str
    source: tuple[str, ...]
    unit: str
    design: Design
    random: bool
    variances: Variances


def describe_resolution(grid: Grid) -> list[str]:
    """Return by how much the UAR of two rows must differ to be told apart: a line for boards of one data set that can
    show as much, and one on other data sets.

    By the assumptions of ``assume_variances``, from the subjects and the classes of what is tested, and by
    ``SEED_SD`` and ``DATA_SET_SD``.
    """
    blocks: dict[tuple[int, str, int], list[Block]] = defaultdict(list)
    for block in grid.blocks:
        protocol = block.jobs[0].cell.protocol
        if not protocol.pairs_of:
            blocks[id(block.task), protocol.text, protocol.folds].append(block)
    boards = [_measure(rows) for rows in blocks.values()]
    return [*dict.fromkeys(map(_describe, boards)), describe_others(boards)] if boards else []


def _measure(blocks: list[Block]) -> Board:
    """Return what is planned of a board, ``blocks`` being its rows."""
    task, jobs = blocks[0].task, blocks[0].jobs
    tested = np.flatnonzero(np.logical_or.reduce([job.fold.test for job in jobs]))
    groups = tested if task.groups is None else task.groups[tested]
    n, images = len(np.unique(groups)), count_images(np.bincount(task.labels[tested]))
    dataset = task.parts[0].dataset
    return Board(
        name=task.name,
        source=(dataset.plugin.distribution, dataset.spec.name, str(getattr(dataset.params, "name", ""))),
        unit=noun(task.unit),
        design=Design(units=n, seeds=len({job.cell.seed for job in jobs})),
        random=any(isinstance(phase, GradientPhase) for block in blocks for phase in block.plan.phases),
        variances=assume_variances(images / n, **({} if n < len(tested) else {"alike": 0.0})),
    )


def _describe(board: Board) -> str:
    """Return what the rows of a board can show on its data set."""
    n, seeds = board.design.units, board.design.seeds
    name = f"{board.name}, {number_of(n, board.unit)}, {number_of(seeds, 'seed')}"
    if n < FEWEST_UNITS:
        return f"{name}: too few for any two rows to be told apart; {FEWEST_UNITS} {board.unit}s are the least."
    noisy = replace(board.variances, seed=assume_noise(math.sqrt(2) * SEED_SD)) if board.random else board.variances
    sentence = f"{name}: 80 % of such runs tell two rows apart that differ by {_find_points(noisy, board.design)}."
    if not board.random or seeds > 1:
        return sentence
    more = _find_points(noisy, replace(board.design, seeds=ENOUGH_SEEDS))
    return (
        f"{sentence} They tell only these trained models apart: with one seed, another training may reverse the order. "
        f"With {ENOUGH_SEEDS} seeds, rows are told apart for other trainings as well, from {more}."
    )


def describe_others(boards: list[Board]) -> str:
    """Return what the boards together can show of other data sets."""
    by_source = {board.source: board for board in boards}
    if len(by_source) == 1:
        return "One data set cannot show which row is better on other data sets."
    units = round(float(np.mean([board.design.units for board in by_source.values()])))
    own = [(board.variances.unit, units / board.design.units) for board in by_source.values()]
    value, most = (float(np.mean([getattr(one, end) * share for one, share in own])) for end in ("value", "most"))
    variances = Variances(
        unit=Variance(value=value, most=most),
        seed=assume_noise(math.sqrt(2) * SEED_SD) if any(board.random for board in boards) else None,
        dataset=assume_noise(DATA_SET_SD),
    )
    seeds = min(board.design.seeds for board in boards)
    points = _find_points(variances, Design(units=units, seeds=seeds, datasets=len(by_source)))
    return f"80 % of such runs on {len(by_source)} data sets show which row is better on others, at a mean of {points}."


def _find_points(variances: Variances, design: Design) -> str:
    """Return the least difference that is shown by what is assumed of scores, and where they vary more than usual."""
    least, most = (find_difference(one, design, POWER) for one in (variances, variances.raise_to_limits()))
    return f"{_round(100 * least)} points of UAR (assumed; {_round(100 * most)} if scores vary more than usual)"


def _round(points: float) -> str:
    if points > 100:
        return "more than 100"
    return f"{points:.0f}" if points >= 10 else f"{points:.1f}"
