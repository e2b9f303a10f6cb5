"""A plugin that brings broken items, and what is asked of every finding about them."""

from __future__ import annotations

from typing import Any

from fer_bench.plugins import Item, Plugin
from fer_bench.registry import Component
from fer_bench.specs import Params
from fer_bench.testing.conformance import ConformanceRule, Suite

PLUGIN = Plugin(name="broken-plugin", distribution="broken", version="1")


def broken_suite(kind: str, component: Component[Any], subject: Any, rules: list[ConformanceRule[Any]]) -> Suite[Any]:
    """Return the rules on an item of the plugin."""
    return Suite(PLUGIN.name, kind, str(component), subject, rules)


def broken_component(spec: Item, **params: Any) -> Component[Any]:
    """Return an item of the plugin with some parameters."""
    return Component(spec, spec.params(**params), PLUGIN)


def local(params: type[Params]) -> type[Any]:
    """Return parameters that cannot be pickled."""

    class Local(params):
        pass

    return Local


def assert_fails(suite: Suite[Any], rule: str, message: str) -> None:
    """Check that a rule is broken, and that its finding says what was found and expected, and what to do."""
    finding = suite.finding(rule)
    assert finding.status == "failed", finding
    assert message in finding.found
    assert all(part in str(finding) for part in ("'broken-plugin'", finding.expected, finding.fix))
