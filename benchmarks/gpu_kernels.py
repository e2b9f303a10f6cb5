"""What the kernels of Xception's passes and steps take on an accelerator, from jax's own profiler.

`benchmarks/gpu.py` runs it as a part, in a process of its own: a figure that misses its target says nothing of why.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = Path(__file__).resolve().parent / "peers"
SHOWN = 20
"""Kernels that are printed, of each program."""
KINDS = {
    "memory copies": r"memcpy|memset",
    "convolutions": r"conv(?!ert)|cudnn|implicit|[fdw](prop|grad)",
    "products": r"gemm|cublas|nvjet|cutlass|dot|ynn",
    "copies and transpositions": r"copy|transpose",
    "sums": r"reduce",
    "element by element": r"fusion|loop|select|add|multiply",
}
"""Kind -> what the name of such a kernel contains; the first that fits counts."""


@dataclass
class Kernel:
    """What a kernel took in all calls of a program.

    Attributes:
        name: as the compiler calls it.
        source: operation of the program that it belongs to, as the profiler says; empty where it does not.
        calls: how often it ran.
        microseconds: of all calls.
    """

    name: str
    source: str = ""
    calls: int = 0
    microseconds: float = 0.0

    @property
    def kind(self) -> str:
        """What it does, as its name says."""
        return next((kind for kind, part in KINDS.items() if re.search(part, self.name.lower())), "other")


def kernels(trace: Path) -> list[Kernel]:
    """Return the kernels of a trace, those that took longest first; on a CPU, the operations of XLA's threads."""
    from jax.profiler import ProfileData

    kept: dict[str, Kernel] = {}
    for file in trace.rglob("*.xplane.pb"):
        for event in _events(ProfileData.from_file(str(file))):
            kernel = kept.setdefault(event.name, Kernel(event.name))
            kernel.source = kernel.source or str(dict(event.stats).get("tf_op", ""))
            kernel.calls, kernel.microseconds = kernel.calls + 1, kernel.microseconds + event.duration_ns / 1e3
    return sorted(kept.values(), key=lambda kernel: -kernel.microseconds)


def _events(profile: Any) -> Iterator[Any]:
    """Yield what ran on the device."""
    planes = list(profile.planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices or planes:
        for line in plane.lines:
            if line.name.startswith("Stream" if devices else "tf_XLA"):
                yield from (event for event in line.events if "::" not in event.name or devices)


def report(title: str, made: Sequence[Kernel], calls: int) -> dict[str, Any]:
    """Print and return the microseconds of a call by kind, and of the kernels that take most."""
    total = sum(kernel.microseconds for kernel in made) / calls
    kinds = dict.fromkeys([*KINDS, "other"], 0.0)
    for kernel in made:
        kinds[kernel.kind] += kernel.microseconds / calls
    print(f"{title}: {total:.0f} us of the device a call, {len(made)} kernels")
    for kind, took in sorted(kinds.items(), key=lambda pair: -pair[1]):
        print(f"  {took:10.0f} us {100 * took / max(total, 1e-9):5.1f} %  {kind}")
    rows = [
        {
            "kernel": one.name,
            "kind": one.kind,
            "source": one.source,
            "calls": one.calls / calls,
            "us": one.microseconds / calls,
        }
        for one in made
    ]
    for row in rows[:SHOWN]:
        print(f"  {row['us']:10.0f} us {row['calls']:7.1f} x  {row['kernel'][:60]}  {row['source'][-70:]}")
    sys.stdout.flush()
    return {"program": title, "us": total, "kinds": kinds, "kernels": rows[: 5 * SHOWN]}


def programs(tiny: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the programs of `benchmarks/peers/fer_bench_steps.py`, each with a function that runs it once."""
    sys.path.insert(0, str(PEERS))
    import jax
    import numpy as np
    from fer_bench_steps import Pictures, batch_of, phase_of  # pyright: ignore[reportMissingImports]

    from fer_bench.learning.gradient import STEPS_AT_ONCE, Trainer
    from fer_bench.learning.state import Model
    from fer_bench.networks.backbone import build
    from fer_bench.networks.forward import Forward, Output
    from fer_bench.networks.identity import resolve_precision
    from fer_bench.registry import Registry

    name, large = ("mini-xception", 4) if tiny else ("xception[input_size=299]", 128)
    backbone = build(Registry.load().backbone(name), resolve_precision("auto"), seed=0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STEPS_AT_ONCE * large, 48, 48, 1), dtype=np.uint8)
    batch = batch_of(backbone)
    forward = Forward(backbone, [Output(len(backbone.stages), 1, np.dtype(np.float16))], batch)
    yield f"forward at batch {batch}", lambda: forward(np.resize(images, (batch, *images.shape[1:])))
    begun = Model.first(backbone, 7)
    phase = phase_of(large, 1)
    trainer = Trainer(backbone, phase, begun.shapes)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, len(images))]
    rates = [np.float32(phase.learning_rate)] * STEPS_AT_ONCE
    batches = trainer.batches(Pictures(images), np.arange(len(images)), 0, targets, rates)
    frozen, weight = trainer.frozen(begun), jax.numpy.ones(7)
    reached = [jax.tree.map(jax.numpy.array, trainer.begin(begun, 0))]

    def train() -> Any:
        reached[0], losses = trainer.take_steps(reached[0], frozen, weight, batches, 0, 0, STEPS_AT_ONCE)
        return losses

    yield f"{STEPS_AT_ONCE} steps of full at batch {large}", train


def measure(tiny: bool, output: Path, calls: int = 3) -> None:
    """Print what the kernels of each program take, and write it."""
    import jax

    answers: list[dict[str, Any]] = []
    for title, run in programs(tiny):
        jax.block_until_ready(run())  # compiles
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                for _ in range(calls):
                    jax.block_until_ready(run())
            answers.append(report(title, kernels(Path(folder)), calls))
        output.write_text(json.dumps(answers))
