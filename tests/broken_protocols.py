"""A protocol with one fault at a time, chosen by the parameter ``fault``; without one, people go to folds by turns."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
from sklearn.model_selection import PredefinedSplit

from fer_bench.specs import Params, ProtocolSpec
from fer_bench.tasks.splitting import Samples

CALLS = itertools.count()
FOLDS = 4


class BrokenParams(Params):
    fault: str = ""


class Odd:
    """A splitter whose folds are given."""

    def __init__(self, parts: list[tuple[Any, Any]], told: int | None = None):
        self.parts, self.told = parts, len(parts) if told is None else told

    def split(self, X: Any, y: Any, groups: Any = None):
        yield from self.parts

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.told


def make(params: BrokenParams, samples: Samples, seed: int) -> Any:
    fault = params.fault
    if fault == "ignores-seed":
        seed = 0
    if fault == "drifts":
        seed += next(CALLS)
    if fault == "process":
        seed += os.getpid()
    assert samples.groups is not None
    turns = np.random.default_rng(seed).permutation(samples.groups.max() + 1) % FOLDS
    tested = turns[samples.groups]
    if fault == "torn":
        half = np.flatnonzero(samples.groups == 0)[::2]
        tested[half] = (tested[half] + 1) % FOLDS
        # The host refuses a group in both parts, so training leaves out the people who are tested.
        parts = [(~np.isin(samples.groups, samples.groups[tested == k]), tested == k) for k in range(FOLDS)]
        return Odd([(np.flatnonzero(train), np.flatnonzero(test)) for train, test in parts if test.any()])
    parts = [(np.flatnonzero(tested != k), np.flatnonzero(tested == k)) for k in range(FOLDS)]
    if fault == "shared":
        return Odd([(np.arange(len(tested)), test) for _, test in parts])
    if fault == "twice":
        return Odd([*parts, parts[0]])
    if fault == "miscounts":
        return Odd(parts, FOLDS + 1)
    return PredefinedSplit(tested)


SPEC = ProtocolSpec(name="broken", summary="", splitter="broken_protocols:make", params=BrokenParams)
