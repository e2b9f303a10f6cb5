"""Metrics that plugins bring, beside those of the core; one that fails is named, with its plugin."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

from fer_bench.arrays import Array
from fer_bench.containment import contained
from fer_bench.errors import FerBenchError, PluginError, PluginWarning, did_you_mean
from fer_bench.evaluation.checks import check_predictions
from fer_bench.evaluation.classification import repeat_answers
from fer_bench.evaluation.extra import Extra, Kind
from fer_bench.evaluation.metrics import STANDARD, Metric
from fer_bench.registry import Component, Registry
from fer_bench.specs import MetricSpec


def load_metrics(registry: Registry) -> tuple[dict[str, Metric], list[str]]:
    """Return name -> metric of the core and of all plugins at their defaults, and one message for each that fails."""
    metrics, faults = dict(STANDARD), list[str]()
    for text, _, _ in registry.specs("metric"):
        try:
            metric = make_metric(registry.metric(text))
        except PluginError as error:
            faults.append(str(error))
            continue
        metrics[metric.name] = metric
    return metrics, faults


def find_metric(text: str, registry: Callable[[], Registry] = Registry.load) -> Metric:
    """Return the metric that ``text`` names, for tests and orders: of the core, or a plugin's ``name[param=value,…]``.

    Args:
        text: as a user typed it.
        registry: is called where the core has no such metric.

    Raises:
        FerBenchError: there is none, it has no test, or its parameters are not valid, or its plugin fails.
    """
    if text in STANDARD:
        metric = STANDARD[text]
        if metric.biased:
            raise FerBenchError(f"{metric.title} orders and tests nothing: {metric.biased}.")
        return metric
    installed = registry()
    brought = [name for name, _, _ in installed.specs("metric")]
    if text.partition("[")[0].strip() not in brought:
        raise FerBenchError(f"Unknown metric {text!r}. {did_you_mean(text, [*STANDARD, *brought])}")
    return make_metric(installed.metric(text))


def make_metric(component: Component[MetricSpec]) -> Metric:
    """Return the metric of a plugin, whose errors name it.

    Raises:
        PluginError: it cannot be imported or made, or has a name of the core.
    """
    spec = component.spec
    origin = f"Metric {str(component)!r} of plugin {component.plugin.name!r}"
    if spec.name in STANDARD:
        raise PluginError(f"{origin} has the name of a metric of the core; it is left out until it is renamed.")
    function = cast("Callable[..., float]", component.ask(f"make metric {str(component)!r}", spec.metric))
    if not callable(function):
        raise PluginError(f"{origin}: {spec.metric!r} returned {type(function).__name__}; expected a function.")

    wants: tuple[Kind, ...] = (*(("soft_labels",) if spec.soft_labels else ()), *(("groups",) if spec.groups else ()))

    def compute(true: Array, probabilities: Array, **extra: Any) -> float:
        labels, checked = check_predictions(true, probabilities)
        try:
            with contained() as notes:
                if spec.needs == "labels":
                    rows, answers = repeat_answers(checked)
                    beside = Extra(**extra).take(rows).pick(wants)
                    value = float(function(labels[rows], answers, **beside))
                else:
                    value = float(function(labels, checked, **extra))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of native code is no Exception
            raise PluginError(f"{origin} failed: {type(error).__name__}: {error}") from error
        for note in notes:
            warnings.warn(f"{origin} {note}", PluginWarning, stacklevel=2)
        if not spec.lowest - 1e-9 <= value <= spec.highest + 1e-9:
            raise PluginError(f"{origin} returned {value}; it declares {spec.lowest} to {spec.highest}.")
        return value

    return Metric(
        name=spec.name,
        title=spec.title,
        compute=compute,
        higher_is_better=spec.higher_is_better,
        lowest=spec.lowest,
        highest=spec.highest,
        origin=component.plugin.name,
        wants=wants,
    )
