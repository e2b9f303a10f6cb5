"""What the statistics promise, measured: claims, each simulated from a known truth.

    python tests/simulation.py          # writes the table of docs/statistics.md, with up to thousands of draws a claim
    python tests/simulation.py gate:    # measures the claims whose names begin so, and leaves the rows of the others

`test_simulated_claims.py` runs the same claims with fewer draws.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
from simulated_claim import Claim
from simulated_gate import gate_claims
from simulated_learner import Learner
from simulated_people import Faces
from simulated_power import power_claims

from fer_bench.evaluation.across import compare_across, make_block
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import measure
from fer_bench.evaluation.family import adjust_steps
from fer_bench.evaluation.folds import friedman_test
from fer_bench.evaluation.intervals import bootstrap_interval
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.noninferiority import judge_estimates
from fer_bench.evaluation.ranking import find_rank_intervals

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- Written by tox run -e simulate. -->", "<!-- End of what tox run -e simulate writes. -->"
PLUGIN = Metric(
    name="plugin_f1",
    title="F1 of a plugin",
    compute=STANDARD["macro_f1"].compute,
    higher_is_better=True,
    lowest=0,
    highest=1,
)
"""As a plugin brings a metric: neither of counts nor a mean of samples."""


def claims() -> Iterator[Claim]:
    """Yield every claim, the quick ones first."""
    yield from _pairs()
    yield from _trainings()
    yield from _new_seeds()
    yield from _boards()
    yield from _more_boards()
    yield from _intervals()
    yield from _algorithms()
    yield from power_claims()
    yield from _across()
    yield from gate_claims()
    for sets, methods in ((2, 3), (3, 4), (6, 4), (12, 6)):

        def unanimous(rng: np.random.Generator, sets: int = sets, methods: int = methods) -> bool:
            return friedman_test(rng.normal(size=(sets, methods))).p_value <= 0.05

        yield Claim(
            name="Friedman: equal methods differ", setting=f"{sets} data sets, {methods} methods", promised=(0, 0.05),
            happens=unanimous, draws=1000,
        )  # fmt: skip


def _pairs() -> Iterator[Claim]:
    metrics = [*(STANDARD[name] for name in ("accuracy", "uar", "macro_f1", "kappa", "nll", "brier")), PLUGIN]
    for metric in metrics:
        for faces, setting in (
            (Faces(people=10), "10 people"),
            (Faces(people=40), "40 people"),
            (Faces(people=20, alike=0.7, common=0.2, images=60), "20 people, alike 0.7, 60 images each"),
        ):

            def differs(rng: np.random.Generator, faces: Faces = faces, metric: Metric = metric) -> bool:
                return compare_estimates(*faces.estimates(rng, metric)).differs

            yield Claim(
                name=f"{metric.title}: two equal models differ", setting=setting, promised=(0, 0.05), happens=differs,
                draws=300 if metric is PLUGIN else 2000,
            )  # fmt: skip

    def disagree(rng: np.random.Generator) -> bool:
        found = compare_estimates(*Faces(people=12).estimates(rng, STANDARD["macro_f1"]))
        return found.differs != (not found.low <= 0 <= found.high)

    yield Claim(name="interval and p disagree", setting="macro-F1, 12 people", promised=(0, 0), happens=disagree)


def _trainings() -> Iterator[Claim]:
    for seeds in (1, 2, 3, 5, 10):
        for noise in (0.2, 0.5):
            faces = Faces(people=40, seeds=seeds, noise=noise, common=1.0)

            def differs(rng: np.random.Generator, faces: Faces = faces) -> bool:
                return compare_estimates(*faces.estimates(rng, STANDARD["uar"])).differs

            yield Claim(
                name="trainings of one method differ" + (" (so no letter)" if seeds == 1 else ""),
                setting=f"UAR, 40 people, {seeds} seed{'s' if seeds > 1 else ''}, training noise {noise}",
                promised={1: (0, 1), 2: (0, 0.13), 3: (0, 0.075)}.get(seeds, (0, 0.06)),
                happens=differs,
                draws=1000,
            )


def _new_seeds() -> Iterator[Claim]:
    for people, seeds, noise in ((40, 1, 0.5), (40, 2, 0.5), (40, 3, 0.5), (40, 5, 0.2), (40, 5, 0.5), (160, 5, 0.5)):
        faces = Faces(people=people, seeds=seeds, noise=noise, common=1.0)

        def fails(rng: np.random.Generator, faces: Faces = faces) -> bool:
            """Return whether the gate fails one new training, held against several of the same method."""
            true, (frozen, new), runs, people = faces.draw(rng)
            one = runs == 0
            before = measure(STANDARD["uar"], true, frozen, runs, people)
            after = measure(STANDARD["uar"], true[one], new[one], runs[one] + 99, people[one])
            units = faces.people
            return judge_estimates(before, after, units, identical=False, margin=0.02, alpha=0.05).verdict == "FAIL"

        yield Claim(
            name="the gate fails a new seed of the same code" + (" (and says so)" if seeds == 1 else ""),
            setting=f"UAR, margin 2 points, {people} people, {seeds} frozen seed{'s' if seeds > 1 else ''}, "
            f"training noise {noise}",
            promised=(0, 1) if seeds == 1 else (0, 0.05), happens=fails, draws=1000,
        )  # fmt: skip


def _more_boards() -> Iterator[Claim]:
    """Yield boards by macro-F1, and boards whose rows are trainings of one method."""
    pairs = list(combinations(range(6), 2))
    for people in (10, 50):

        def apart(rng: np.random.Generator, people: int = people) -> bool:
            estimates = Faces(people=people, methods=6).estimates(rng, STANDARD["macro_f1"])
            return adjust_steps(estimates, pairs).min() <= 0.05

        yield Claim(
            name="board of six equal methods: any two differ", setting=f"macro-F1, {people} people, 1 seed",
            promised=(0, 0.1 if people == 10 else 0.05), happens=apart, draws=400,
        )  # fmt: skip
    for noise in (0.2, 0.5):

        def winner(rng: np.random.Generator, noise: float = noise) -> bool:
            faces = Faces(people=160, methods=6, noise=noise, common=1.0, images=2)
            return adjust_steps(faces.estimates(rng, STANDARD["uar"]), pairs).min() <= 0.05

        yield Claim(
            name="board of six trainings of one method: any two differ (so no letter)",
            setting=f"UAR, 160 people with 2 images, 1 seed, training noise {noise:g}", promised=(0, 1),
            happens=winner, draws=200,
        )  # fmt: skip


def _boards() -> Iterator[Claim]:
    pairs = list(combinations(range(6), 2))
    for people, seeds, noise in ((10, 1, 0.0), (40, 1, 0.0), (40, 3, 0.5), (40, 5, 0.5)):
        faces = Faces(people=people, methods=6, seeds=seeds, noise=noise)

        def split(rng: np.random.Generator, faces: Faces = faces) -> bool:
            return adjust_steps(faces.estimates(rng, STANDARD["uar"]), pairs).min() <= 0.05

        yield Claim(
            name="board of six equal methods: any two differ",
            setting=f"UAR, {people} people, {seeds} seed{'s' if seeds > 1 else ''}, training noise {noise:g}",
            promised=(0, 0.05), happens=split, draws=1000 if seeds == 1 else 400,
        )  # fmt: skip
    for people, gaps in ((20, (0.2, 0.1, 0, 0, 0, 0)), (60, (0.5, 0.4, 0.3, 0.2, 0.1, 0))):
        faces = Faces(people=people, methods=6, gaps=tuple(map(float, gaps)))

        def holds(rng: np.random.Generator, faces: Faces = faces) -> bool:
            estimates, table = faces.estimates(rng, STANDARD["uar"]), np.ones((6, 6))
            for (a, b), p in zip(pairs, adjust_steps(estimates, pairs), strict=True):
                table[a, b] = table[b, a] = p
            scores = np.array([found.value for found in estimates])
            return find_rank_intervals(scores, table)[0][0] == 1

        yield Claim(
            name="the best method is among those that may be best", setting=f"UAR, {people} people, six methods",
            promised=(0.95, 1), happens=holds, draws=1000,
        )  # fmt: skip

    def told(rng: np.random.Generator) -> bool:
        """Return whether a perfect method is told apart from six others."""
        true, methods, _, people = Faces(people=10, methods=6, images=60).draw(rng)
        tables = [np.eye(7)[true], *methods]
        estimates = [measure(STANDARD["accuracy"], true, table, units=people) for table in tables]
        return bool((adjust_steps(estimates, list(combinations(range(7), 2)))[:6] <= 0.05).all())

    def above(rng: np.random.Generator) -> bool:
        """Return whether the perfect one of seven methods is shown to be better than naming the commonest class."""
        true, methods, _, people = Faces(people=10, methods=6).draw(rng)
        tables = [np.eye(7)[np.full(len(true), 3)], np.eye(7)[true], *methods]
        estimates = [measure(STANDARD["uar"], true, table, units=people) for table in tables]
        return adjust_steps(estimates, [(0, 1 + index) for index in range(7)])[0] <= 0.05

    yield Claim(
        name="a perfect method has a tier of its own", setting="accuracy, 10 people, 60 images each, seven methods",
        promised=(0.8, 1), happens=told, draws=500,
    )  # fmt: skip
    yield Claim(
        name="a perfect method is shown to be above the majority class", setting="UAR, 10 people, seven methods",
        promised=(0.95, 1), happens=above, draws=500,
    )  # fmt: skip


def _intervals() -> Iterator[Claim]:
    large = Faces(people=6000, methods=1)
    for name in ("accuracy", "uar", "macro_f1", "brier"):
        metric = STANDARD[name]
        truth = float(np.mean([large.estimates(np.random.default_rng(9), metric)[0].value]))
        for people in (10, 20, 60):
            faces = Faces(people=people, methods=1)

            def covers(
                rng: np.random.Generator, faces: Faces = faces, metric: Metric = metric, truth: float = truth
            ) -> bool:
                true, (table,), _, person = faces.draw(rng)
                found = bootstrap_interval(metric, true, table, person, resamples=1000)
                return found.low <= truth <= found.high

            yield Claim(
                name=f"{metric.title}: the interval of a fixed model covers", setting=f"{people} people",
                promised=(0.9 if people == 10 else 0.93, 0.97), happens=covers, draws=1000,
            )  # fmt: skip


def _algorithms() -> Iterator[Claim]:
    for name, learner, promised in (
        ("uar", Learner(people=10, features=64), (0.88, 0.97)),
        ("uar", Learner(people=20, features=64), (0.93, 0.97)),
        ("uar", Learner(people=20, features=256), (0.93, 0.97)),
        ("uar", Learner(people=20, features=64, folds=20), (0.93, 0.97)),
        ("uar", Learner(people=60, features=16, images=20), (0.93, 0.97)),
        ("uar", Learner(people=60, features=256, images=20), (0.93, 0.97)),
        ("accuracy", Learner(people=20, features=256), (0.93, 0.97)),
        ("accuracy", Learner(people=60, features=16, images=20), (0.93, 1.0)),
    ):
        metric = STANDARD[name]

        def covers(rng: np.random.Generator, learner: Learner = learner, metric: Metric = metric) -> bool:
            return learner.covers(metric, rng)

        folds = f"{learner.folds} folds" if learner.folds < learner.people else "one person left out"
        yield Claim(
            name=f"{metric.title}: the interval of a cross-validation covers the algorithm's score",
            setting=f"{learner.people} people of {learner.images} images, {learner.features} features, {folds}",
            promised=promised, happens=covers, draws=1000,
        )  # fmt: skip


def _across() -> Iterator[Claim]:
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


def write(page: Path, begins: Sequence[str] = (), processes: int = 2) -> list[str]:
    """Measure claims, put the table into a page, and return the names of those that did not hold.

    Args:
        page: with the two marks between which the table stands.
        begins: measure only the claims whose names begin so, and leave the rows of the others; none: measure all.
        processes: that share the work.
    """
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    written = {tuple(line.split(" | ")[:2]): line for line in table.splitlines() if line.startswith("| ")}
    every = list(claims())
    wanted = [index for index, claim in enumerate(every) if not begins or claim.name.startswith(tuple(begins))]
    broken: list[str] = []
    with ProcessPoolExecutor(processes) as pool:
        for index, (share, error) in zip(wanted, pool.map(_measure, wanted), strict=True):
            claim, (low, high) = every[index], every[index].promised
            promised = "none" if claim.promised == (0, 1) else f"{100 * low:g} to {100 * high:g} %"
            line = f"| {claim.name} | {claim.setting} | {promised} | {100 * share:.1f} % | {100 * error:.1f} |"
            print(line, flush=True)
            written[tuple(line.split(" | ")[:2])] = line
            if not claim.held(share, error):
                broken.append(f"{claim.name}, {claim.setting}: {share:.3f}")
    lines = ["| claim | setting | promised | measured | Monte Carlo error |", "| --- | --- | ---: | ---: | ---: |"]
    lines += [line for claim in every if (line := written.get((f"| {claim.name}", claim.setting)))]
    table = "\n".join(lines)
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")
    return broken


def _measure(index: int) -> tuple[float, float]:
    """Return the share of a claim and its error; by number, since its functions cannot be sent to a process."""
    claim = list(claims())[index]
    return claim.measure(claim.draws)


if __name__ == "__main__":
    if faults := write(PAGE, sys.argv[1:]):
        sys.exit("not held:\n" + "\n".join(faults))
