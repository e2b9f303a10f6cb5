"""Claims about two methods on groups of people: the worst group of each, and the largest gap."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from simulated_claim import Claim

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.extremes import compare_gaps, compare_worst
from fer_bench.evaluation.group_scores import GroupScores, measure_group_scores
from fer_bench.evaluation.metrics import STANDARD

IMAGES, SPREAD = 14, 0.15
"""Images of a person, and by how much the recall of a person is above or below that of the group, at most."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two methods on the same people.

    Attributes:
        setting: in words.
        people: of each group.
        first: UAR of one method on each group; likewise ``second``.
    """

    setting: str
    people: int
    first: tuple[float, ...]
    second: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> tuple[GroupScores, GroupScores]:
        """Return what both score on drawn people, of whom some are hard for both and some for one."""
        group = np.repeat(np.arange(len(self.first)), self.people)
        person = np.repeat(np.arange(len(group)), IMAGES)
        true, zeros = np.tile(np.arange(7), 2 * len(group)), np.zeros(len(person), np.int64)
        members = [(f"g{code}", group[person] == code) for code in range(len(self.first))]
        hard, scores = rng.uniform(-1, 1, len(group)), []
        for recalls in (self.first, self.second):
            apart = (hard + rng.uniform(-1, 1, len(group))) / np.sqrt(2)
            recall = (np.array(recalls)[group] + SPREAD * apart)[person]
            answer = np.where(rng.random(len(true)) < recall, true, (true + rng.integers(1, 7, size=len(true))) % 7)
            scores.append(measure_group_scores(STANDARD["uar"], true, np.eye(7)[answer], zeros, person, zeros, members))
        return scores[0], scores[1]


PAIRS = (
    Pair(setting="2 groups of 20 people, equal methods", people=20, first=(0.7,) * 2, second=(0.7,) * 2),
    Pair(setting="6 groups of 8 people, equal methods", people=8, first=(0.7,) * 6, second=(0.7,) * 6),
    Pair(
        setting="3 groups of 30 people, equally bad for one method; one of them as bad for the other",
        people=30, first=(0.7,) * 3, second=(0.7, 0.85, 0.85),
    ),
    Pair(
        setting="6 groups of 20 people, equally bad for one method; one of them as bad for the other",
        people=20, first=(0.7,) * 6, second=(0.7,) + (0.85,) * 5,
    ),
    Pair(
        setting="6 groups of 8 people, three bad ones for one method, one as bad for the other",
        people=8, first=(0.6,) * 3 + (0.75,) * 3, second=(0.6, *(0.7,) * 4, 0.75),
    ),
)  # fmt: skip


def group_pair_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    for pair in PAIRS:
        for what in ("worst group", "gap"):

            def misses(rng: np.random.Generator, pair: Pair = pair, what: str = what) -> bool:
                scores = [one.over_all for one in pair.draw(rng)]
                if what == "gap":
                    true, known = np.ptp(pair.second) - np.ptp(pair.first), compare_gaps(*scores)
                else:
                    true, known = min(pair.second) - min(pair.first), compare_worst(*scores)
                return not known.low <= true <= known.high

            yield Claim(
                name=f"groups: the interval of the difference of two methods in the {what} leaves out the true one",
                setting=f"UAR, {pair.setting}", promised=(0, 0.05), happens=misses, draws=400, quick=10,
            )  # fmt: skip
    yield Claim(
        name="groups: two methods whose worst groups are equally bad differ in the worst group, if these groups are "
        "taken as given (so they are not)",
        setting=f"UAR, {PAIRS[3].setting}", promised=(0, 1), happens=functools.partial(_differs, PAIRS[3]), draws=400,
    )  # fmt: skip


def _differs(pair: Pair, rng: np.random.Generator) -> bool:
    worst = [one.over_all.estimates[[*one.groups].index(one.lowest)] for one in pair.draw(rng)]
    return compare_estimates(*worst).differs
