"""Seconds that belong to one thing at a time, and a forward pass counted by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from fer_bench.networks import meter
from fer_bench.networks.backbone import Backbone
from fer_bench.specs import ImageInput


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_seconds_belong_to_the_innermost_work(clock):
    watch = meter.Meter()
    clock(100)  # before anything is counted
    with watch.count("train"):
        clock(1)
        with watch.count("data"):
            clock(2)
        clock(4)
        try:
            with watch.count("evaluate"):
                clock(8)
                raise KeyError  # a cell that fails
        except KeyError:
            pass
    clock(100)
    before = watch.seconds()
    assert before == {"features": 0, "data": 2, "compile": 0, "train": 5, "evaluate": 8}
    with watch.count("data"):
        clock(16)
    assert watch.seconds(before) == {"features": 0, "data": 16, "compile": 0, "train": 0, "evaluate": 0}


def test_compiling_is_taken_from_what_waits_for_it_and_counts_once(clock):
    watch = meter.Meter()
    with watch.count("train"):
        clock(3)  # at 3: a trace of 1 s ends, which lies within one of 3 s
        watch.compiled(1.0)
        watch.compiled(3.0)
        clock(2)
        watch.compiled(2.0)
        clock(4)
    assert watch.seconds() == {"features": 0, "data": 0, "compile": 5, "train": 4, "evaluate": 0}
    watch.compiled(7.0)  # nobody counts
    assert watch.seconds()["compile"] == 5


def test_what_xla_compiles_is_heard():
    watch = meter.Meter()
    with watch.count("evaluate"):
        jax.jit(lambda x: jnp.sin(x) @ x + 17.25)(jnp.ones((3, 3))).block_until_ready()
    seconds = watch.seconds()
    assert seconds["compile"] > 0
    assert seconds["evaluate"] >= 0


def test_a_forward_pass_is_counted():
    class Point(nnx.Module):
        def __init__(self) -> None:
            self.kernel = nnx.Param(jnp.ones((3, 5)))

        def __call__(self, x: jax.Array) -> jax.Array:
            return x.reshape(-1, 3) @ self.kernel[...]

    graph, state = nnx.split(Point())
    tiny = Backbone("tiny", ("a",), 15, {"a": nnx.to_pure_dict(state)}, 4, ImageInput(), {"a": graph}, 5)
    # 4 x 4 pixels of 3 channels: converted, scaled and moved (an operation each), then 16 products of 3 with
    # 3 x 5, two operations each.
    assert meter.forward_flops(tiny, (4, 4, 3)) == 3 * 48 + 2 * 16 * 3 * 5


def test_peak_memory_is_that_of_this_process():
    found = meter.peak_memory()
    assert found["device"] is None, "the host's memory is the CPU's"
    assert found["host"] is None or 50e6 < found["host"] < 1e12
