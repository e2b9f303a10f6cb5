"""Do two methods differ on other data sets of this kind? A hierarchical bootstrap of data sets, subjects and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.estimate import Estimate, measure_parts, pair_series

RESAMPLES = 4000


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockDifference:
    """The difference of two methods on one data set.

    Attributes:
        value: second minus first, in the metric's unit.
        parts: (n,) float, what each unit adds to it; see ``measure_parts``.
        seeds: tuple of (k,) float, what varies over seeds; see ``pair_series``.
    """

    value: float
    parts: Array
    seeds: tuple[Array, ...]

    @property
    def variance(self) -> float:
        """Of ``value``, from units and seeds."""
        sources = [self.parts * len(self.parts), *self.seeds]
        return sum(float(values.var(ddof=1)) / len(values) for values in sources if len(values) > 1)


@dataclass(frozen=True, kw_only=True)
class MeanDifference:
    """The mean difference of two methods over data sets.

    Attributes:
        value: second minus first, each data set counting once.
        low: lower end of the interval; likewise ``high``.
        level: of the interval.
        p_value: two-sided; at most 1 - level exactly where the interval leaves out 0.
        datasets: how many.
    """

    value: float
    low: float
    high: float
    level: float
    p_value: float
    datasets: int


def make_block(boards: Sequence[tuple[Estimate, Estimate]]) -> BlockDifference:
    """Return the difference on a data set, from both methods on each of its boards.

    The difference is the mean over boards. They show the same people in other ways, so that it varies no less than on
    one board: units and seeds are those of the board on which it varies most.

    Raises:
        ValueError: the methods do not have the same units on a board.
    """
    blocks = [_difference(first, second) for first, second in boards]
    widest = max(blocks, key=lambda block: block.variance)
    return BlockDifference(
        value=float(np.mean([block.value for block in blocks])), parts=widest.parts, seeds=widest.seeds
    )


def compare_across(
    blocks: Sequence[BlockDifference], *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> MeanDifference:
    """Return the mean difference over data sets with its interval, for other data sets, subjects and trainings.

    A resample draws data sets with replacement, and within each its subjects and its seeds. What data sets differ by
    beyond what subjects and seeds explain is the part that is drawn with the data sets: to draw all of it would count
    subjects and seeds twice (A. C. Davison and D. V. Hinkley, "Bootstrap methods and their application", 1997, section
    3.8). The interval is Student's with one degree of freedom less than there are data sets, around the mean, with the
    standard error of the resamples: quantiles of two or three data sets cannot reach far enough. R. Agarwal et al.,
    "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 34, 2021), resample runs within
    tasks likewise. Measured error rates: docs/statistics.md.

    Args:
        blocks: one a data set, two or more.
        level: of the interval.
        resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: there are fewer than two data sets, or level is not between 0 and 1.
    """
    if len(blocks) < 2:
        raise ValueError(f"there are {len(blocks)} data sets; expected two or more")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a number between 0 and 1, such as 0.95")
    rng, count = np.random.default_rng(seed), len(blocks)
    values = np.array([block.value for block in blocks])
    mean, spread = float(values.mean()), float(values.var(ddof=1))
    within = float(np.mean([block.variance for block in blocks]))
    between = max(0.0, 1 - within / spread) if spread else 0.0
    centres = mean + (values - mean) * np.sqrt(between * count / (count - 1))
    draws = np.stack([centre + _resample(block, rng, resamples) for centre, block in zip(centres, blocks, strict=True)])
    drawn = rng.integers(count, size=(count, resamples))
    # A data set that is drawn twice is two data sets, with subjects and seeds of their own: other columns.
    columns = (np.arange(resamples) + np.arange(count)[:, None] * (resamples // count)) % resamples
    error, df = float(draws[drawn, columns].mean(axis=0).std(ddof=1)), count - 1
    reach = float(special.stdtrit(df, (1 + level) / 2)) * error
    p_value = float(2 * special.stdtr(df, -abs(mean) / error)) if error else float(mean == 0)
    return MeanDifference(value=mean, low=mean - reach, high=mean + reach, level=level, p_value=p_value, datasets=count)


def _difference(first: Estimate, second: Estimate) -> BlockDifference:
    """Return the difference on one board."""
    return BlockDifference(
        value=second.value - first.value,
        parts=measure_parts(first, second),
        seeds=tuple(pair_series(first, second)),
    )


def _resample(block: BlockDifference, rng: np.random.Generator, resamples: int) -> Array:
    """Return by how much resampled subjects and seeds move the difference, (resamples,) float, around 0."""
    moved = np.zeros(resamples)
    for values in (block.parts * len(block.parts), *block.seeds):
        n = len(values)
        if n > 1:
            wider = np.sqrt(n / (n - 1))  # a resample varies by (n - 1) / n of what a sample does
            weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
            moved += (weights @ (values - values.mean())) / n * wider
    return moved
