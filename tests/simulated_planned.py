"""Claims about comparisons that were planned before a run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from simulated_claim import Claim
from simulated_people import Faces

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.metrics import STANDARD

Pairs = Sequence[tuple[int, int]]
PLANNED: Pairs = ((0, 1), (2, 3), (4, 5))


def planned_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    equal = Faces(people=30, methods=6)
    board = "3 planned comparisons on a board of 6 methods, 30 people"

    def differs(rng: np.random.Generator, faces: Faces, pairs: Pairs) -> bool:
        return bool((adjust_steps(faces.estimates(rng, STANDARD["uar"]), pairs) <= 0.05).any())

    def holds(rng: np.random.Generator) -> bool:
        estimates = equal.estimates(rng, STANDARD["uar"])
        gaps = [compare_estimates(estimates[i], estimates[j], level=1 - 0.05 / len(PLANNED)) for i, j in PLANNED]
        return all(gap.low <= 0 <= gap.high for gap in gaps)

    yield Claim(
        name="planned: of equal methods any differ", setting=f"UAR, {board}", promised=(0, 0.05), draws=1000, quick=40,
        happens=functools.partial(differs, faces=equal, pairs=PLANNED),
    )  # fmt: skip
    yield Claim(
        name="planned: all intervals together hold the true differences", setting=f"UAR, {board}", promised=(0.95, 1),
        happens=holds, draws=1000, quick=40,
    )  # fmt: skip
    better = Faces(people=30, methods=6, gaps=(0.0, 1.5, 0.0, 0.0, 0.0, 0.0))
    every = tuple(combinations(range(6), 2))
    for pairs, words in ((((0, 1),), "the only one that was planned"), (every, "one of all 15")):

        def finds(rng: np.random.Generator, pairs: Pairs = pairs) -> bool:
            return bool(adjust_steps(better.estimates(rng, STANDARD["uar"]), pairs)[0] <= 0.05)

        yield Claim(
            name="planned: a difference of 1.5 logits between two methods is shown", promised=(0, 1), happens=finds,
            setting=f"UAR, 6 methods, 30 people, the comparison is {words}", draws=1000,
        )  # fmt: skip
