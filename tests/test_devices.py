"""The same numbers from two devices as from one, and the batch that fills a device."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jax
import pytest
from hurry import OPTION
from messages import says
from tiny_run import invoke

from fer_bench.errors import FerBenchError
from fer_bench.executors import cells
from fer_bench.learning.gradient import Trainer
from fer_bench.networks import devices, forward
from fer_bench.networks.identity import notes_on_precision, resolve_precision

TWO_DEVICES = """
import sys
sys.path.insert(0, sys.argv[1])
import jax, numpy as np
import test_gradient as tiny
from fer_bench.specs import GradientPhase
from fer_bench.learning.lowered import lower
from fer_bench.networks import devices
from fer_bench.networks.forward import Forward, Output

both, one = devices.available(), devices.Devices(jax.devices()[:1])
assert len(both) == 2 and len(one) == 1
assert len(both.divide(np.zeros((16, 3))).addressable_shards[0].data) == 8
assert len(both.divide(np.zeros((3, 2))).addressable_shards[0].data) == 3

jax.random.beta = lambda key, a, b: jax.random.uniform(key)  # a beta takes 3 s to compile
net, (inputs, labels, fold) = tiny.backbone(), tiny.problem(3, 0)
found, compiled = [], []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **more: compiled.append(more["fun_name"]) if event.endswith("backend_compile_duration") else None
)
for which in (one, both):
    devices.available = lambda: which
    phase = GradientPhase(name="p", rules=tiny.EVERYTHING, epochs=2, batch=16, learning_rate=1e-2, optimizer="sgd",
                          batch_norm="train", mixup=0.2, dropout=0.2)
    fitter = tiny.trainer(net, phase, 3)
    compiled.clear()
    sample = jax.ShapeDtypeStruct((8, 8, 3), np.uint8)
    for program in lower([fitter], tiny.Model.first(net, 3), lambda _: sample, fold):
        program.compile()
    after, history = tiny.fit(fitter, tiny.Model.first(net, 3), inputs, tiny.one_hot(labels), fold)
    assert [sum(part in name for name in compiled) for part in ("_steps", "_batch_statistics")] == [1, 1], compiled
    said = fitter.predict(after, inputs, np.arange(47))
    features, finite, fits = Forward(net, [Output(2, 2, np.dtype(np.float32))])(inputs.take(np.arange(32)))[0]
    assert finite.all() and fits.all()
    found.append({"said": said, "features": features, "loss": [row["loss"] for row in history],
                  **after.parameters, **after.others})
for name, value in found[0].items():
    np.testing.assert_allclose(value, found[1][name], rtol=2e-3, atol=2e-4, err_msg=name)
"""


@pytest.mark.slow
def test_two_devices_compute_what_one_does():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu", OPTION.upper(): "1"}
    command = [sys.executable, "-c", TWO_DEVICES, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **flags})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("pixels", "free", "expected"),
    [(299, None, 128), (149, None, 1024), (71, None, 1024), (224, None, 256), (2000, None, 32)],
)
def test_a_batch_fills_an_accelerator(pixels, free, expected):
    assert forward.accelerator_batch(pixels**2, 1000, free, 1) == expected
    assert forward.accelerator_batch(pixels**2, 1000, free, 4) == 4 * expected


@pytest.mark.parametrize(("images", "expected"), [(10_000, 256), (256, 256), (255, 128), (64, 64), (3, 32)])
def test_a_batch_is_no_larger_than_what_memory_should_hold(images, expected):
    free = images * 1000 * forward.HELD
    assert forward.accelerator_batch(224**2, 1000, free, 1) == expected


@pytest.mark.parametrize(("side", "images"), [(48, 16), (149, 8), (224, 4), (299, 2), (1200, 1)])
def test_larger_images_run_fewer_at_a_time_on_a_cpu(side, images):
    assert forward._together(side) == images
    assert forward.BATCH % images == 0


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_backend_that_is_not_here_is_named(command, tmp_path):
    options = ["--dataset", "synthetic[n=14]", "--backbone", "mini-xception", "--folds", "2", "--runs-dir", "runs"]
    done = subprocess.run(
        [sys.executable, "-m", "fer_bench", command, *options],
        env={**os.environ, "JAX_PLATFORMS": "rocm"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "JAX_PLATFORMS is 'rocm'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("capability", "precision"), [("7.5", "float32"), ("8.0", "bfloat16"), ("gfx90a", "bfloat16")])
def test_an_accelerator_without_bfloat16_takes_float32_and_says_so(monkeypatch, capability, precision):
    device = SimpleNamespace(platform="gpu", device_kind="Quadro 9", compute_capability=capability)
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert resolve_precision("auto") == precision
    assert notes_on_precision("float32") == []
    notes = [*notes_on_precision("auto"), *notes_on_precision("bfloat16")]
    assert [("Quadro 9" in note, "float32" in note) for note in notes] == [(True, True)] * 2 * (precision == "float32")


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), True),
        (jax.errors.JaxRuntimeError("INTERNAL: Failed to load CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"), False),
        (MemoryError(), True),
        (RuntimeError("RESOURCE_EXHAUSTED: of a plugin"), False),
    ],
)
def test_too_little_memory_is_told_from_other_faults(error, lacks):
    assert devices.lacks_memory(error) == lacks


LOST = (
    "INTERNAL: CUDA error: Could not synchronize CUDA stream: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was "
    "encountered"
)
"""After which every call of CUDA in the process fails."""


@contextmanager
def compiling_threads() -> Iterator[list[tuple[str, str]]]:
    """Yield a list that gets the name of each program that is compiled, and of the thread that does it."""
    compiled: list[tuple[str, str]] = []

    def hear(event: str, _: float, fun_name: str = "", **others: object) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append((fun_name, threading.current_thread().name))

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


def test_a_device_lost_in_mid_run_leaves_its_cell_unfinished_and_the_same_command_goes_on(tiny, monkeypatch):
    grid = ["run", "--backbone", "net", "--dataset", "squares", "--strategy", "steps", "--folds", "2"]
    programs, take_steps = 0, Trainer.take_steps

    def fail(*_: Any) -> Any:
        raise jax.errors.JaxRuntimeError(LOST)

    def lose(*arguments: Any) -> Any:
        nonlocal programs
        programs += 1
        if programs == 20:  # 16 of the first phase of the first fold, and some of the second
            faulty.setattr(jax, "device_get", fail)
            fail()
        return take_steps(*arguments)

    monkeypatch.setattr(devices, "accelerated", lambda: True)
    with monkeypatch.context() as faulty, compiling_threads() as compiled:
        faulty.setattr(Trainer, "take_steps", lose)
        with pytest.raises(FerBenchError) as ended:
            invoke(*grid)
    assert says(str(ended.value), "CUDA_ERROR_ILLEGAL_ADDRESS", "unfinished", "same command", "JAX_PLATFORMS=cpu")
    assert not list((tiny / "runs" / "cells").glob("*"))
    assert invoke(*grid).exit_code == 0
    assert len(list((tiny / "runs" / "cells").iterdir())) == 2
    threads = [thread for program, thread in compiled if "_steps" in program]
    assert [thread.startswith("fer-bench-compile") for thread in threads] == [True, True], "one a phase, early"


def test_a_lost_device_ends_the_run_and_says_how_to_go_on(monkeypatch):
    fault = jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")

    def train() -> None:
        raise fault

    block = cast("Any", SimpleNamespace(backbone=None, strategy=None))
    monkeypatch.setattr(cells, "_packages", lambda block: {})
    assert "CUDA_ERROR_LAUNCH_FAILED" in cells.guarded(train, block)  # the cell failed, and the device works

    def lost(value: Any) -> None:
        raise jax.errors.JaxRuntimeError("UNAVAILABLE: the device is gone")

    monkeypatch.setattr(jax, "device_get", lost)
    with pytest.raises(FerBenchError) as ended:
        cells.guarded(train, block)
    for part in ("CUDA_ERROR_LAUNCH_FAILED", "unfinished", "same command", "JAX_PLATFORMS=cpu"):
        assert part in str(ended.value)
    assert not devices.is_lost(ValueError("x"))
