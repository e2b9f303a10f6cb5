"""Claims about groups of people: the certificate, the subjects that it asks for, and equal opportunity."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim

from fer_bench.evaluation.certificate import GroupDifference, compare_groups_to_all
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.opportunity import measure_group_gap

SKILL, MARGIN, IMAGES = 0.7, 0.05, 14
Sizes = tuple[int, ...]


def group_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    for sizes in ((30, 30), (30, 60, 90), (30,) * 6):
        setting = f"UAR, groups of {', '.join(map(str, sizes))} people, the first worse by the margin of 5 points"
        for answer, every in (("PASS", True), ("FAIL", False)):

            def says(rng: np.random.Generator, sizes: Sizes = sizes, answer: str = answer, every: bool = every) -> bool:
                verdicts = [group.verdict == answer for group in compare(rng, sizes, MARGIN, MARGIN)]
                return all(verdicts) if every else any(verdicts)

            yield Claim(
                name=f"groups: the certificate says {answer} at the border", setting=setting, promised=(0, 0.05),
                happens=says, draws=400, quick=15,
            )  # fmt: skip
    # The number is right within 20 %: with a sixth fewer subjects too few draws pass, with a fifth more enough.
    shares = ((1, "the", (0.74, 0.86)), (5 / 6, "5/6 of the", (0, 0.8)), (6 / 5, "6/5 of the", (0.8, 1)))
    for sizes in ((30, 30, 30), (40, 80)):
        for times, share, promised in shares:

            def passes(rng: np.random.Generator, sizes: Sizes = sizes, times: float = times) -> bool:
                enough = tuple(round(times * find_needed(sizes) / sizes[0] * size) for size in sizes)
                return compare(rng, enough, 0.0, 0.03)[0].verdict == "PASS"

            yield Claim(
                name=f"groups: a group that is no worse passes with {share} subjects that are needed "
                "(planned for 80 %)",
                setting=f"UAR, margin 3 points, predicted from groups of {', '.join(map(str, sizes))} people",
                promised=promised, happens=passes, draws=400, quick=20,
            )  # fmt: skip
    yield from _gaps()


def _gaps() -> Iterator[Claim]:
    for sizes, shortfall in (((30, 30), 0.0), ((30, 30, 30), 0.0), ((30, 60, 60), 0.2)):
        true_gap = shortfall / (1 - sizes[0] / sum(sizes))

        def holds(
            rng: np.random.Generator, sizes: Sizes = sizes, shortfall: float = shortfall, true_gap: float = true_gap
        ) -> bool:
            true, table, seeds, person, members = draw(rng, sizes, shortfall)
            rows = np.flatnonzero(true == 3)
            columns = true[rows], table[rows], seeds[rows], person[rows]
            gap = measure_group_gap(STANDARD["accuracy"], *columns, [(name, part[rows]) for name, part in members])
            return gap.low <= true_gap <= gap.high

        yield Claim(
            name="groups: the interval of the largest gap of a recall holds the true one",
            setting=f"two images of the class a person, groups of {', '.join(map(str, sizes))} people, "
            f"true gap {100 * true_gap:.0f} points",
            promised=(0.94, 1), happens=holds, draws=500, quick=20,
        )  # fmt: skip


def draw(
    rng: np.random.Generator, sizes: Sizes, shortfall: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[tuple[str, np.ndarray]]]:
    """Return labels, answers, seeds, people and groups of people with two images of each of seven classes.

    The recall of every class is that of the person, who differs by up to 15 points from the mean of the group. The
    first group is worse than all people together by ``shortfall``.
    """
    group = np.repeat(np.arange(len(sizes)), sizes)
    mean = SKILL - shortfall / (1 - sizes[0] / sum(sizes)) * (group == 0)
    person = np.repeat(np.arange(len(group)), IMAGES)
    true = np.tile(np.arange(7), 2 * len(group))
    skill = np.clip(mean + 0.15 * rng.uniform(-1, 1, len(group)), 0, 1)[person]
    answer = np.where(rng.random(len(true)) < skill, true, (true + rng.integers(1, 7, size=len(true))) % 7)
    members = [(f"g{code}", group[person] == code) for code in range(len(sizes))]
    return true, np.eye(7)[answer], np.zeros(len(true), np.int64), person, members


def compare(rng: np.random.Generator, sizes: Sizes, shortfall: float, margin: float) -> list[GroupDifference]:
    """Return what the certificate says of drawn people."""
    return compare_groups_to_all(STANDARD["uar"], *draw(rng, sizes, shortfall), margin=margin)


@functools.cache
def find_needed(sizes: Sizes) -> int:
    """Return the median of the subjects of the first group that 20 pilots say are needed at a margin of 3 points."""
    rng = np.random.default_rng(8)
    needed = [compare(rng, sizes, 0.0, 0.03)[0].needed for _ in range(20)]
    return int(np.median([number for number in needed if number is not None]))
