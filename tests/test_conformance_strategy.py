"""Every rule for strategies can fail, and says what to do; our own strategies keep them all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_plugin import assert_fails, broken_component, broken_suite, local
from broken_strategies import SPEC, BrokenParams
from hurry import in_a_hurry
from messages import says

from fer_bench.learning.state import Model
from fer_bench.learning.training import Training
from fer_bench.testing.conformance import Suite, cases
from fer_bench.testing.conformance.strategy import RULES, StrategySubject

hurried = in_a_hurry()


def suite(fault: str = "", params: type[BrokenParams] = BrokenParams) -> Suite[StrategySubject]:
    component = broken_component(replace(SPEC, params=params), fault=fault)
    return broken_suite("strategy", component, StrategySubject(component), RULES)


MUTATIONS = {
    "text": ("plans", "returned str; expected fer_bench.specs.Plan"),
    "another": ("plans", "the same parameters give another plan"),
    "gap": ("covers-every-parameter", "no rule matches stem/conv/bias"),
    "overlap": ("covers-every-parameter", "2 rules match stem/conv/bias"),
    "guess": ("learns", "8 classes: cross-entropy "),
    "idle": ("learns", "8 classes: the loss of phase 'p' goes from 2.079 to 2.079"),
    "random": ("same-seed-same-result", "probabilities differ by up to 0."),
    "two-classes": ("classes-and-channels", "2 classes: ValueError: needs three classes"),
    "sums": ("classes-and-channels", "8 classes: probabilities are not finite, below 0 or do not sum to 1"),
}


@pytest.mark.parametrize("fault", MUTATIONS)
def test_each_rule_can_fail_and_says_what_to_do(fault):
    rule, message = MUTATIONS[fault]
    assert_fails(suite(fault), rule, message)


def test_params_that_cannot_be_pickled():
    assert says(suite(params=local(BrokenParams)).finding("spec-pickles").found, "parameters", "pickled")


def test_an_engine_that_moves_what_is_frozen_is_found(monkeypatch):
    run = Training.run

    def drift(self, *arguments):
        after = run(self, *arguments)
        parameters = {name: leaf * (1 + 1e-6) for name, leaf in after.model.parameters.items()}
        others = {name: leaf + 1e-6 for name, leaf in after.model.others.items()}
        return replace(after, model=Model(parameters, others))

    monkeypatch.setattr(Training, "run", drift)
    found = suite("frozen").finding("frozen-leaves-stay").found
    assert says(found, "'p'", "stem/conv/kernel", "rate is 0")
    assert says(found, "'p'", "low/norm/mean", "batch_norm='frozen'")
    assert "top/point/kernel" not in found


def test_every_rule_has_a_mutation():
    tested = {rule for rule, _ in MUTATIONS.values()} | {"spec-pickles", "frozen-leaves-stay"}
    assert tested == {rule.name for rule in RULES}


QUICK = [
    case for case in cases("strategies") if case.rule in ("loads", "spec-pickles", "plans", "covers-every-parameter")
]
WHOLE = [case for name in ("linear-probe", "knn", "finetune") for case in cases(name)]


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_all_of_ours_keep_the_rules_of_plans(case):
    case.check()


@pytest.mark.slow
@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_ours_keep_all_rules(case):
    case.check()
