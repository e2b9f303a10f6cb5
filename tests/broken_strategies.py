"""A strategy with one fault at a time, chosen by the parameter ``fault``."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fer_bench.specs import GradientPhase, Params, Plan, ReadoutPhase, Rule, StrategySpec

PLANS = itertools.count(1)
ALL = (Rule(), Rule(head=True))


class BrokenParams(Params):
    fault: str = ""


class Guess:
    """A classifier that guesses: differently each time, or for more than two classes alone, or with sums of 2."""

    def __init__(self, fault: str):
        self.fault = fault

    def fit(self, x: Any, y: Any) -> None:
        self.classes_ = np.unique(y)
        if self.fault == "two-classes" and len(self.classes_) < 3:
            raise ValueError("needs three classes")

    def predict_proba(self, x: Any) -> Any:
        said = np.random.default_rng(None if self.fault == "random" else 0).random((len(x), len(self.classes_)))
        return said / said.sum(1, keepdims=True) * (2 if self.fault == "sums" else 1)


def plan(params: BrokenParams) -> Any:
    fault = params.fault
    if fault == "text":
        return "train well"
    if fault in ("guess", "random", "two-classes", "sums"):
        return Plan(phases=(ReadoutPhase(estimator="broken_strategies:Guess", options={"fault": fault}),))
    rules = {"gap": (Rule(start=-1), Rule(head=True)), "overlap": (*ALL, Rule(leaves=".*bias"))}.get(fault, ALL)
    if fault == "frozen":
        rules = (Rule(rate=0, stop=-1), Rule(start=-1), Rule(head=True))
    rate = {"another": 1e-3 * next(PLANS), "idle": 1e-30}.get(fault, 1e-2)
    return Plan(phases=(GradientPhase(name="p", rules=rules, epochs=3, learning_rate=rate),))


SPEC = StrategySpec(name="broken", summary="", plan="broken_strategies:plan", params=BrokenParams)
