"""Claims of boards: letters, the rows that may be best, and rows that are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from simulated_claim import Claim
from simulated_people import Faces, find_uar

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.equivalence import weigh_behind
from fer_bench.evaluation.estimate import Estimate, measure
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.ranking import find_rank_intervals

PAIRS = list(combinations(range(6), 2))
SPREAD = 0.3
"""Standard deviation of the spreads of methods, in logits: a spread of 0.3 is one of some 4 points of the UAR."""


def board_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _equal_methods()
    yield from _trainings()
    yield from _best()
    yield from _perfect()
    yield from _behind()


def _equal_methods() -> Iterator[Claim]:
    """Yield how often equal methods are told apart: all six of a board, and three beside three that are better."""
    for name, people, seeds, noise in (
        ("uar", 10, 1, 0.0), ("uar", 40, 1, 0.0), ("uar", 40, 3, 0.5), ("uar", 40, 5, 0.5),
        ("macro_f1", 10, 1, 0.0), ("macro_f1", 20, 1, 0.0), ("macro_f1", 50, 1, 0.0),
        ("kappa", 10, 1, 0.0), ("nll", 10, 1, 0.0), ("brier", 10, 1, 0.0),
    ):  # fmt: skip
        faces, metric = Faces(people=people, methods=6, seeds=seeds, noise=noise), STANDARD[name]
        draws = 400 if seeds > 1 else 3000 if people == 10 and name in ("uar", "macro_f1") else 1000

        def split(rng: np.random.Generator, faces: Faces = faces, metric: Metric = metric) -> bool:
            return adjust_steps(faces.estimates(rng, metric), PAIRS).min() <= 0.05

        yield Claim(
            name="board of six equal methods: any two differ",
            setting=f"{metric.title}, {people} people, {seeds} seed{'s' * (seeds > 1)}, training noise {noise:g}",
            promised=(0, 0.05), happens=split, draws=draws, quick=40,
        )  # fmt: skip
    alike = [(first // 3 == second // 3) for first, second in PAIRS]
    for name, people in (("uar", 10), ("macro_f1", 20)):
        faces, metric = Faces(people=people, methods=6, gaps=(0.0, 0.0, 0.0, 2.0, 2.0, 2.0)), STANDARD[name]

        def confuse(rng: np.random.Generator, faces: Faces = faces, metric: Metric = metric) -> bool:
            return adjust_steps(faces.estimates(rng, metric), PAIRS)[alike].min() <= 0.05

        yield Claim(
            name="board of three equal methods and three better ones: two equal ones differ",
            setting=f"{metric.title}, {people} people, better by 2 logits", promised=(0, 0.05), happens=confuse,
            draws=1000, quick=40,
        )  # fmt: skip


def _trainings() -> Iterator[Claim]:
    """Yield boards whose rows are trainings of one method."""
    for noise in (0.2, 0.5):
        faces = Faces(people=160, methods=6, noise=noise, common=1.0, images=2)

        def winner(rng: np.random.Generator, faces: Faces = faces) -> bool:
            return adjust_steps(faces.estimates(rng, STANDARD["uar"]), PAIRS).min() <= 0.05

        yield Claim(
            name="board of six trainings of one method: any two differ (so no letter)",
            setting=f"UAR, 160 people with 2 images, 1 seed, training noise {noise:g}", promised=(0, 1),
            happens=winner, draws=400,
        )  # fmt: skip


def _find_ranks(estimates: list[Estimate]) -> list[tuple[int, int]]:
    """Return the ranks that six methods may have."""
    table = np.ones((6, 6))
    for (a, b), p in zip(PAIRS, adjust_steps(estimates, PAIRS), strict=True):
        table[a, b] = table[b, a] = p
    return find_rank_intervals(np.array([one.value for one in estimates]), table)


def _best() -> Iterator[Claim]:
    for people, gaps in (
        (20, (0.2, 0.1, 0.0, 0.0, 0.0, 0.0)),
        (60, (0.5, 0.4, 0.3, 0.2, 0.1, 0.0)),
        (40, (0.8, 0.0, 0.0, 0.0, 0.0, 0.0)),
    ):  # fmt: skip
        faces = Faces(people=people, methods=6, gaps=gaps)
        setting = f"UAR, {people} people, six methods, better by {', '.join(f'{gap:g}' for gap in gaps)} logits"

        def holds(rng: np.random.Generator, faces: Faces = faces) -> bool:
            return _find_ranks(faces.estimates(rng, STANDARD["uar"]))[0][0] == 1

        def all_hold(rng: np.random.Generator, faces: Faces = faces, gaps: tuple[float, ...] = gaps) -> bool:
            """Return whether each method may have every rank that its equals share."""
            ranks = _find_ranks(faces.estimates(rng, STANDARD["uar"]))
            return all(
                low <= 1 + sum(other > gap for other in gaps) and high >= sum(other >= gap for other in gaps)
                for (low, high), gap in zip(ranks, gaps, strict=True)
            )

        def leads(rng: np.random.Generator, faces: Faces = faces) -> bool:
            return bool(np.argmax([one.value for one in faces.estimates(rng, STANDARD["uar"])]) == 0)

        for name, promised, happens in (
            ("the best method is among those that may be best", (0.95, 1), holds),
            ("the intervals of ranks hold the true ranks of all", (0.95, 1), all_hold),
            ("the first of a board is the best method (so it is not called best)", (0, 1), leads),
        ):
            yield Claim(name=name, setting=setting, promised=promised, happens=happens, draws=1000, quick=30)


def _perfect() -> Iterator[Claim]:
    """Yield what ten people can show of a perfect method."""

    def told(rng: np.random.Generator) -> bool:
        """Return whether a perfect method is told apart from six others."""
        true, methods, _, people = Faces(people=10, methods=6, images=60).draw(rng)
        tables = [np.eye(7)[true], *methods]
        estimates = [measure(STANDARD["accuracy"], true, table, units=people) for table in tables]
        return bool((adjust_steps(estimates, list(combinations(range(7), 2)))[:6] <= 0.05).all())

    def draw(rng: np.random.Generator) -> list[Estimate]:
        """Return the majority class, a perfect method and six others."""
        true, methods, _, people = Faces(people=10, methods=6).draw(rng)
        tables = [np.eye(7)[np.full(len(true), 3)], np.eye(7)[true], *methods]
        return [measure(STANDARD["uar"], true, table, units=people) for table in tables]

    def above(rng: np.random.Generator) -> bool:
        return adjust_steps(draw(rng), [(0, 1 + index) for index in range(7)])[0] <= 0.05

    def above_by_holm(rng: np.random.Generator) -> bool:
        """Return whether the most significant of the 28 pairs of eight rows, corrected by Holm, differs."""
        floor, perfect, *_ = draw(rng)
        return 28 * compare_estimates(floor, perfect).p_value <= 0.05

    yield Claim(
        name="a perfect method has a tier of its own", setting="accuracy, 10 people, 60 images each, seven methods",
        promised=(0.8, 1), happens=told, draws=1000, quick=40,
    )  # fmt: skip
    name, setting = "a perfect method is shown to be above the majority class", "UAR, 10 people, seven methods"
    yield Claim(name=name, setting=setting, promised=(0.95, 1), happens=above, draws=500, quick=40)
    yield Claim(
        name=f"{name} by Holm's correction (so max-T)", setting=setting, promised=(0, 1), happens=above_by_holm,
        draws=500,
    )  # fmt: skip


def _behind() -> Iterator[Claim]:
    """Yield what the probability of being behind the first of a board by more than a point is worth.

    A share of what is said can be promised over boards of all kinds, no one kind: the less methods differ, the more of
    what is said is luck, and of equal ones all of it. So the spread of the methods is drawn for each board: small ones
    are the most frequent.
    """

    def draw(rng: np.random.Generator, people: int, spread: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what is said of the rows after the first of a board, and whether it is true."""
        gaps = rng.normal(0, abs(rng.normal(0, SPREAD)) if spread is None else spread, 6).clip(-2, 2)
        estimates = Faces(people=people, methods=6, gaps=tuple(gaps.tolist())).estimates(rng, STANDARD["uar"])
        scores = np.array([one.value for one in estimates])
        first = int(scores.argmax())
        others = [index for index in range(6) if index != first]
        behind = [compare_estimates(estimates[index], estimates[first]) for index in others]
        said, truth = weigh_behind(scores, behind, people, 0.01), np.array([find_uar(gap) for gap in gaps])
        assert said is not None, "there are enough people"
        return np.array(said), truth[others] < truth[first] - 0.01

    drawn = f"six methods that differ by a normal spread of 0 to {2 * SPREAD:g} logits, drawn for each board"
    for low, high, said in ((0.95, 1.01, "95 % or more"), (0.8, 0.95, "80 to 95 %"), (0.6, 0.8, "60 to 80 %")):
        for people, spread, promised in (
            (20, None, (low, 1.0)), (60, None, (low, 1.0)), (20, 0.2, (0.0, 1.0)), (60, 0.2, (0.0, 1.0)),
        ):  # fmt: skip
            if spread is not None and low < 0.95:
                continue

            def true(
                rng: np.random.Generator, people: int = people, spread: float | None = spread, low: float = low,
                high: float = high,
            ) -> bool:  # fmt: skip
                """Return whether a row of which it is said, drawn from all rows, is truly behind."""
                while True:
                    said, behind = draw(rng, people, spread)
                    row = rng.integers(len(said))
                    if low <= said[row] < high:
                        return bool(behind[row])

            yield Claim(
                name=f"a row that is said to be behind the first by more than a point with {said} is so",
                setting=f"UAR, {people} people, "
                + (drawn if spread is None else f"six methods that differ by {spread} logits"),
                promised=promised, happens=true, draws=200 if spread is None else 60, quick=6,
            )  # fmt: skip

    def any_behind(rng: np.random.Generator) -> bool:
        return bool(rng.choice(draw(rng, 20, 0.0)[0]) >= 0.95)

    yield Claim(
        name="one of six equal methods is said to be behind the first by more than a point with 95 % or more",
        setting="UAR, 20 people", promised=(0, 0.05), happens=any_behind, draws=1000, quick=30,
    )  # fmt: skip
