"""Every rule for metrics can fail, and says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_metrics import SPEC, BrokenParams
from broken_plugin import assert_fails, broken_component, broken_suite, local

from fer_bench.registry import Component
from fer_bench.specs import MetricSpec
from fer_bench.testing.conformance import Suite
from fer_bench.testing.conformance.metric import RULES


def suite(spec: MetricSpec = SPEC, fault: str = "") -> Suite[Component[MetricSpec]]:
    component = broken_component(spec, **({"fault": fault} if fault else {}))
    return broken_suite("metric", component, component, RULES)


MUTATIONS = {
    "local": ("spec-pickles", replace(SPEC, params=local(BrokenParams)), "", "its parameters cannot be pickled"),
    "percent": ("is-a-number-in-its-range", SPEC, "percent", "certain and right"),
    "absent-class": ("bears-missing-classes", SPEC, "absent-class", "one sample"),
    "error": ("points-in-its-direction", SPEC, "error", " for poor ones"),
    "half": ("is-best-when-perfect", SPEC, "half", "0.5, declared best 1"),
    "constant": ("is-worse-by-chance", SPEC, "constant", "1 for right predictions and 1 for guesses"),
    "first": ("has-no-order", SPEC, "first", "with the samples in reverse"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_rule_can_fail_and_says_what_to_do(name):
    rule, spec, fault, message = MUTATIONS[name]
    assert_fails(suite(spec, fault), rule, message)


def test_every_rule_has_a_mutation():
    assert {rule for rule, *_ in MUTATIONS.values()} == {rule.name for rule in RULES}


def test_the_mutations_are_the_only_faults():
    found = [case.run() for case in suite().cases()]
    assert {finding.rule: finding.found for finding in found if finding.status != "passed"} == {}
