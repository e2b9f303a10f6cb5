"""Claims across data sets."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim
from simulated_people import Faces

from fer_bench.evaluation.across import compare_across, make_block
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.friedman import friedman_test
from fer_bench.evaluation.metrics import STANDARD


def across_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _mean_differences()
    yield from _several_boards()
    yield from _friedman()


def _mean_differences() -> Iterator[Claim]:
    for sets, spread, seeds in ((2, 0.0, 1), (3, 0.5, 1), (5, 0.0, 1), (5, 0.5, 1), (5, 0.5, 3), (12, 0.5, 1)):
        setting = f"UAR, {sets} data sets of 20 people, differences of {spread:g} logits between sets, {seeds} seed"

        def differ(rng: np.random.Generator, sets: int = sets, spread: float = spread, seeds: int = seeds) -> bool:
            blocks = []
            for gap in rng.normal(0, spread, sets).tolist():
                faces = Faces(people=20, seeds=seeds, noise=0.2 if seeds > 1 else 0.0, gaps=(0.0, gap))
                first, second = faces.estimates(rng, STANDARD["uar"])
                blocks.append(make_block([(first, second)]))
            return compare_across(blocks, resamples=1000).p_value <= 0.05

        yield Claim(
            name="across data sets: two methods without a mean difference differ",
            setting=setting + ("s" if seeds > 1 else ""), promised=(0, 0.05), happens=differ, draws=400,
        )  # fmt: skip


def _several_boards() -> Iterator[Claim]:
    """Yield data sets that have four boards each, such as four numbers of folds, of two methods equal on average."""

    def draw(rng: np.random.Generator, sets: int) -> list[list[tuple[Estimate, Estimate]]]:
        """Return both methods on each board of each data set."""
        drawn: list[list[tuple[Estimate, Estimate]]] = []
        for gap in rng.normal(0, 0.5, sets).tolist():
            faces = Faces(people=20, seeds=4, noise=0.2, gaps=(0.0, gap))
            true, methods, seeds, people = faces.draw(rng)
            boards = [np.flatnonzero(seeds == board) for board in range(4)]
            pairs = [
                [measure(STANDARD["uar"], true[rows], table[rows], units=people[rows]) for table in methods]
                for rows in boards
            ]
            drawn.append([(first, second) for first, second in pairs])
        return drawn

    def once(rng: np.random.Generator) -> bool:
        return compare_across([make_block(boards) for boards in draw(rng, 3)], resamples=1000).p_value <= 0.05

    def each(rng: np.random.Generator, sets: int = 3) -> bool:
        blocks = [make_block([board]) for boards in draw(rng, sets) for board in boards]
        return compare_across(blocks, resamples=1000).p_value <= 0.05

    name = "across data sets: two methods without a mean difference differ"
    setting = "UAR, 3 data sets of 20 people on 4 boards each, differences of 0.5 logits between sets"
    yield Claim(name=name, setting=setting, promised=(0, 0.05), happens=once, draws=400, quick=20)
    for sets, where in ((3, setting), (1, setting.replace("3 data sets", "1 data set"))):
        yield Claim(
            name=f"{name}, were each board a data set (so a data set counts once)", setting=where, promised=(0, 1),
            happens=functools.partial(each, sets=sets), draws=400,
        )  # fmt: skip


def _friedman() -> Iterator[Claim]:
    for sets, methods in ((2, 3), (3, 4), (6, 4), (12, 6)):

        def unanimous(rng: np.random.Generator, sets: int = sets, methods: int = methods) -> bool:
            return friedman_test(rng.normal(size=(sets, methods))).p_value <= 0.05

        yield Claim(
            name="Friedman: equal methods differ", setting=f"{sets} data sets, {methods} methods", promised=(0, 0.05),
            happens=unanimous, draws=1000,
        )  # fmt: skip
