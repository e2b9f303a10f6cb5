"""Claims of power: how many people, seeds and data sets tell two methods apart."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from simulated_claim import Claim
from simulated_people import EASE, Faces

from fer_bench.evaluation.across import compare_across, make_block
from fer_bench.evaluation.difference import compare_estimates
from fer_bench.evaluation.estimate import Estimate
from fer_bench.evaluation.metrics import STANDARD
from fer_bench.evaluation.power import Design, count_datasets, count_seeds, count_units, find_power
from fer_bench.evaluation.variances import Variance, Variances, measure_variances

PROMISED = (0.78, 0.82)
"""Of what is planned for 80 %."""
MOST = 0.81
"""Planned power of a whole number, at most: three seeds may be too few and four too many to measure what 80 % is."""

SEEDS = ((100, 0.706, 0.3), (100, 0.742, 0.3))
"""People, gap in logits, and training noise."""
SETS = ((0.5, 0.4),)
"""Gap in logits, and its standard deviation between data sets."""


def power_claims() -> Iterator[Claim]:
    """Yield the claims of this module."""
    for gap, seeds, noise in ((0.8, 1, 0.0), (0.5, 1, 0.0), (0.8, 5, 0.2), (1.2, 5, 0.2)):
        pilot = Faces(people=40, seeds=seeds, noise=noise, gaps=(0.0, gap))
        setting = f"UAR, better by {gap} logits, {seeds} seed{'s' if seeds > 1 else ''}, training noise {noise:g}"

        def told(rng: np.random.Generator, pilot: Faces = pilot) -> bool:
            return _differ(rng, replace(pilot, people=_count_people(pilot)))

        def enough(rng: np.random.Generator, pilot: Faces = pilot) -> bool:
            """Return whether a pilot's upper limit is as many people as it truly takes."""
            first, second = pilot.estimates(rng, STANDARD["uar"])
            seen = measure_variances([(first, second)], [pilot.people]).raise_to_limits()
            wanted = count_units(seen, Design(units=2, seeds=pilot.seeds), _find_difference(pilot))
            return wanted is None or wanted >= _count_people(pilot)

        yield Claim(
            name="power: the people that 80 % takes tell two methods apart", setting=setting, promised=PROMISED,
            happens=told, draws=2000 if seeds == 1 else 1000, quick=30,
        )  # fmt: skip
        yield Claim(
            name="power: the upper limit from a pilot of 40 people is enough", setting=setting, promised=(0.9, 1),
            happens=enough, draws=300, quick=30,
        )  # fmt: skip
    for people, gap, noise in SEEDS:
        plan = Faces(people=people, noise=noise, gaps=(0.0, gap))

        def shown(rng: np.random.Generator, plan: Faces = plan) -> bool:
            return _differ(rng, replace(plan, seeds=_count_trainings(plan)))

        yield Claim(
            name="power: the seeds that 80 % takes tell two methods apart",
            setting=f"UAR, {people} people, better by {gap} logits, training noise {noise:g}", promised=PROMISED,
            happens=shown, draws=1000, quick=20,
        )  # fmt: skip
    for gap, spread in SETS:

        def found(rng: np.random.Generator, gap: float = gap, spread: float = spread) -> bool:
            blocks = [make_block([pair]) for pair in _draw_sets(rng, _count_sets(gap, spread), gap, spread)]
            return compare_across(blocks, resamples=1000).p_value <= 0.05

        yield Claim(
            name="power: the data sets that 80 % takes tell two methods apart",
            setting=f"UAR, data sets of 20 people, better by {gap} logits, by {spread} more or less between sets",
            promised=PROMISED, happens=found, draws=600, quick=20,
        )  # fmt: skip


def _differ(rng: np.random.Generator, faces: Faces) -> bool:
    first, second = faces.estimates(rng, STANDARD["uar"])
    return compare_estimates(first, second).differs


def _find_difference(faces: Faces, spread: float = 0.0) -> float:
    """Return the true difference of the UAR of two methods, whose gap varies by ``spread`` between data sets."""
    more = _latent(faces) + faces.noise**2
    return _find_uar(faces.gaps[1], more + spread**2) - _find_uar(faces.gaps[0], more)


def _latent(faces: Faces) -> float:
    """Return the variance of what makes an answer right, but for the method and its training, in squared logits."""
    return faces.alike / (1 - faces.alike) * math.pi**2 / 3 + 1


def _find_uar(gap: float | np.ndarray, variance: float) -> np.ndarray:
    """Return the UAR of a method whose logits are normal around its gaps: the mean of a logistic curve."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    logits = np.add.outer(np.add.outer(gap, EASE), math.sqrt(variance) * nodes)
    return (1 / (1 + np.exp(-logits)) @ (weights / weights.sum())).mean(axis=-1)


@functools.cache
def _find_variances(faces: Faces) -> Variances:
    """Return what the difference of the UAR of two methods varies by: over people, and over what a training and a
    person do together, as 9,600 people show it; over trainings as it is on very many.
    """
    drawn = replace(faces, people=400)
    pairs = [drawn.estimates(np.random.default_rng([11, index]), STANDARD["uar"]) for index in range(24)]
    seen = [measure_variances([(one, two)], [400]) for one, two in pairs]
    unit = _be_sure(float(np.mean([one.unit.value for one in seen])))
    joint = [one.interaction.value for one in seen if one.interaction]
    if not joint:
        return Variances(unit=unit)
    return Variances(unit=unit, seed=_be_sure(_find_noise(faces)), interaction=_be_sure(float(np.mean(joint))))


def _be_sure(value: float) -> Variance:
    """Return a variance that is known."""
    return Variance(value=value, most=value)


def _find_noise(faces: Faces) -> float:
    """Return the variance over trainings of the difference of two UARs on very many people."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights, noise = weights / weights.sum(), 0.0
    for gap in faces.gaps:
        for ease in EASE:  # a training moves the recall of each class on its own
            logits = np.add.outer(gap + ease + faces.noise * nodes, math.sqrt(_latent(faces)) * nodes)
            recalls = 1 / (1 + np.exp(-logits)) @ weights
            noise += float((recalls - recalls @ weights) ** 2 @ weights) / len(EASE) ** 2
    return noise


@functools.cache
def _count_people(faces: Faces) -> int:
    """Return how many people tell two methods apart in 80 %, by what is known of them."""
    variances, difference = _find_variances(faces), _find_difference(faces)
    people = count_units(variances, Design(units=2, seeds=faces.seeds), difference)
    assert people is not None, "enough people tell them apart"
    assert find_power(variances, Design(units=people, seeds=faces.seeds), difference) < MOST
    return people


@functools.cache
def _count_trainings(faces: Faces) -> int:
    """Return how many seeds do, by what five show."""
    variances, difference = _find_variances(replace(faces, seeds=5)), _find_difference(faces)
    seeds = count_seeds(variances, Design(units=faces.people), difference)
    assert seeds is not None, "enough seeds tell them apart"
    assert find_power(variances, Design(units=faces.people, seeds=seeds), difference) < MOST
    return seeds


@functools.cache
def _count_sets(gap: float, spread: float) -> int:
    """Return how many data sets of 20 people do, by what 1,500 of them differ by."""
    drawn = _draw_sets(np.random.default_rng(13), 1500, gap, spread)
    difference = _find_difference(Faces(people=20, gaps=(0.0, gap)), spread)
    sets = count_datasets(measure_variances(drawn, [20] * len(drawn)), Design(units=20), difference)
    assert sets is not None, "enough data sets tell them apart"
    return sets


def _draw_sets(rng: np.random.Generator, sets: int, gap: float, spread: float) -> list[tuple[Estimate, Estimate]]:
    """Return the UAR of two methods on data sets of 20 people between which their difference varies."""
    pairs: list[tuple[Estimate, Estimate]] = []
    for better in rng.normal(gap, spread, sets).tolist():
        first, second = Faces(people=20, gaps=(0.0, better)).estimates(rng, STANDARD["uar"])
        pairs.append((first, second))
    return pairs
