"""Claims of differences: two methods, several trainings of one, a new training at the gate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from simulated_claim import Claim
from simulated_people import Faces, find_uar

from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.equivalence import weigh_equivalence
from fer_bench.evaluation.estimate import measure, measure_parts
from fer_bench.evaluation.flips import flip_parts
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.evaluation.noninferiority import judge_estimates

PLUGIN = Metric(
    name="plugin_f1",
    title="F1 of a plugin",
    compute=STANDARD["macro_f1"].compute,
    higher_is_better=True,
    lowest=0,
    highest=1,
)
"""As a plugin brings a metric: neither of counts nor a mean of samples."""


def difference_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    yield from _pairs()
    yield from _trainings()
    yield from _new_seeds()


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
                draws=1000 if metric is PLUGIN else 2000,
            )  # fmt: skip

    for name, faces, setting in (
        ("macro_f1", Faces(people=12), "macro-F1, 12 people"),
        ("uar", Faces(people=20, seeds=3, noise=0.2), "UAR, 20 people, 3 seeds"),
    ):

        def disagree(rng: np.random.Generator, faces: Faces = faces, name: str = name) -> bool:
            found = compare_estimates(*faces.estimates(rng, STANDARD[name]))
            return found.differs != (not found.low <= 0 <= found.high)

        yield Claim(name="interval and p disagree", setting=setting, promised=(0, 0), happens=disagree, quick=30)

    def exceeds(rng: np.random.Generator) -> bool:
        """Return whether a difference that is said to exceed one point with 95 % or more does so."""
        while True:
            first, second = rng.normal(0, abs(rng.normal(0, 0.3)), 2).clip(-2, 2).tolist()
            found = compare_estimates(*Faces(people=20, gaps=(first, second)).estimates(rng, STANDARD["uar"]))
            weighed = weigh_equivalence(found, 20, 0.01)
            if weighed is not None and weighed.more >= 0.95:
                return find_uar(second) - find_uar(first) > 0.01

    yield Claim(
        name="compare: what is said to be better by more than a point with 95 % or more is so",
        setting="UAR, 20 people, two methods that differ by a normal spread of 0 to 0.6 logits, drawn for each pair",
        promised=(0.95, 1), happens=exceeds, draws=200, quick=4,
    )  # fmt: skip


def _trainings() -> Iterator[Claim]:
    """Yield how often trainings of one method differ: as they are tested, and with the seeds' variance left out."""
    for (people, images), seeds, noise in itertools.product(((40, 20), (160, 2)), (1, 2, 3, 5, 10), (0.2, 0.5)):
        faces = Faces(people=people, images=images, seeds=seeds, noise=noise, common=1.0)
        with_images = " with 2 images" if images == 2 else ""
        setting = f"UAR, {people} people{with_images}, {seeds} seed{'s' * (seeds > 1)}, training noise {noise}"

        def differs(rng: np.random.Generator, faces: Faces = faces) -> bool:
            return compare_estimates(*faces.estimates(rng, STANDARD["uar"])).differs

        def flips(rng: np.random.Generator, faces: Faces = faces) -> bool:
            first, second = faces.estimates(rng, STANDARD["uar"])
            return flip_parts(measure_parts(first, second), (first.shares + second.shares) / 2, 0.95)[0] <= 0.05

        yield Claim(
            name="trainings of one method differ" + (" (so no letter)" if seeds == 1 else ""), setting=setting,
            promised={1: (0, 1), 2: (0, 0.13)}.get(seeds, (0, 0.05)), happens=differs, draws=1000, quick=40,
        )  # fmt: skip
        if seeds > 2 and images == 2:
            yield Claim(
                name="trainings of one method differ, the variance over seeds left out (so it is added)",
                setting=setting, promised=(0, 1), happens=flips, draws=1000,
            )  # fmt: skip


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
