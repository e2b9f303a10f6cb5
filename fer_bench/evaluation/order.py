"""Does the better of two methods stay the better one on every data set? A test of every pair, all pairs together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from fer_bench.arrays import Array
from fer_bench.evaluation.across import BlockDifference

ALPHA = 0.05
Order = Literal["holds", "reversed", "open"]


@dataclass(frozen=True, kw_only=True)
class PairOrder:
    """Two methods on several data sets.

    Attributes:
        values: second minus first on each data set, in the metric's unit.
        order: ``holds`` where the same method is shown to be better on every data set, ``reversed`` where each is
            shown to be better on one, else ``open``.
        p_value: of that answer, or the smaller one of both where it is open, for all pairs together.
    """

    values: tuple[float, ...]
    order: Order
    p_value: float


def judge_order(pairs: Sequence[Sequence[BlockDifference]]) -> list[PairOrder]:
    """Return for each pair of methods whether their order holds, at 5 % for all answers together.

    That the order holds is shown by the largest p-value of all data sets, where all differences have one sign: every
    data set must show it (R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24,
    1982). That it is reversed is shown by a difference in each direction: of b data sets, the larger of the two least
    one-sided p-values, times b - 1, as M. Gail and R. Simon, "Testing for qualitative interactions between treatment
    effects and patient subsets" (Biometrics 41, 1985), reason for two. Both answers about all pairs are one family,
    corrected by S. Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics
    6, 1979). Error rates: docs/statistics.md.

    Args:
        pairs: of each pair, the difference on each data set, in the same order; two or more.

    Raises:
        ValueError: there are fewer than two data sets.
    """
    if any(len(blocks) < 2 for blocks in pairs):
        raise ValueError("there are fewer than two data sets; expected two or more")
    values = [np.array([block.value for block in blocks]) for blocks in pairs]
    two_sided = [np.array([_find_p(block) for block in blocks]) for blocks in pairs]
    holds = [float(p.max()) if abs(np.sign(v).sum()) == len(v) else 1.0 for v, p in zip(values, two_sided, strict=True)]
    turned = [_find_reversal(v, p) for v, p in zip(values, two_sided, strict=True)]
    adjusted = adjust_holm(np.array([*holds, *turned]))
    orders: list[PairOrder] = []
    for several, hold, turn in zip(values, adjusted[: len(pairs)], adjusted[len(pairs) :], strict=True):
        order: Order = "holds" if hold <= ALPHA else "reversed" if turn <= ALPHA else "open"
        orders.append(PairOrder(values=tuple(several.tolist()), order=order, p_value=float(min(hold, turn))))
    return orders


def adjust_holm(p_values: Array) -> Array:
    """Return p-values adjusted for asking them all, (n,) float."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _find_p(block: BlockDifference) -> float:
    """Return the two-sided p-value of a difference: Student's, with Satterthwaite's degrees of freedom.

    Of n units it is 1 / 2^(n - 1) or more, as if their signs were flipped: with a few units that all show the same
    difference there is no variance.
    """
    varying = [values for values in (block.parts * len(block.parts), *block.seeds) if len(values) > 1]
    sources = [(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in varying]
    spread = sum(variance**2 / df for variance, df in sources)
    least = 0.5 ** (len(block.parts) - 1)
    if not spread:
        return 1.0 if block.value == 0 else least
    df = sum(variance for variance, _ in sources) ** 2 / spread
    return max(least, float(2 * special.stdtr(df, -abs(block.value) / math.sqrt(block.variance))))


def _find_reversal(values: Array, two_sided: Array) -> float:
    """Return the p-value of a difference in each direction among the data sets."""
    least = [float(np.min(two_sided[values * sign > 0] / 2, initial=1.0)) for sign in (1, -1)]
    return min(1.0, max(least) * (len(values) - 1))
