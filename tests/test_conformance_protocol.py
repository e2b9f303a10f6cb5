"""Every rule for protocols can fail, and says what to do; those of fer-bench keep them all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_plugin import assert_fails, broken_component, broken_suite, local
from broken_protocols import SPEC, BrokenParams

from fer_bench.plugins import CORE
from fer_bench.registry import Registry
from fer_bench.specs import ProtocolSpec
from fer_bench.testing.conformance import Suite, cases
from fer_bench.testing.conformance.protocol import RULES, ProtocolSubject

SLOW_RULE = "is-the-same-in-another-process"
"""Starts Python; the test of the scaffold checks that a protocol can keep it."""


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    monkeypatch.setenv("FER_BENCH_PLUGINS", "")


def suite(spec: ProtocolSpec = SPEC, fault: str = "") -> Suite[ProtocolSubject]:
    component = broken_component(spec, **({"fault": fault} if fault else {}))
    return broken_suite("protocol", component, ProtocolSubject(component, Registry.load()), RULES)


MUTATIONS = {
    "shared": ("deals-disjoint-parts", SPEC, "shared", "samples train and are tested"),
    "twice": ("tests-as-often-as-declared", SPEC, "twice", "1 to 2 times"),
    "torn": ("tests-whole-groups", SPEC, "torn", "1 of 24 groups"),
    "ignores-seed": ("obeys-its-seed", SPEC, "ignores-seed", "1 different folds"),
    "drifts": ("obeys-its-seed", SPEC, "drifts", "the second time"),
    "not-seeded": ("obeys-its-seed", replace(SPEC, seeded=False), "", "3 different folds"),
    "process": (SLOW_RULE, SPEC, "process", "the folds are others"),
    "miscounts": ("works-in-scikit-learn", SPEC, "miscounts", "get_n_splits says 5; split yields 4"),
    "local": ("spec-pickles", replace(SPEC, params=local(BrokenParams)), "", "its parameters cannot be pickled"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_rule_can_fail_and_says_what_to_do(name):
    rule, spec, fault, message = MUTATIONS[name]
    assert_fails(suite(spec, fault), rule, message)


def test_every_rule_has_a_mutation():
    assert {rule for rule, *_ in MUTATIONS.values()} == {rule.name for rule in RULES}


def test_the_mutations_are_the_only_faults():
    found = [case.run() for case in suite().cases() if case.rule != SLOW_RULE]
    assert {finding.rule: finding.found for finding in found if finding.status != "passed"} == {}


def test_the_protocols_of_the_core_keep_the_rules():
    found = [case.run() for case in cases(CORE) if case.rule != SLOW_RULE]
    assert {finding.item for finding in found if finding.kind == "protocol"} >= {"auto", "loso", "official", "cross"}
    assert [finding for finding in found if finding.status == "failed"] == []
