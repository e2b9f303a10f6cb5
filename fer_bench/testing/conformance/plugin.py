"""Rules for a plugin as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from fer_bench.plugins import Plugin
from fer_bench.testing.conformance.rules import ConformanceRule, rule

RULES: list[ConformanceRule[Plugin]] = []


@rule(
    RULES,
    expected="the entry point loads, implements at least one hook, and its hooks return specs",
    fix="import what is missing, or correct what the error names; 'fer-bench plugins list' shows it too",
)
def loads(plugin: Plugin) -> Iterator[str]:
    """Yield why the plugin did not load."""
    if plugin.status == "failed":
        yield plugin.error
