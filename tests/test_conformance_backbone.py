"""Every rule for backbones can fail, and says what to do; both Xceptions keep them all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import broken_backbones
import numpy as np
import pytest
from broken_backbones import SPEC, BrokenParams, CarelessParams
from broken_plugin import assert_fails, broken_component, broken_suite, local
from hurry import in_a_hurry

from fer_bench.keeping.weights import tensor_digests
from fer_bench.specs import BackboneSpec, ImageInput, WeightsSpec
from fer_bench.testing.conformance import Suite, cases
from fer_bench.testing.conformance.backbone import RULES
from fer_bench.testing.conformance.backbone_subject import BackboneSubject

hurried = in_a_hurry()


def suite(spec: BackboneSpec = SPEC, **params: Any) -> Suite[BackboneSubject]:
    component = broken_component(spec, **params)
    return broken_suite("backbone", component, BackboneSubject(component), RULES)


MUTATIONS: dict[str, tuple[str, BackboneSpec, dict[str, Any], str]] = {
    "local-params": ("spec-pickles", replace(SPEC, params=local(BrokenParams)), {}, "its parameters cannot be pickled"),
    "no-stage": ("builds", replace(SPEC, stages=()), {}, "stages is empty"),
    "twice": ("builds", replace(SPEC, stages=("stem", "stem")), {}, "'stem' is named twice"),
    "path": ("builds", replace(SPEC, stages=("stem", "../top")), {}, "'../top' is not a Python identifier"),
    "missing": ("builds", replace(SPEC, stages=("stem", "head")), {}, "lacks the stages ['head']"),
    "raises": ("builds", SPEC, {"fault": "raises"}, "RuntimeError: no weights today"),
    "wide": ("shapes", replace(SPEC, feature_size=8), {}, "declared are 8 features"),
    "half": ("shapes", SPEC, {"fault": "half"}, "float16"),
    "tuple": ("shapes", SPEC, {"fault": "tuple"}, "stage 'stem' returns tuple"),
    "first-image": ("shapes", SPEC, {"fault": "first-image"}, "for a batch of 5"),
    "leaves-half": (
        "half-precision",
        replace(SPEC, half_precision=True),
        {},
        "stage 'stem' returns float32 where it is given bfloat16",
    ),
    "narrow": (
        "half-precision",
        replace(SPEC, half_precision=True),
        {"fault": "narrow"},
        "top/point/bias is held as bfloat16",
    ),
    "small": ("smallest-input", replace(SPEC, params=CarelessParams), {}, "at input_size=1"),
    "beside": ("stages-hold-all-parameters", SPEC, {"fault": "beside"}, "scale is in no stage"),
    "shared": ("stages-hold-all-parameters", SPEC, {"fault": "shared"}, "stem/conv/bias and top/point/bias are one"),
    "scales": ("stages-compose", SPEC, {"fault": "scales"}, "they differ by 1 of the largest"),
    "global": ("prefix-splits", SPEC, {"fault": "global"}, "UnexpectedTracerError"),
    "time": ("deterministic", SPEC, {"fault": "time"}, "stage 'top' has other weights when it is built again"),
    "same-weights": ("deterministic", SPEC, {"fault": "same-weights"}, "seeds 0 and 1 draw the same weights"),
    "batch-mean": ("batch-independent", SPEC, {"fault": "batch-mean"}, "an image's features change"),
    "counts-runs": ("batch-independent", SPEC, {"fault": "counts-runs"}, "a run changes the state stem['runs']"),
    "root": ("gradients", SPEC, {"fault": "root"}, "the gradient of stem/conv/kernel is not finite"),
    "stop-gradient": ("gradients", SPEC, {"fault": "stop-gradient"}, "every gradient of stage 'stem' is 0"),
    "by-seed": ("one-compilation", SPEC, {"fault": "compiles-by-seed"}, "2 compilations"),
    "falling-range": (
        "input-is-honoured",
        replace(SPEC, image_input=ImageInput(value_range=(1.0, -1.0))),
        {},
        "value_range is (1.0, -1.0)",
    ),
    "no-range": (
        "input-is-honoured",
        replace(SPEC, image_input=ImageInput(value_range=(0.5, 0.5))),
        {},
        "a black image and a white one have the same features",
    ),
    "one-channel": ("input-is-honoured", SPEC, {"fault": "one-channel"}, "channel 1 of the input has no effect"),
    "no-weights": ("weights-match-their-hash", SPEC, {"weights": "best"}, "weights=best; declared: none"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_rule_can_fail_and_says_what_to_do(name):
    rule, spec, params, message = MUTATIONS[name]
    broken_backbones.SEEN.clear()
    assert_fails(suite(spec, **params), rule, message)


def test_every_rule_has_a_mutation():
    assert {rule for rule, *_ in MUTATIONS.values()} == {rule.name for rule in RULES}


def test_the_mutations_are_the_only_faults():
    found = [case.run() for case in suite().cases()]
    others = {finding.rule for finding in found if finding.status != "passed"}
    assert others == {"weights-match-their-hash", "half-precision"}


def test_a_rule_that_makes_no_sense_is_skipped():
    broken = suite(fault="raises")
    assert broken.finding("gradients").status == "skipped"
    assert broken.finding("gradients").found == "the rule 'builds' comes first"


def test_weights_are_compared_with_their_digests(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    package = tmp_path / "weighty"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    tensors = {"kernel": np.arange(4, dtype=np.float32)}
    save_file(tensors, package / "w.safetensors")
    weights = WeightsSpec(
        name="w",
        file="weighty:w.safetensors",
        digests="weighty:d.json",
        convert="",
        url="",
        sha256="",
        source="me",
        licence="MIT",
    )
    (package / "d.json").write_text(json.dumps(tensor_digests(tensors)))
    rule = "weights-match-their-hash"
    assert suite(replace(SPEC, weights=(weights,))).finding(rule).status == "passed"
    assert "have no licence" in suite(replace(SPEC, weights=(replace(weights, licence=""),))).finding(rule).found
    (package / "d.json").write_text(json.dumps({"kernel": "0" * 64}))
    finding = suite(replace(SPEC, weights=(weights,))).finding(rule)
    assert finding.status == "failed"
    assert "different: kernel" in finding.found


ALL = pytest.mark.skipif("FER_BENCH_TEST_ALL" not in os.environ, reason="'tox run -e exhaustive' tries the large one")


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [*cases("mini-xception"), *(pytest.param(case, marks=ALL) for case in cases("xception[input_size=71]"))],
    ids=str,
)
def test_xception_keeps_the_rules(case):
    case.check()
