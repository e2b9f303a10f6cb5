"""Rules for executors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from fer_bench.errors import PluginError
from fer_bench.registry import Component
from fer_bench.specs import ExecutorSpec
from fer_bench.testing.conformance.rules import ConformanceRule, rule
from fer_bench.testing.conformance.spec import add_pickle_rule

RULES: list[ConformanceRule[Component[ExecutorSpec]]] = []


@rule(
    RULES,
    expected="execute names a function of two arguments, parameters and work",
    fix="name it as 'package.module:function', and give it the arguments (params, work)",
)
def takes_parameters_and_work(component: Component[ExecutorSpec]) -> Iterator[str]:
    """Yield what it is instead."""
    try:
        function = component.resolve(component.spec.execute)
        inspect.signature(function).bind(component.params, None)
    except (PluginError, TypeError, ValueError) as error:
        yield str(error)


add_pickle_rule(RULES, lambda component: component)
