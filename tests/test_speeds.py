"""How long a block of cells takes, by what two of them took: numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_bench.executors import probe
from fer_bench.executors.speeds import Watch, recall
from fer_bench.networks import devices
from fer_bench.results.records import StrategyRecord
from fer_bench.specs import ConvexPhase, GradientPhase, Plan, Rule

HEAD = ConvexPhase(c=1.0, standardize=False, max_iterations=9, tolerance=1e-3)
STEPS = GradientPhase(name="all", rules=(Rule(head=True),), epochs=10, batch=8)


class Memory(dict[str, str]):
    """What a backbone remembers, by strategy."""

    def remember(self, kind: str, text: str, **more: Any) -> None:
        self[f"{kind} {more}"] = text

    def recall(self, kind: str, **more: Any) -> str | None:
        return self.get(f"{kind} {more}")


def block(plan: Plan, *sizes: int, name: str = "s") -> Any:
    """Return a block of cells that train on so many samples."""
    record = StrategyRecord(text=name, name=name, package="p", version="1", params={})
    jobs = [
        SimpleNamespace(cell=SimpleNamespace(strategy=record), fold=SimpleNamespace(train=np.ones(size, bool)))
        for size in sizes
    ]
    return SimpleNamespace(plan=plan, search=None, jobs=jobs)


def add(watch: Watch, size: int, own: float, compiling: float, history: pd.DataFrame, seconds: float = 0.0) -> None:
    spent = {"features": 99.0, "compile": compiling, "data": own / 4, "train": own / 2, "evaluate": own / 4}
    outcome: Any = SimpleNamespace(history=history, seconds=seconds)
    watch.add(SimpleNamespace(train=np.ones(size, bool)), spent, outcome)  # type: ignore[arg-type]


def epochs(*seconds: float) -> pd.DataFrame:
    return pd.DataFrame({"phase": "all", "seconds": seconds})


@pytest.mark.parametrize(("accelerated", "images"), [(False, 64), (True, 512)])
def test_a_probe_fills_the_programs_of_an_accelerator_which_take_as_long_with_fewer_steps(
    monkeypatch, accelerated, images
):
    monkeypatch.setattr(devices, "accelerated", lambda: accelerated)
    assert probe.trained(Plan(phases=(HEAD, replace(STEPS, batch=128)))) == images
    assert probe.trained(Plan(phases=(HEAD,))) == 64


def test_steps():
    memory: Any = Memory()
    ran = block(Plan(phases=(STEPS,)), 100, 100, 100)
    watch = Watch(memory, ran)
    add(watch, 100, 22.0, 5.0, epochs(*[2.0] * 10))
    add(watch, 100, 21.0, 0.0, epochs(*[2.0] * 10))
    add(watch, 100, 999.0, 0.0, epochs(*[99.0] * 10))
    speed = recall(memory, ran)
    assert speed is not None
    # The first cell took a second more than the second, and a fifth of 5 s of compiling comes again; 0.21 s a sample.
    assert (speed.start, speed.shared, speed.each) == (2.0, 0.0, 0.21)
    larger = block(ran.plan, 1000, 1000)
    assert speed.seconds(larger, {id(larger.jobs[1])}) == pytest.approx(2 + 210)
    assert recall(memory, block(ran.plan, 100, name="other")) is None


def test_one_epoch_stands_for_all():
    memory: Any = Memory()
    ran = block(Plan(phases=(STEPS,)), 64, 64)
    watch = Watch(memory, ran, Plan(phases=(STEPS,)))
    add(watch, 64, 4.0, 8.0, epochs(3.0))
    add(watch, 64, 3.5, 0.0, epochs(3.0))
    speed = recall(memory, ran)
    assert speed is not None
    assert speed.start == pytest.approx(8.5)
    assert speed.each * 64 == pytest.approx(0.5 + 10 * 3.0)


def test_heads_are_fitted_for_all_cells_at_once():
    memory: Any = Memory()
    ran = block(Plan(phases=(HEAD,)), 100, 300)
    watch = Watch(memory, ran)
    add(watch, 100, 5.0, 1.5, pd.DataFrame({"phase": ["head"]}), seconds=2.0)
    add(watch, 300, 0.5, 0.0, pd.DataFrame({"phase": ["head"]}), seconds=2.0)
    speed = recall(memory, ran)
    assert speed is not None
    # Of the 4.5 s that the first cell takes more, 4 fit the heads of 400 samples; a fifth of 1.5 s comes again.
    assert speed.start == pytest.approx(0.8)
    assert speed.shared == pytest.approx(0.01)
    # One cell is left, but the heads of both are fitted.
    assert speed.seconds(ran, {id(ran.jobs[0])}) == pytest.approx(0.8 + 4 + 0.5 / 3)


@pytest.mark.parametrize("text", ["", "7", "[1]", '{"start": 1}', '{"start": "x", "shared": 1, "each": 1}', '{"a": 1}'])
def test_a_file_of_the_cache_that_says_something_else_is_no_speed(text):
    memory: Any = Memory()
    ran = block(Plan(phases=(HEAD,)), 8)
    add(Watch(memory, ran), 8, 1.0, 1.0, pd.DataFrame({"phase": ["head"]}))
    for key in memory:
        memory[key] = text
    assert recall(memory, ran) is None
