"""The device does not wait: what it takes next is read meanwhile, images are decoded once, no step asks the host."""

from __future__ import annotations

import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import test_gradient as tiny
from hurry import in_a_hurry

from fer_bench.atomic import lacking
from fer_bench.keeping.outputs import Outputs
from fer_bench.learning import training
from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer
from fer_bench.learning.lowered import lower
from fer_bench.learning.state import Model
from fer_bench.networks import devices, pictures, resident
from fer_bench.networks.ahead import AHEAD, read_ahead
from fer_bench.networks.early import Early
from fer_bench.networks.pictures import PixelFile
from fer_bench.specs import GradientPhase

hurried = in_a_hurry()

COMPILED = "/jax/core/compile/backend_compile_duration"
PHASE = GradientPhase(name="p", rules=tiny.EVERYTHING, epochs=1, batch=8, dropout=0.2, batch_norm="train")


def test_answers_come_in_order_and_few_are_read_ahead():
    begun, used, waits = [], [], []

    @contextmanager
    def waiting():
        waits.append(len(used))
        yield

    def read(number: int) -> tuple[int, str]:
        begun.append(number)
        return number, threading.current_thread().name

    for number, thread in read_ahead(read, range(7), waiting):
        used.append(number)
        assert thread.startswith("fer-bench-read")
        assert len(begun) <= len(used) + AHEAD
    assert used == begun == waits == list(range(7))


def test_what_reading_raises_is_raised_at_its_answer():
    answers = read_ahead(lambda number: 1 / (2 - number), range(5))
    assert [next(answers), next(answers)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_the_next_epoch_is_read_during_the_last_steps_of_an_epoch(monkeypatch):
    inputs, labels, fold = tiny.problem(2, 1)
    read = [threading.Event() for _ in range(4)]  # two programs of four and two steps in each of two epochs
    batches, numbers = Trainer.batches, iter(read)

    def read_batches(*arguments):
        answer = batches(*arguments)
        next(numbers).set()
        return answer

    def take_steps(trainer, state, frozen, weight, batches, seed, first, steps):
        assert first + steps < 6 or read[2].wait(30), "the second epoch is not read while the first one ends"
        return state, jnp.zeros(STEPS_AT_ONCE)

    monkeypatch.setattr(Trainer, "batches", read_batches)
    monkeypatch.setattr(Trainer, "take_steps", take_steps)
    phase = GradientPhase(name="p", rules=tiny.FROM_LAST, epochs=2, batch=8)
    network = tiny.backbone()
    _, history = tiny.fit(tiny.trainer(network, phase, 2), Model.first(network, 2), inputs, tiny.one_hot(labels), fold)
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(event.is_set() for event in read)


def test_the_next_epoch_begins_before_losses_are_read_unless_its_end_is_kept(monkeypatch):
    inputs, labels, fold = tiny.problem(2, 1)
    phase, network = GradientPhase(name="p", rules=tiny.FROM_LAST, epochs=3, batch=8), tiny.backbone()
    events: list[Any] = []
    kept: list[int] = []
    take_steps, read = Trainer.take_steps, training._check_finite

    def watched_steps(trainer, *arguments):
        events.append(arguments[-2])
        return take_steps(trainer, *arguments)

    def watched_losses(losses, *arguments):
        events.append("losses")
        return read(losses, *arguments)

    monkeypatch.setattr(Trainer, "take_steps", watched_steps)
    monkeypatch.setattr(training, "_check_finite", watched_losses)
    trainer, begun = tiny.trainer(network, phase, 2), training.Progress(Model.first(network, 2))
    ends: list[training.Progress] = []
    for due in ([False, True], [True, True]):
        work = training.Training(trainer, inputs, tiny.one_hot(labels), fold, 7, lambda _: None)
        ends.append(work.run(begun, lambda now: kept.append(now.epoch), iter(due).__next__))
    assert events[:9] == [0, 4, 6, "losses", 10, "losses", 12, 16, "losses"]  # two programs of four and two steps
    assert events[9:] == [0, 4, "losses", 6, 10, "losses", 12, 16, "losses"]
    assert kept == [2, 3, 1, 2, 3]
    assert [row["loss"] for row in ends[0].history] == [row["loss"] for row in ends[1].history]
    for name, value in ends[0].model.parameters.items():
        np.testing.assert_array_equal(value, ends[1].model.parameters[name])


class Decoded:
    """Pictures that count how often each is decoded."""

    shape = (4, 5, 1)

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (6, *self.shape), dtype=np.uint8)
        self.times = np.zeros(6, int)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows, variant=0):
        time.sleep(0.01)
        np.add.at(self.times, rows, 1)
        return self.images[rows].copy()


@pytest.mark.parametrize(
    ("memory", "disk", "place", "kept"),
    [(0.125, 0, "cache", "memory"), (0, 0.125, "cache", "file"), (0, 0, "cache", ""), (0, 0.125, "file/cache", "")],
)
def test_images_stay_in_memory_or_on_the_disk_where_one_has_room(monkeypatch, tmp_path, memory, disk, place, kept):
    monkeypatch.setattr(resident, "SHARE", memory)
    monkeypatch.setattr(pictures, "DISK_SHARE", disk)
    (tmp_path / "file").touch()  # a folder that cannot be made
    task = SimpleNamespace(parts=[SimpleNamespace(shape=(4, 5), channels=1, rows=range(6))])
    inputs = pictures.pictures_of(task, 8, tmp_path / place)
    assert isinstance(inputs, pictures.Decoded) == bool(kept)
    if kept:
        assert isinstance(inputs._here, PixelFile) == (kept == "file")


def test_a_disk_that_is_full_in_the_middle_of_an_image_is_an_error(tmp_path):
    file, (soft, hard) = PixelFile(tmp_path, (4, 4, 1)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24, hard))  # writes 8 bytes of the second image, without an error
    try:
        with pytest.raises(OSError, match="space") as raised:
            file[np.arange(2)] = np.ones((2, 4, 4, 1), np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert lacking(raised.value)


@pytest.mark.parametrize("place", ["memory", "file", "device"])
def test_images_that_stay_are_decoded_once(tmp_path, place):
    decoded = Decoded()
    if place == "device":
        kept = resident.Resident(decoded, decoded.shape, np.uint8, 0)
    else:
        kept = pictures.Decoded(decoded, PixelFile(tmp_path, decoded.shape) if place == "file" else None)
    with ThreadPoolExecutor(2) as pool:  # a validation, and training that reads ahead
        list(pool.map(kept.take, [np.array([4, 0, 4])] * 2))
    for rows, variant in (([4, 0, 4], [1, 0, 0]), ([5, 4, 1], 1), ([4, 5, 0], 0)):
        taken = kept.take(np.array(rows), np.array(variant))
        assert isinstance(taken, jax.Array) == (place == "device")
        mirrored = np.broadcast_to(variant, 3)[:, None, None, None] == 1
        expected = np.where(mirrored, decoded.images[rows][:, :, ::-1], decoded.images[rows])
        np.testing.assert_array_equal(taken, expected)
    assert decoded.times.tolist() == [1, 1, 0, 0, 1, 1]
    steps = kept.take(np.array([[0, 1], [4, 5]]), np.array([[0, 1], [1, 0]]))
    np.testing.assert_array_equal(steps[0, 0], decoded.images[0])
    np.testing.assert_array_equal(steps[:, 1], [decoded.images[1][:, ::-1], decoded.images[5]])
    assert not list(tmp_path.iterdir())  # a file without a name


@pytest.mark.parametrize(("accelerated", "share"), [(True, 1.0), (True, 0.0), (False, 1.0)])
def test_stage_outputs_that_fit_an_accelerator_are_read_once_and_stay_there(monkeypatch, accelerated, share):
    monkeypatch.setattr(devices, "accelerated", lambda: accelerated)
    monkeypatch.setattr(resident, "SHARE", share)
    values = np.random.default_rng(0).normal(size=(6, 2, 3, 4)).astype(np.float16)
    outputs = Outputs([values.copy()], dtype=None)
    kept = resident.of_outputs(outputs, 2)
    assert isinstance(kept, resident.Resident) == (accelerated and share > 0)
    for again in range(2):
        rows, variant = np.array([[5, 0], [1, 5]]), np.array([[1, 0], [1, 0]])
        taken = kept.take(rows, variant)
        assert taken.dtype == np.float16
        np.testing.assert_array_equal(taken, values[rows, variant])
        if isinstance(kept, resident.Resident):
            outputs._parts[0][:] = again  # what was read is not read again
    assert len(kept) == 6


def taken(steps: int):
    """Return the state and losses after some steps of `PHASE`, and the program for a GPU."""
    net, (inputs, labels, _) = tiny.backbone(), tiny.problem(3, 0)
    fitter, model = tiny.trainer(net, PHASE, 3), tiny.Model.first(net, 3)
    rows, rates = np.arange(steps * PHASE.batch), [np.float32(1e-2)] * steps
    batches = fitter.batches(inputs, rows, 0, tiny.one_hot(labels), rates)
    state = jax.tree.map(jnp.copy, fitter.begin(model, 0))
    arguments = fitter.frozen(model), jnp.ones(3), batches, 7, 0, steps
    text = fitter.programs.take_steps.trace(state, *arguments).lower(lowering_platforms=("cuda",)).as_text()
    after, losses = fitter.take_steps(state, *arguments)
    assert all(leaf.is_deleted() for leaf in state.learning.values())  # given away
    return after, losses[:steps], text, fitter


@pytest.fixture(scope="module")
def on_a_cpu():
    return taken(STEPS_AT_ONCE - 1)


@pytest.mark.slow
def test_an_accelerator_takes_a_fixed_number_of_steps_and_the_same_ones(on_a_cpu, monkeypatch):
    after, losses, text, _ = on_a_cpu
    monkeypatch.setattr(devices, "accelerated", lambda: True)
    fixed_after, fixed_losses, fixed, _ = taken(STEPS_AT_ONCE - 1)
    np.testing.assert_allclose(losses, fixed_losses, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(after.learning), jax.tree.leaves(fixed_after.learning), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert "tf.aliasing_output" in fixed  # donated
    # The loop ends at a number that the program holds, not at one that the host gives.
    assert bound(fixed) == f"dense<{STEPS_AT_ONCE}>"
    assert bound(text) == "%arg"


def bound(text: str) -> str:
    """Return where the first loop of a program ends: a constant, or an argument of the program."""
    lines = text[text.index("stablehlo.while") :].splitlines()
    compared = next(line for line in lines if "stablehlo.compare" in line and "LT" in line)
    name = compared.split(",")[2].split(":")[0].split()[0]
    for line in [*lines, *text.splitlines()]:
        if f"{name} = stablehlo.constant" in line:
            return line.split("constant ")[1].split(" ")[0]
    return "%arg"


def test_too_little_memory_names_a_batch_that_fits(on_a_cpu, monkeypatch):
    *_, fitter = on_a_cpu
    whole, least = (sum(fitter._needed(batch)) for batch in (PHASE.batch, 2))
    assert whole > least > 0

    def message(room: int | None) -> str:
        monkeypatch.setattr(fitter, "_room", room)
        with pytest.raises(MemoryError) as caught, devices.memory_errors_named(fitter.too_much):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 512 bytes.")
        return str(caught.value)

    assert "batch=2" in message(least)
    counted: list[int] = []
    monkeypatch.setattr(fitter, "_needed", lambda batch: counted.append(batch) or (100, 1000 * batch))
    assert "batch=1" in message(1)
    assert counted == [PHASE.batch // 2], "no size between is compiled"
    assert f"batch={PHASE.batch // 2}" in message(None)  # the device does not say


def test_training_finds_compiled_what_threads_compiled_before_there_were_samples():
    model = tiny.Model.first(tiny.backbone(), 3)
    inputs, labels, fold = tiny.problem(3, stop=0)
    test = np.arange(len(labels)) < 16
    fold = tiny.Fold(0, ~test, test)
    trainer = tiny.trainer(tiny.backbone(), PHASE, 3)
    compiled: list[tuple[str, str]] = []

    def hear(event: str, seconds: float, fun_name: str = "", **_: object) -> None:
        if event == COMPILED:
            compiled.append((fun_name, threading.current_thread().name))

    early = Early()
    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        sample = jax.ShapeDtypeStruct((8, 8, 3), np.uint8)
        ready = early.add(lambda: lower([trainer], model, lambda _: sample, fold))
        broken = early.add(lambda: [][0])
        ready()  # nothing has begun, so it does not wait
        with early.opened():
            early.begin()
            ready(), broken()
            before = [name for name, thread in compiled if thread.startswith("fer-bench-compile")]
            trained, _ = tiny.fit(trainer, model, inputs, tiny.one_hot(labels), fold)
            trainer.predict(trained, inputs, np.flatnonzero(test))
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)
    programs = ("_steps", "_batch_statistics", "<lambda>")
    assert [sum(name.count(program) for name in before) for program in programs] == [1, 1, 1]
    again = [name for name, _ in compiled if any(program in name for program in programs)]
    assert len(again) == len(before), "training compiles none of them again"
