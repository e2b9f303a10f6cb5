"""Rules for metrics: on drawn predictions, as cells and resamples hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fer_bench.arrays import Array
from fer_bench.errors import PluginError
from fer_bench.evaluation.extra import Extra
from fer_bench.evaluation.installed import make_metric
from fer_bench.evaluation.metrics import Metric
from fer_bench.registry import Component
from fer_bench.specs import MetricSpec
from fer_bench.testing.conformance.rules import ConformanceRule, NotApplicable, rule
from fer_bench.testing.conformance.spec import add_pickle_rule

RULES: list[ConformanceRule[Component[MetricSpec]]] = []
CLASSES = 4


def _draw(skill: float, n: int = 200) -> tuple[Array, Array]:
    """Return labels and probabilities; 0 is the skill of guesses."""
    rng = np.random.default_rng(0)
    true = rng.integers(CLASSES, size=n)
    weights = np.exp(rng.normal(size=(n, CLASSES)) + skill * np.eye(CLASSES)[true])
    return true, weights / weights.sum(axis=1, keepdims=True)


def _score(metric: Metric, true: Array, probabilities: Array, agreed: float = 1.0, informed: bool = True) -> float:
    """Return the metric where a share of the annotators agreed on each label, and groups differ or are not known."""
    share = (1 - agreed) / (CLASSES - 1)
    soft = np.where(np.eye(CLASSES)[true] > 0, agreed, share)
    # By what a sample is, not by its place: a metric must not change with the order of the samples.
    codes = np.round(1e6 * probabilities[:, 0]).astype(np.int64)
    groups = {
        "sex": np.array(["woman", "man", ""], object)[codes % 3],
        "age": np.array(["young", "old"], object)[codes % 2],
    }
    if not informed:
        groups = {name: np.full(len(true), "", object) for name in groups}
    return metric.score(true, probabilities, Extra(soft, groups))


@rule(
    RULES,
    expected="the metric is a number in its declared range on good, poor and certain predictions",
    fix="Return a float, and declare lowest and highest to hold it.",
)
def is_a_number_in_its_range(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield predictions on which it is not."""
    metric = make_metric(component)
    certain = np.eye(CLASSES)[_draw(0)[0]]
    cases = {"good": _draw(3), "poor": _draw(0), "certain and right": (_draw(0)[0], certain)}
    cases["certain and wrong"] = _draw(0)[0], np.roll(certain, 1, axis=1)
    yield from _failures(metric, cases)


@rule(
    RULES,
    expected="it can be computed where a class is missing, one sample is all there is or no group is known: intervals "
    "resample",
    fix="Take averages over the classes and groups that occur; without any group, over all samples.",
    needs=["is-a-number-in-its-range"],
)
def bears_missing_classes(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield resamples that it does not bear."""
    true, probabilities = _draw(1)
    kept = true < CLASSES - 1
    cases = {"a class is missing": (true[kept], probabilities[kept]), "one sample": (true[:1], probabilities[:1])}
    metric = make_metric(component)
    yield from _failures(metric, cases)
    if "groups" in metric.wants:
        yield from _failures(metric, {"no group is known": _draw(1)}, informed=False)


@rule(
    RULES,
    expected="the same predictions give the same number, in any order of the samples",
    fix="Use no random numbers, and no order.",
    needs=["is-a-number-in-its-range"],
)
def has_no_order(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield by how much it differs."""
    metric, (true, probabilities) = make_metric(component), _draw(1)
    first, second = _score(metric, true, probabilities), _score(metric, true[::-1], probabilities[::-1])
    if not np.isclose(first, second, rtol=1e-9, atol=1e-12):
        yield f"{first} and, with the samples in reverse, {second}"


@rule(
    RULES,
    expected="good predictions are better than poor ones in the declared direction",
    fix="Turn higher_is_better.",
    needs=["is-a-number-in-its-range"],
)
def points_in_its_direction(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield the two values."""
    metric = make_metric(component)
    good, poor = _score(metric, *_draw(3)), _score(metric, *_draw(0))
    if good == poor or (good > poor) != metric.higher_is_better:
        yield f"{good:.4f} for good predictions and {poor:.4f} for poor ones"


@rule(
    RULES,
    expected="right and certain predictions give the best number that is declared, where that is finite",
    fix="Set highest (or lowest where lower is better) to what perfect predictions give.",
    needs=["is-a-number-in-its-range"],
)
def is_best_when_perfect(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield what perfect predictions give instead."""
    metric, (true, _) = make_metric(component), _draw(0)
    best = metric.highest if metric.higher_is_better else metric.lowest
    if not math.isfinite(best):
        raise NotApplicable("the best number is infinite")
    value = _score(metric, true, np.eye(CLASSES)[true])
    if abs(value - best) > 1e-6 * max(1.0, abs(best)):
        yield f"{value:.6g}, declared best {best:.6g}"


@rule(
    RULES,
    expected="guesses are worse than right predictions",
    fix="Compare predictions with the true labels; a metric that reads only one of them measures nothing.",
    needs=["is-a-number-in-its-range"],
)
def is_worse_by_chance(component: Component[MetricSpec]) -> Iterator[str]:
    """Yield the two values."""
    metric, (true, guesses) = make_metric(component), _draw(0)
    right, guessed = _score(metric, true, np.eye(CLASSES)[true]), _score(metric, true, guesses)
    if right == guessed or (right > guessed) != metric.higher_is_better:
        yield f"{right:.6g} for right predictions and {guessed:.6g} for guesses"


add_pickle_rule(RULES, lambda component: component)


def _failures(metric: Metric, cases: dict[str, tuple[Array, Array]], informed: bool = True) -> Iterator[str]:
    for name, (true, probabilities) in cases.items():
        try:
            for agreed in (1.0, 0.7) if "soft_labels" in metric.wants else (1.0,):
                _score(metric, true, probabilities, agreed, informed)
        except PluginError as error:
            yield f"{name}: {error}"
