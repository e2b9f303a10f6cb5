"""Every rule for data sets can fail, and says what to do; our own data sets keep them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broken_datasets import SPEC, BrokenParams, write
from broken_plugin import assert_fails, broken_component, broken_suite, local
from fer_bench_datasets import fer_bench_datasets
from messages import says

from fer_bench.specs import DatasetSpec
from fer_bench.testing.conformance import Finding, Suite, check, find_suites
from fer_bench.testing.conformance.dataset import RULES, DatasetSubject
from fer_bench.testing.layouts import LAYOUTS


def suite(data_dir: Path, spec: DatasetSpec = SPEC, fault: str = "") -> Suite[Any]:
    component = broken_component(spec, fault=fault)
    return broken_suite("dataset", component, DatasetSubject(component, data_dir), RULES)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write(tmp_path / "manual" / "broken")
    return tmp_path


MUTATIONS: dict[str, tuple[str, DatasetSpec, str, str]] = {
    "no-licence": ("described", replace(SPEC, licence=" "), "", "licence is empty"),
    "no-citation": ("described", replace(SPEC, citation=""), "", "citation is empty"),
    "equal-labels": ("described", replace(SPEC, labels=("sad", "sad")), "", "labels are ('sad', 'sad')"),
    "no-meaning": ("declared", replace(SPEC, expressions={"sad": "sadness"}), "", "'glad' does not say which"),
    "no-expression": (
        *("declared", replace(SPEC, expressions={"glad": "glee", "sad": "sadness"}), ""),
        "'glad' means 'glee', which is none of neutral",
    ),
    "no-label": ("declared", replace(SPEC, expressions={**SPEC.expressions, "odd": ""}), "", "['odd'], which are no"),
    "no-role": ("declared", replace(SPEC, splits=("a", "b"), roles={"a": "train"}), "", "roles are declared for ['a']"),
    "no-test": ("declared", replace(SPEC, splits=("a",), roles={"a": "train"}), "", "none to test: {'a': 'train'}"),
    "counted-split": ("declared", replace(SPEC, expected_counts={"a": {"": 1}}), "", "['a'] are no declared splits"),
    "counted-label": ("declared", replace(SPEC, variants={"v": {"": {"x": 1}}}), "", "v: ['x'] are no labels"),
    "no-samples": ("reads", SPEC, "no-samples", "no sample at all"),
    "reports": ("reads", SPEC, "reports", "'list.txt': cannot be parsed"),
    "label": ("labels-in-range", SPEC, "label", "6 samples have the label 'bored'"),
    "unused-label": ("labels-in-range", replace(SPEC, labels=("glad", "sad", "odd")), "", "has the label 'odd'"),
    "absolute": ("ids-unique-and-stable", SPEC, "absolute", "6 ids contain the folder of the data"),
    "same-ids": ("ids-unique-and-stable", SPEC, "same-ids", "6 samples have the id 'x'"),
    "anonymous": ("groups", SPEC, "anonymous", "identity is 'yes', but 6 samples have no subject"),
    "named": ("groups", replace(SPEC, identity="no"), "", "identity is 'no', but 6 samples have a subject"),
    "ragged-groups": ("groups", SPEC, "ragged-groups", "6 different lists of groups"),
    "split": ("groups", replace(SPEC, splits=("training",)), "split", "splits ['train'] are not declared"),
    "order": ("same-order-twice", SPEC, "order", "sample 0 is "),
    "count": ("counts", SPEC, "count", "'count' says 1000, 'read' yields 6"),
    "published": ("counts", replace(SPEC, expected_counts={"": {"glad": 4, "sad": 3}}), "", "glad"),
    "bytes": ("decodes", SPEC, "bytes", "is not an image of a known format"),
    "skips-unreadable": ("defects-reported", SPEC, "skips-unreadable", "the picture '2.png', damaged (text), is acc"),
    "fails-on-nothing": (
        "defects-reported",
        SPEC,
        "fails-on-nothing",
        "a folder with nothing but a README makes the adap",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_rule_can_fail_and_says_what_to_do(name, data_dir):
    rule, spec, fault, message = MUTATIONS[name]
    assert_fails(suite(data_dir, spec, fault), rule, message)


def test_params_that_cannot_be_pickled(data_dir):
    finding = suite(data_dir, replace(SPEC, params=local(BrokenParams))).finding("spec-pickles")
    assert says(finding.found, "parameters", "pickled")


def test_every_rule_has_a_mutation():
    assert {rule for rule, *_ in MUTATIONS.values()} | {"spec-pickles"} == {rule.name for rule in RULES}


def test_the_mutations_are_the_only_faults(data_dir):
    found = [case.run() for case in suite(data_dir).cases()]
    assert {finding.rule: finding.found for finding in found if finding.status != "passed"} == {}


def test_data_that_are_not_there_are_a_reason_to_skip(tmp_path):
    finding = suite(tmp_path).finding("decodes")
    assert finding.status == "skipped"
    assert says(finding.found, "manual/broken'", "--data-dir")


def broken(findings: list[Finding]) -> dict[str, str]:
    return {finding.rule: finding.found for finding in findings if finding.status == "failed"}


def test_the_synthetic_data_set_keeps_the_rules(tmp_path):
    findings = check("synthetic[n=14]", data_dir=tmp_path)
    assert broken(findings) == {}
    assert sum(finding.status == "passed" for finding in findings) == len(RULES) - 1


@pytest.mark.parametrize("name", [spec.name for spec in fer_bench_datasets()])
def test_our_own_data_sets_leave_nothing_to_be_guessed(name, tmp_path):
    (suite,) = find_suites(name, data_dir=tmp_path)
    finding = suite.finding("declared")
    assert finding.status == "passed", finding.found


@pytest.mark.parametrize("layout", ["jaffe/pictures", "rafdb/original", "affectnet/2021", "ckplus/csv"])
def test_layouts_of_every_kind_keep_the_rules(layout, tmp_path):
    assert broken(check(layout.partition("/")[0], data_dir=tmp_path, write=LAYOUTS[layout])) == {}
