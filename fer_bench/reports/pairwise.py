"""Every two rows of a board: their paired difference, and the board in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from fer_bench.evaluation.difference import Difference, compare_estimates
from fer_bench.evaluation.family import adjust_steps
from fer_bench.reports import comparison
from fer_bench.reports.row import Row
from fer_bench.reports.standing import PERCENT, write_number


@dataclass(frozen=True, kw_only=True)
class PairOfRows:
    """Two rows of a board.

    Attributes:
        difference: first minus second, with its interval, taken by itself.
        p_value: two-sided, for all pairs of the board together, as the tiers are.
    """

    difference: Difference
    p_value: float

    @property
    def apart(self) -> bool:
        """Whether the two are told apart."""
        return self.p_value <= comparison.ALPHA


def find_ranked(board: Sequence[Row]) -> list[Row]:
    """Return the rows that have a standing: tested on the same images, so that their differences are paired."""
    return [row for row in board if row.standing is not None and not row.baseline]


def compare_all(ranked: Sequence[Row]) -> dict[tuple[int, int], PairOfRows]:
    """Return every two of the rows, by their indices, the smaller one first."""
    estimates = [comparison.estimate(row.metric, row.pooled) for row in ranked if row.pooled is not None]
    pairs = list(combinations(range(len(estimates)), 2))
    return {
        (i, j): PairOfRows(difference=compare_estimates(estimates[j], estimates[i]), p_value=p)
        for (i, j), p in zip(pairs, adjust_steps(estimates, pairs).tolist(), strict=True)
    }


def name_shortly(board: Sequence[Row]) -> list[str]:
    """Return names of rows without the backbone or the strategy that all of them have."""
    return shorten([(row.backbone, row.strategy, row.trained_on, row.variant) for row in board])


def shorten(names: Sequence[Sequence[str]]) -> list[str]:
    """Return names of several parts, backbone and strategy first, without the one of these that all of them have."""
    backbones, strategies = ({name[place] for name in names} for place in (0, 1))
    left_out = 0 if len(backbones) == 1 and len(strategies) > 1 else 1 if len(strategies) == 1 else None
    return [" / ".join(part for place, part in enumerate(name) if part and place != left_out) for name in names]


def sum_up(board: Sequence[Row]) -> str:
    """Return in a sentence which method is best on a board, if any is, and by how much."""
    ranked = find_ranked(board)
    if not ranked:
        return "No row of this board can be ranked; the notes say why."
    names, by = name_shortly(ranked), ranked[0].metric
    if len(ranked) == 1:
        return f"{ranked[0].method} is the only row that can be ranked."
    leaders = [place for place, row in enumerate(ranked) if row.standing and row.standing.may_be_best]
    worse = len(ranked) - len(leaders)
    if len(leaders) > 1:
        listed = [names[place] for place in leaders[:4]]
        listed += [f"{len(leaders) - 4} more"] if len(leaders) > 4 else []
        why = (
            f"; the other {worse if worse > 1 else 'one'} {'are' if worse > 1 else 'is'} shown to be worse"
            if worse
            else ""
        )
        return f"No single best method by {by.title}: it may be {', '.join(listed[:-1])} or {listed[-1]}{why}."
    pair = compare_all(ranked)[0, 1]
    sign = 1 if by.higher_is_better else -1
    ends = sorted((sign * pair.difference.low, sign * pair.difference.high))
    value, low, high = (write_number(by, number, 1) for number in (sign * pair.difference.value, *ends))
    unit = " points" if by.name in PERCENT else ""
    p = "p < 0.001" if pair.p_value < 0.001 else f"p = {pair.p_value:.3f}"
    second = ranked[1].standing
    alike = [row for row in ranked[2:] if second and row.standing and set(row.standing.tier) & set(second.tier)]
    tied = f"; the next {len(alike) + 1} cannot be told apart" if alike else ""
    return f"{names[0]} is best by {by.title}: {value}{unit} ({low} to {high}) over {names[1]}, {p}{tied}."
