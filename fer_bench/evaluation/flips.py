"""Sign flips: what a difference would be if a coin had decided which method said what of each subject."""

from __future__ import annotations

import functools

import numpy as np

from fer_bench.arrays import Array

RESAMPLES = 4000
"""Random flips, where more flips exist than this. A p-value of 0.05 is then known to 0.0034 (one standard error)."""
FEWEST_UNITS = 6
"""With fewer units no flip is rare enough for a p-value of 0.05: five have 16 outcomes."""
EQUAL = 1e-9
"""Outcomes that differ by this share of what could differ are equal."""


@functools.lru_cache(maxsize=2)
def draw_flips(n: int) -> Array:
    """Return signs of n units, (flips, n) float64, the first row all 1; the same ones for the same n.

    All of them where they are ``RESAMPLES`` or fewer; the sign of the first unit is then fixed, since a two-sided test
    counts a flip and its opposite alike. Of five units or fewer there are 16 or fewer, so that no p-value is below
    0.0625.
    """
    flips = 1 << (n - 1)
    if flips <= RESAMPLES:
        bits = np.arange(flips)[:, None] * 2 >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(0).integers(0, 2, size=(RESAMPLES, n), dtype=np.int8)
        bits[0] = 0
    return (1 - 2 * bits).astype(np.float64)


def flip_parts(parts: Array, shares: Array, level: float) -> tuple[float, float, float]:
    """Return the p-value of a difference, and the ends of the interval that the same flips give.

    If two methods are equally good, which of them gave which answers to a unit is a coin toss, and so is the sign of
    the unit's part: a permutation test (E. S. Edgington and P. Onghena, "Randomization tests", 4th ed.). The interval
    holds the differences that the test does not reject (J. A. Hartigan, "Using subsample values as typical values",
    Journal of the American Statistical Association 64, 1969), so that p <= 1 - level exactly where it leaves out 0.

    Args:
        parts: (n,) float, what each unit adds to the difference, see ``measure_parts``.
        shares: (n,) float from 0, sum to 1: what it would add if the difference were the same for all.
        level: of the interval, such as 0.95.

    Returns:
        p, low, high; the ends are infinite where no flip of so few units is rare enough.
    """
    difference, slack = float(parts.sum()), EQUAL * float(np.abs(parts).sum())
    if slack == 0:
        return 1.0, 0.0, 0.0
    signs = draw_flips(len(parts))
    flipped, tied = signs @ parts, signs @ shares  # one by one: BLAS takes twice as long for both as a matrix
    p_value = float((np.abs(flipped) >= abs(difference) - slack).mean())
    # A flip does not reject a true difference d where |flipped - d tied| >= |difference - d|: where d lies between two
    # roots on either side of the difference, and everywhere if all signs are alike.
    alike = np.abs(tied) > 1 - EQUAL
    tied = np.where(alike, 0.0, tied)
    roots = np.stack([(difference - flipped) / (1 - tied), (difference + flipped) / (1 + tied)])
    roots[:, alike] = np.array([[-np.inf], [np.inf]])
    allowed = int((1 - level) * len(signs) * (1 + 1e-12))
    low = float(np.sort(roots.min(axis=0))[allowed])
    high = float(np.sort(roots.max(axis=0))[-1 - allowed])
    return p_value, 0.0 if abs(low) <= slack else low, 0.0 if abs(high) <= slack else high
